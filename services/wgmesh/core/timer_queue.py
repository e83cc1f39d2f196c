"""Which of many keys is due when: a heap whose outdated entries are left behind until they surface.

Every datagram asks what is due next, so neither that question nor a change may cost a look at every key.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

SPARE_ENTRIES = 64  # outdated entries that are not worth a clean-up, however few keys there are

KeyT = TypeVar("KeyT", bound=Hashable)


class TimerQueue(Generic[KeyT]):
    """One instant a key. Setting, dropping and taking cost O(log n), amortised; the next instant costs O(1)."""

    def __init__(self) -> None:
        self._due_at: dict[KeyT, float] = {}
        self._heap: list[tuple[float, int, KeyT]] = []
        self._order = count()  # keys need not be comparable; of one instant the first set is the first taken

    def __len__(self) -> int:
        return len(self._due_at)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._due_at

    def __iter__(self) -> Iterator[KeyT]:
        return iter(self._due_at)

    def get(self, key: KeyT) -> float | None:
        return self._due_at.get(key)

    def set(self, key: KeyT, at: float) -> None:
        """Makes `at` the instant of `key`, earlier or later than before. An infinite one never comes."""
        if self._due_at.get(key) == at:
            return
        self._due_at[key] = at
        if len(self._heap) > 2 * len(self._due_at) + SPARE_ENTRIES:
            self._heap = [
                (due_at, order, each) for due_at, order, each in self._heap if self._due_at.get(each) == due_at
            ]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (at, next(self._order), key))

    def drop(self, key: KeyT) -> None:
        self._due_at.pop(key, None)

    def next_at(self) -> float | None:
        """When the next key is due."""
        self._skip_outdated()
        return self._heap[0][0] if self._heap else None

    def take(self, now: float) -> KeyT | None:
        """Removes the key that has been due for longest and returns it; None if none is due."""
        self._skip_outdated()
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._due_at[key]
        return key

    def take_all(self, now: float) -> list[KeyT]:
        """Removes and returns all keys that are due."""
        taken = []
        while (key := self.take(now)) is not None:
            taken.append(key)
        return taken

    def _skip_outdated(self) -> None:
        while self._heap and self._due_at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
