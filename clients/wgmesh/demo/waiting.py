"""Bounded waits on conditions of other processes, which nothing here is told of."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

POLL_S = 0.02  # fine enough for waits that are measured in tenths of a second


class TimedOut(Exception):
    """A condition did not come true in time."""


def wait_for(condition: Callable[[], Value | None], timeout_s: float, what: str, poll_s: float = POLL_S) -> Value:
    """Returns the first true value of `condition`. Raises TimedOut, which says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimedOut(f"{what}: not within {timeout_s:g} s")
        time.sleep(poll_s)
