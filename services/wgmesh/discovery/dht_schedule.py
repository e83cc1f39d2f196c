"""What the schedules of both DHTs have in common: the hours, how often to look, and when to store a record again. Pure.

Everything in a DHT lies under names that follow from the hour of the clock. Members look under those of this hour and
the last. Timers are steady.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from wgmesh.core.clock import WallClock
from wgmesh.core.keys.epoch_keys import HOUR_S, EpochKeys, epoch_keys
from wgmesh.core.keys.secret import Secret

AFTER_THE_HOUR_S = 60.0  # all members renew within the first minute of an hour, and not at one instant
STORE_S = 1800.0  # BEP 44 asks for once an hour, and values in a private DHT live two
STORE_GAP_S = 10.0  # between two versions
CLOCK_GAP_S = 5.0  # two programs that both set the clock, each its own way, must not make us look every second
FAST_FOR_S = 60.0  # a node that is the first of its mesh is found by those who come later
LOOK_S = 30.0
LOOK_SETTLED_S = 60.0
SETTLED_PEERS = 3  # upstream's measure of a mesh that is well connected
# With a working tunnel gossip tells of everybody; a DHT is for partitions that nobody else mends.
LOOK_CONTENT_S = 300.0


@dataclass(frozen=True, slots=True)
class Publish:
    """Put our record at this place of this hour."""

    epoch: EpochKeys = field(repr=False)
    place: bytes


class Hours:
    """The keys of the hours, and when a new one begins for us."""

    def __init__(self, wall: WallClock, secret: Secret, random_unit: Callable[[], float]) -> None:
        """`wall` says which hour it is for everybody. `random_unit` gives floats in 0..1."""
        self._wall = wall
        self._keys = functools.lru_cache(4)(functools.partial(epoch_keys, secret))
        self._random_unit = random_unit
        self._hour: int | None = None

    def keys(self, now: float) -> tuple[EpochKeys, EpochKeys]:
        """Returns the keys of this hour and the last."""
        hour = self._hour_at(now)
        return self._keys(hour), self._keys(hour - 1)

    def turn(self, now: float) -> float | None:
        """Returns when to say under the keys of a new hour what is to be said there; None if the hour is the same."""
        before, self._hour = self._hour, self._hour_at(now)
        if self._hour == before:
            return None
        return now + self._random_unit() * AFTER_THE_HOUR_S if self._hour - 1 == before else now

    def next_at(self) -> float:
        """When `turn` has something to say."""
        return float("-inf") if self._hour is None else self._wall.when((self._hour + 1) * HOUR_S)

    def over_for_s(self, epoch: EpochKeys, now: float) -> float:
        """Returns how long an hour has been over; below 0 while it is not."""
        return self._wall.at(now) - (epoch.hour + 1) * HOUR_S

    def _hour_at(self, now: float) -> int:
        return int(self._wall.at(now) // HOUR_S)


class LookUps:
    """When to look for others: often while somebody waits for the first peer, and seldom once there are some."""

    def __init__(self, fast_s: float) -> None:
        """`fast_s` is the time between two look-ups of a node that has just started and knows nobody."""
        self._fast_s = fast_s
        self._started_at = 0.0
        self._looked_at = float("-inf")
        self.next_at: float | None = None
        """None before the start."""

    def start(self, now: float) -> None:
        """Begins, unless it has."""
        if self.next_at is None:
            self._started_at = self.next_at = now

    def hasten(self, now: float) -> None:
        """There are nodes to ask, after there were none: what was asked before has reached nobody."""
        if self.next_at is not None:
            self.next_at = now

    def clock_set(self, now: float) -> None:
        """The hours are others now, or begin at other times: others look elsewhere than we did."""
        if self.next_at is not None:
            self.next_at = min(self.next_at, max(now, self._looked_at + CLOCK_GAP_S))

    def are_due(self, now: float, proven_count: int, has_found: bool = False) -> bool:
        """Whether to look now. `proven_count` is the number of peers with a working tunnel.

        `has_found` says that others have answered.
        """
        if self.next_at is None or now < self.next_at:
            return False
        self._looked_at = now
        self.next_at = now + self._pause_s(now - self._started_at, proven_count, has_found)
        return True

    def _pause_s(self, age_s: float, proven_count: int, has_found: bool) -> float:
        if not proven_count and not has_found and age_s < FAST_FOR_S:
            return self._fast_s
        if proven_count >= SETTLED_PEERS:
            return LOOK_CONTENT_S if age_s > LOOK_CONTENT_S else LOOK_SETTLED_S
        return LOOK_S if age_s < LOOK_CONTENT_S or not proven_count else LOOK_SETTLED_S


@dataclass(slots=True)
class Renewal:
    """When our record is to be stored again in one place."""

    next_at: float = float("-inf")
    stored_at: float | None = None

    def revise(self, now: float) -> None:
        """What our record says has changed."""
        if self.stored_at is not None:
            self.next_at = min(self.next_at, max(now, self.stored_at + STORE_GAP_S))

    def is_due(self, now: float) -> bool:
        """Whether to store it now."""
        if now < self.next_at:
            return False
        self.stored_at, self.next_at = now, now + STORE_S
        return True
