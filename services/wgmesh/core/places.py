"""Who keeps a place at a server that anybody may connect to, and who has to go.

One client can open as many connections as it likes, so a place is not kept by holding it. It belongs to a source, which
has few; when a source has too many, or the server is full, the least deserving connection makes room, and the newcomer
is served. Nobody who uses one connection loses it to somebody who holds several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

HolderT = TypeVar("HolderT", bound=Hashable)
SourceT = TypeVar("SourceT", bound=Hashable)


@dataclass(slots=True)
class _Place(Generic[SourceT]):
    source: SourceT
    earned_at: float = float("-inf")


class Places(Generic[HolderT, SourceT]):
    """The places of one server. `now` is seconds on any clock that never goes back."""

    def __init__(self, places_max: int, of_source_max: int) -> None:
        self._places_max = places_max
        self._of_source_max = of_source_max
        self._places: dict[HolderT, _Place[SourceT]] = {}
        self._counts: Counter[SourceT] = Counter()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[HolderT]:
        return iter(self._places)

    def admit(self, holder: HolderT, source: SourceT) -> HolderT | None:
        """Gives a place to a connection. Returns the one that makes room, if there has to be one."""
        leaving = self._leaving(source)
        if leaving is not None:
            self.leave(leaving)
        self._places[holder] = _Place(source)
        self._counts[source] += 1
        return leaving

    def earn(self, holder: HolderT, now: float) -> None:
        """Notes that a connection has done what the server is for, which alone makes its place worth keeping."""
        if holder in self._places:
            self._places[holder].earned_at = now

    def leave(self, holder: HolderT) -> None:
        """Frees a place, if the connection still has one."""
        place = self._places.pop(holder, None)
        if place is not None:
            self._counts[place.source] -= 1
            if not self._counts[place.source]:
                del self._counts[place.source]

    def _leaving(self, newcomer: SourceT) -> HolderT | None:
        if self._counts[newcomer] >= self._of_source_max:
            return self._least({newcomer})
        if len(self._places) < self._places_max:
            return None
        most = max(self._counts.values())
        return self._least({source for source, count in self._counts.items() if count == most})

    def _least(self, sources: Collection[SourceT]) -> HolderT:
        """The connection that has earned nothing, or nothing for the longest time; of equal ones the oldest."""
        own = [holder for holder, place in self._places.items() if place.source in sources]
        return min(own, key=lambda holder: self._places[holder].earned_at)  # they stand in the order in which they came
