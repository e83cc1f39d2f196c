"""Virtual time: what happens next happens at once."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

EVENTS_AT_ONE_INSTANT_MAX = 100_000  # more means that something reschedules itself without letting time pass


@dataclass(slots=True, order=True)
class Timer:
    """A call that is due at `at`."""

    at: float
    order: int
    callback: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        self.callback = None


class Scheduler:
    """Runs calls in the order of their time, and in the order of their making at one time."""

    def __init__(self, start_at: float) -> None:
        """`start_at` is in Unix seconds, as every `now` of the simulation."""
        self.now = start_at
        self._timers: list[Timer] = []
        self._order = count()

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        """Plans a call; one in the past is due at once."""
        timer = Timer(max(at, self.now), next(self._order), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return self.call_at(self.now + delay_s, callback)

    def run_until(self, at: float) -> None:
        """Runs everything that is due up to `at`, and lets time pass until then."""
        at_this_instant = 0
        while self._timers and self._timers[0].at <= at:
            timer = heapq.heappop(self._timers)
            at_this_instant = at_this_instant + 1 if timer.at == self.now else 0
            if at_this_instant > EVENTS_AT_ONE_INSTANT_MAX:
                raise RuntimeError(f"time stands still at {self.now}: something reschedules itself without end")
            self.now = timer.at
            if timer.callback is not None:
                timer.callback()
        self.now = max(self.now, at)
