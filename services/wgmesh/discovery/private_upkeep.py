"""When a node of the private DHT looks after itself. Pure: what is due at `now` comes out.

While it knows nobody it tries to enter. Once it knows somebody it searches its own neighbourhood, often at first, since
the others may just be starting too, and asks those that were silent for long whether they are still there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto

from wgmesh.core.backoff import delays

ENTER_FIRST_S = 1.0
ENTER_LAST_S = 180.0  # eight addresses that are all dead cost less than 1 MB a day
SEARCH_FIRST_S = 2.0
SEARCH_LAST_S = 1800.0  # some 3 KB each
SEARCH_FACTOR = 4.0
CHECK_S = 300.0
SILENT_S = 900.0  # after this a contact is asked
MAX_CHECKED = 4  # at a time, those first that were silent for longest


class Upkeep(Enum):
    ENTER = auto()
    """Ask some of the nodes that we were told of or once knew."""
    SEARCH = auto()
    """Enter, and look for the nodes closest to our own position."""
    CHECK = auto()
    """Ask contacts that have been silent."""


class UpkeepPlan:
    """The schedule."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in [0, 1)."""
        self._random_unit = random_unit
        self._is_alone = True
        self._pauses = self._enter_pauses()
        self._act_at = float("inf")
        self._check_at = float("inf")

    def hurry(self, now: float) -> None:
        """Begins, or begins again because there is somebody new to ask."""
        self._act_at = now
        self._pauses = self._enter_pauses() if self._is_alone else self._search_pauses()

    def note_count(self, count: int, now: float) -> None:
        """Takes how many nodes are known."""
        if (count == 0) != self._is_alone:
            self._is_alone = count == 0
            self._check_at = float("inf") if self._is_alone else now + CHECK_S
            self.hurry(now)

    def due(self, now: float) -> list[Upkeep]:
        """Returns what is to be done."""
        actions = []
        if now >= self._act_at:
            self._act_at = now + next(self._pauses)
            actions.append(Upkeep.ENTER if self._is_alone else Upkeep.SEARCH)
        if now >= self._check_at:
            self._check_at = now + CHECK_S
            actions.append(Upkeep.CHECK)
        return actions

    def poll_timeout(self) -> float | None:
        due_at = min(self._act_at, self._check_at)
        return None if due_at == float("inf") else due_at

    def _enter_pauses(self) -> Iterator[float]:
        return delays(ENTER_FIRST_S, ENTER_LAST_S, self._random_unit)

    def _search_pauses(self) -> Iterator[float]:
        return delays(SEARCH_FIRST_S, SEARCH_LAST_S, self._random_unit, SEARCH_FACTOR)
