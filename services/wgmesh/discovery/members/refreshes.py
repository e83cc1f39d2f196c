"""When known peers hear from us again.

A Go node forgets us after 5 minutes without direct contact (protocol notes, section 22). Our own kind, once the tunnel
works, is content with far less.
"""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.backoff import delays
from wgmesh.core.model import PublicKey
from wgmesh.core.timer_queue import TimerQueue

REFRESH_S = 45.0  # below the 60 s that keep a Go neighbour content, with room for one lost exchange
REFRESH_JITTER = 0.1
# Only a Go peer forgets us where handshakes prove that we live, and only a Go peer needs the lists in our HELLOs: our
# own kind compares views. One HELLO in two hours mends what nobody has thought of.
QUIET_TURNS = 160
HURRY_PER_PEER_S = 0.02  # 50 a second: 300 peers hear of a change within 6 s


class Refreshes:
    """When each known peer should hear from us again."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._turns: TimerQueue[PublicKey] = TimerQueue()
        self._silent_turns: dict[PublicKey, int] = {}

    def schedule(self, key: PublicKey, now: float) -> None:
        """Sets the next turn of a peer that has just heard from us or is just being asked."""
        self._turns.set(key, now + next(delays(REFRESH_S, REFRESH_S, self._random_unit, jitter=REFRESH_JITTER)))

    def hurry(self, now: float) -> None:
        """Brings all turns forward, spread out: what we say of ourselves has changed."""
        span_s = min(HURRY_PER_PEER_S * len(self._turns), REFRESH_S)
        for key in tuple(self._turns):
            self._silent_turns[key] = QUIET_TURNS
            at, soon = self._turns.get(key), now + self._random_unit() * span_s
            self._turns.set(key, soon if at is None else min(at, soon))

    def hurry_one(self, key: PublicKey, now: float) -> None:
        """Brings the turn of one peer forward: it is worth asking."""
        self._silent_turns[key] = QUIET_TURNS
        self._turns.set(key, now)

    def ensure(self, key: PublicKey, now: float) -> None:
        """Schedules a peer that has no turn yet."""
        if key not in self._turns:
            self.schedule(key, now)

    def drop(self, key: PublicKey) -> None:
        self._turns.drop(key)
        self._silent_turns.pop(key, None)

    def due(self, now: float, is_content: Callable[[PublicKey], bool]) -> list[PublicKey]:
        """Returns the peers that should hear from us, and schedules their next turn. Who is content hears us seldom."""
        due = self._turns.take_all(now)
        for key in due:
            self.schedule(key, now)
        return [key for key in due if not self._passes(key, is_content(key))]

    def poll_timeout(self) -> float | None:
        return self._turns.next_at()

    def _passes(self, key: PublicKey, is_content: bool) -> bool:
        silent_turns = self._silent_turns.get(key, 0) + 1
        passes = is_content and silent_turns < QUIET_TURNS
        self._silent_turns[key] = silent_turns if passes else 0
        return passes
