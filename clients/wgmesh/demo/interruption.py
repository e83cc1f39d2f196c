"""Signals that ask a program to end, noted instead of thrown.

A handler that raises does so in whatever code runs at that moment: in a callback of gRPC or a destructor, where the
exception is lost, or in a step of cleaning up, which it breaks off. A note is lost nowhere, whenever it is read.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """Yields the list to which each signal is added while the context is open. For the main thread alone."""
    arrived: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(signal.Signals(number))

    # what is ignored stays so: nohup(1) has said that a hangup is no request
    heeded = [number for number in REQUESTS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in heeded}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Lets none of these signals arrive while the context is open, neither here nor in a program that is started in it.

    A terminal sends Ctrl-C to every program that runs there, and would end a step of making or removing a lab. A
    session of its own would come too late for a program that has just been forked.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
