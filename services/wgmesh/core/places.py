"""Who keeps one of few places that anybody may take, and who has to go.

One client can open as many connections as it likes, so a place at a server is not kept by holding it. It belongs to a
source, which has few; when a source has too many, or all are taken, the least deserving holder makes room, and the
newcomer is served. Nobody who has one place loses it to somebody who holds several. The same goes for values that
anybody may store.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

HolderT = TypeVar("HolderT", bound=Hashable)
SourceT = TypeVar("SourceT", bound=Hashable)


@dataclass(slots=True, eq=False)
class _Source(Generic[SourceT]):
    """`count` is how many places it has."""

    name: SourceT
    count: int = 0


class Places(Generic[HolderT, SourceT]):
    """The places, and the source of each holder. To find who makes room costs one look at each place at most."""

    def __init__(self, places_max: int, of_source_max: int) -> None:
        self._places_max = places_max
        self._of_source_max = of_source_max
        self._idle: dict[HolderT, _Source[SourceT]] = {}  # in the order in which they came
        self._deserving: dict[HolderT, _Source[SourceT]] = {}  # in the order in which they last earned their places
        self._sources: dict[SourceT, _Source[SourceT]] = {}

    def __len__(self) -> int:
        return len(self._idle) + len(self._deserving)

    def __iter__(self) -> Iterator[HolderT]:
        """The least deserving first: who has earned nothing, or nothing for the longest time; else who came first."""
        return chain(self._idle, self._deserving)

    def admit(self, holder: HolderT, source: SourceT) -> HolderT | None:
        """Gives a place to a newcomer. Returns the holder that makes room, if there has to be one."""
        leaving = self._leaving(source)
        if leaving is not None:
            self.leave(leaving)
        self._idle[holder] = self._sources.setdefault(source, _Source(source))
        self._idle[holder].count += 1
        return leaving

    def earn(self, holder: HolderT) -> None:
        """Notes that a holder has done what the place is for, which alone makes it worth keeping."""
        for places in (self._idle, self._deserving):
            if holder in places:
                self._deserving[holder] = places.pop(holder)
                return

    def leave(self, holder: HolderT) -> None:
        """Frees a place, if the holder still has one."""
        source = self._idle.pop(holder, None) or self._deserving.pop(holder, None)
        if source is not None:
            source.count -= 1
            if not source.count:
                del self._sources[source.name]

    def _leaving(self, newcomer: SourceT) -> HolderT | None:
        places = chain(self._idle.items(), self._deserving.items())
        own = self._sources.get(newcomer)
        if own is not None and own.count >= self._of_source_max:
            return next(holder for holder, source in places if source is own)
        if len(self) < self._places_max:
            return None
        most = max(source.count for source in self._sources.values())
        return next(holder for holder, source in places if source.count == most)
