"""Whose turn it is to be mentioned to others: who was not mentioned yet, then who was not for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from wgmesh.core.model import PublicKey


class Rotation:
    """The peers worth mentioning, in the order of their turns."""

    def __init__(self) -> None:
        self._turns: OrderedDict[PublicKey, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._turns)

    def enter(self, key: PublicKey) -> None:
        """Adds a peer in front: nobody has been told of it."""
        if key not in self._turns:
            self._turns[key] = None
            self._turns.move_to_end(key, last=False)

    def leave(self, key: PublicKey) -> None:
        self._turns.pop(key, None)

    def first(self, count: int, besides: PublicKey | None = None) -> list[PublicKey]:
        """Returns whose turn it is, without the one who is to be told."""
        chosen: list[PublicKey] = []
        for key in self._turns:
            if len(chosen) == count:
                break
            if key != besides:
                chosen.append(key)
        return chosen

    def note(self, keys: Iterable[PublicKey]) -> None:
        """Ends the turn of those who were mentioned."""
        for key in keys:
            if key in self._turns:
                self._turns.move_to_end(key)
