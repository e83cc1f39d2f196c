"""What has changed and stays so: a value that goes to and fro is told seldom, and not while it does."""

from __future__ import annotations

from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Steady(Generic[ValueT]):
    """One value, as it was last told and as it is. Times are seconds on a clock that never goes back."""

    def __init__(self, told: ValueT, settle_s: float, gap_s: float) -> None:
        """Tells a value once it has been the same for `settle_s`, and never two within `gap_s`."""
        self._told = self._seen = told
        self._settle_s = settle_s
        self._gap_s = gap_s
        self._changed_at = self._told_at = float("-inf")

    def note(self, value: ValueT, now: float) -> None:
        """Takes the value as it is now."""
        if value != self._seen:
            self._seen, self._changed_at = value, now

    def due_at(self) -> float | None:
        """When there is something to tell, None while the value is the one that was told."""
        if self._seen == self._told:
            return None
        return max(self._changed_at + self._settle_s, self._told_at + self._gap_s)

    def take(self, now: float) -> ValueT | None:
        """Returns the value if it is to be told now, which it is then."""
        due_at = self.due_at()
        if due_at is None or now < due_at:
            return None
        self._told, self._told_at = self._seen, now
        return self._told
