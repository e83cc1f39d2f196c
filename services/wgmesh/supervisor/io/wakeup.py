"""Signals as bytes that a selector can wait for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """The reading end: `read` returns what has arrived since."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading = reading
        self.writing = writing

    def read(self) -> tuple[signal.Signals, ...]:
        """Returns the signals that have arrived, in order."""
        try:
            return tuple(signal.Signals(number) for number in os.read(self.reading, 64))
        except BlockingIOError:
            return ()


@contextmanager
def watched_signals() -> Iterator[Signals]:
    """Turns SIGTERM, SIGINT and SIGHUP into bytes while the context is open, and restores what was before."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    # a Python handler must be installed, or the default action ends the process before a byte is written
    before = {number: signal.signal(number, _ignore) for number in WATCHED}
    wakeup_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield Signals(reading, writing)
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Lets no watched signal arrive while the context is open, so that a process forked in it gets none either.

    It would be taken by the supervisor's handlers, which the child has inherited, and be counted as the supervisor's.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _ignore(number: int, frame: object) -> None:
    pass
