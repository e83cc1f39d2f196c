"""Pauses that double with each failure, within a bound."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from wgmesh.core.recent import Recent

KeyT = TypeVar("KeyT", bound=Hashable)


class Pauses(Generic[KeyT]):
    """Who is left in peace, and until when. What was noted longest ago is forgotten where there is too much.

    Times are in seconds, and `now` never decreases.
    """

    def __init__(self, first_s: float, last_s: float, max_count: int) -> None:
        self._first_s = first_s
        self._last_s = last_s
        self._pauses: Recent[KeyT, tuple[float, float]] = Recent(max_count)

    def __len__(self) -> int:
        return len(self._pauses)

    def begin(self, key: KeyT, now: float) -> bool:
        """Begins a pause, twice as long as the last one. False during a pause: what fails then is the same failure."""
        until, pause_s = self._pauses.get(key, (now, self._first_s / 2))
        if now < until:
            return False
        pause_s = min(2 * pause_s, self._last_s)
        self._pauses.note(key, (now + pause_s, pause_s))
        return True

    def until(self, key: KeyT) -> float | None:
        """When the last pause of `key` is over; None where there was none."""
        noted = self._pauses.get(key)
        return noted[0] if noted else None

    def is_over(self, key: KeyT, now: float) -> bool:
        return now >= self._pauses.get(key, (now, 0.0))[0]

    def forget(self, key: KeyT) -> None:
        """Ends a pause. The next one is as short as the first."""
        self._pauses.forget(key)
