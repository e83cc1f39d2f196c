from __future__ import annotations

import os
import signal
from types import FrameType

import pytest
from wgmesh.demo.interruption import noted_signals


class SignalledWhenDropped:
    """Gets a signal where Python swallows exceptions."""

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __del__(self) -> None:
        signal.raise_signal(self._number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_destructor_is_not_lost(number: signal.Signals) -> None:
    with noted_signals() as arrived:
        SignalledWhenDropped(number)

    assert arrived == [number]


def test_every_signal_is_noted_and_none_breaks_anything_off() -> None:
    with noted_signals() as arrived:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)

    assert arrived == [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]


def test_handlers_are_as_before_afterwards() -> None:
    def own(number: int, frame: FrameType | None) -> None:
        raise AssertionError("nothing is sent")

    first = signal.signal(signal.SIGTERM, own)
    try:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        with noted_signals():
            pass
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    finally:
        signal.signal(signal.SIGTERM, first)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    first = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with noted_signals() as arrived:
            signal.raise_signal(signal.SIGHUP)
        assert arrived == []
    finally:
        signal.signal(signal.SIGHUP, first)
