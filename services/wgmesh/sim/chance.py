"""Seeded chance, the same on every machine and every version of Python."""

from __future__ import annotations

_MASK = 2**64 - 1


class Chance:
    """SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). For simulations only."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def integer(self) -> int:
        """Returns 64 random bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
        return mixed ^ (mixed >> 31)

    def unit(self) -> float:
        """Returns a float in [0, 1)."""
        return (self.integer() >> 11) / 2**53

    def random_bytes(self, count: int) -> bytes:
        words = -(-count // 8)
        return b"".join(self.integer().to_bytes(8, "big") for _ in range(words))[:count]

    def fork(self) -> Chance:
        """Returns an independent source, so that one consumer's draws do not shift another's."""
        return Chance(self.integer())
