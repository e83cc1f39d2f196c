"""Whose turn it is: who had none yet, then who had none for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)


class Rotation(Generic[KeyT]):
    """Those who take turns, in the order of their turns. Of too many those whose turn is farthest are forgotten."""

    def __init__(self, max_count: float = float("inf")) -> None:
        self._max_count = max_count
        self._turns: OrderedDict[KeyT, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._turns)

    def __iter__(self) -> Iterator[KeyT]:
        return iter(self._turns)

    def enter(self, *keys: KeyT) -> None:
        """Adds newcomers in front, the first of them first. Who is there already keeps its turn."""
        for key in reversed(keys):
            if key not in self._turns:
                self._turns[key] = None
                self._turns.move_to_end(key, last=False)
                if len(self._turns) > self._max_count:
                    self._turns.popitem()

    def leave(self, key: KeyT) -> None:
        self._turns.pop(key, None)

    def first(self, count: int, besides: KeyT | None = None) -> list[KeyT]:
        """Returns whose turn it is, but for one."""
        chosen: list[KeyT] = []
        for key in self._turns:
            if len(chosen) == count:
                break
            if key != besides:
                chosen.append(key)
        return chosen

    def note(self, keys: Iterable[KeyT]) -> None:
        """Ends the turn of these."""
        for key in keys:
            if key in self._turns:
                self._turns.move_to_end(key)

    def take(self, count: int) -> list[KeyT]:
        """Returns whose turn it is, and ends it."""
        chosen = self.first(count)
        self.note(chosen)
        return chosen
