"""Which children have fallen silent. A process that lives and whose event loop does not run is not running.

A machine that is starved or suspended must not look like children that hang. What the supervisor has not seen itself
counts for nobody: however long ago its last look was, one look adds at most the time between two looks to a silence.
So a child is blamed only if the supervisor was given the processor again and again while the child said nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection

LOOK_EVERY_S = 1.0  # as often as children beat
LOOK_ROUNDING = 1e-3  # of a look: one that comes a moment early is not followed by another at once
LOOK_PHASE_S = 0.1  # after the whole second at which they beat, so that one look finds what all have just said
# Half a look below the third and the fifth, so that rounding never costs one.
SILENT_AFTER_S = 2.5  # shown: at most 3.1 s after the last word
REPLACED_AFTER_S = 4.5  # killed: at most 5.1 s after the last word, so that another one serves within 8 s


class Heartbeats:
    """How long each watched child has been silent. Times are seconds of one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._looked_at = now
        self._silence_s: dict[str, float] = {}

    def watch(self, name: str) -> None:
        """Watches a child from now on, which has just said something."""
        self._silence_s[name] = 0.0

    def forget(self, name: str) -> None:
        """Watches a child no more."""
        self._silence_s.pop(name, None)

    def due_at(self) -> float:
        """Returns when the next look is due."""
        looks = (self._looked_at - LOOK_PHASE_S) / LOOK_EVERY_S
        return (math.floor(looks + LOOK_ROUNDING) + 1) * LOOK_EVERY_S + LOOK_PHASE_S

    def look(self, heard: Collection[str], now: float) -> tuple[str, ...]:
        """Takes who has said something since the last look, and returns who has been silent for too long."""
        passed = min(now - self._looked_at, LOOK_EVERY_S)
        self._looked_at = now
        for name in self._silence_s:
            self._silence_s[name] = 0.0 if name in heard else self._silence_s[name] + passed
        return tuple(name for name, silence in self._silence_s.items() if silence >= REPLACED_AFTER_S)

    def silence_s(self, name: str) -> float | None:
        """Returns how long a child has been silent, in seconds, or None if that is nothing unusual."""
        silence = self._silence_s.get(name, 0.0)
        return silence if silence >= SILENT_AFTER_S else None
