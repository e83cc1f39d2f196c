"""Two kinds of time: the steady time of a node, which nobody can set, and what the clock of its host shows.

Timers, ages and all that the processes of a node tell each other are steady times. They begin as Unix seconds when the
node starts and count on with the host, suspended or not, whatever becomes of the clock. The clock's time is for those
who do not share ours: other hosts, files, the kernel's own stamps, people (docs/decisions/0026).
"""

from __future__ import annotations

from collections.abc import Callable

JUMP_S = 1.0  # NTP moves a clock by less than this without a step, and no promise here is about fractions of a second


class SteadyClock:
    """The steady time of one node, and how far its host's clock is ahead of it."""

    def __init__(self, elapsed: Callable[[], float], wall: Callable[[], float]) -> None:
        """`elapsed` gives seconds that only ever go on; `wall` Unix seconds as the host's clock shows them."""
        self._elapsed = elapsed
        self._wall = wall
        self._began_at = wall() - elapsed()

    def now(self) -> float:
        """Returns the steady time, seconds."""
        return self._began_at + self._elapsed()

    def ahead_s(self) -> float:
        """Returns how far the host's clock is ahead of steady time: 0 until somebody sets it."""
        return self._wall() - self.now()


class WallClock:
    """What the host's clock shows, as its owner was last told."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self._ahead_s = ahead_s

    def set(self, ahead_s: float) -> float:
        """Takes how far the clock is ahead of steady time. Returns by how much it jumped; 0 where it only crept."""
        jump_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        return jump_s if abs(jump_s) >= JUMP_S else 0.0

    def at(self, now: float) -> float:
        """Returns the Unix seconds that the clock, as it stands, gives to a steady time."""
        return now + self._ahead_s

    def when(self, unix_s: float) -> float:
        """Returns the steady time to which the clock, as it stands, gives these Unix seconds."""
        return unix_s - self._ahead_s
