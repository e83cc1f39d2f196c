"""When to store and read records in the private DHT. Pure: what is due at `now` comes out as requests.

Each member's record lies under a name that follows from its key, and in one of a few slots of a roster. There a member
looks that knows nobody yet. Some member of the roster is enough: gossip tells of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wgmesh.core.keys.epoch_keys import HOUR_S, ROSTER_SLOTS, EpochKeys
from wgmesh.core.model import PublicKey
from wgmesh.discovery.dht import ReadRecord

STORE_S = 1800.0  # values live two hours
STORE_GAP_S = 10.0  # between two versions
AFTER_THE_HOUR_S = 60.0  # all members renew within the first minute of an hour, and not at one instant
READ_FAST_S = 2.0  # the whole roster until somebody is found, as somebody waits for it
FAST_FOR_S = 60.0
READ_S = 30.0
# Once somebody is proven, gossip tells of everybody, and the roster is for partitions that nobody else mends: some of
# its slots by turns. All of them together are 90 KB in a mesh of eight.
READ_CONTENT_S = 300.0
CONTENT_PEERS = 3
SLOTS_AT_A_TIME = 2
MISSED_S = 60.0  # between two looks for members that are known and do not answer
MISSED_MAX = 8  # at a time


@dataclass(frozen=True, slots=True)
class Store:
    """Store our record under this name."""

    epoch: EpochKeys = field(repr=False)
    name: bytes


class PrivateDhtSchedule:
    """The schedule. `epoch` gives an hour's keys. `stored_at` is when our record was last stored."""

    def __init__(self, epoch: Callable[[int], EpochKeys], random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._epoch = epoch
        self._random_unit = random_unit
        self._started_at: float | None = None
        self._hour = 0
        self._store_at = self._read_at = self._missed_at = float("inf")
        self.stored_at: float | None = None
        self._turn = self._slot = 0

    def epochs(self, now: float) -> tuple[EpochKeys, EpochKeys]:
        """The keys of this hour and the last."""
        hour = int(now // HOUR_S)
        return self._epoch(hour), self._epoch(hour - 1)

    def start(self, now: float) -> None:
        """Begins."""
        if self._started_at is None:
            self._started_at = self._store_at = self._read_at = now
            self._missed_at = now + MISSED_S
            self._hour = int(now // HOUR_S)

    def reached(self, now: float) -> None:
        """There are nodes to ask, after there were none."""
        self._store_at = self._read_at = now

    def revise(self, now: float) -> None:
        """What our record says has changed."""
        self._store_at = min(self._store_at, max(now, (self.stored_at or 0.0) + STORE_GAP_S))

    def due(self, now: float, own: PublicKey, proven: int, missed: Iterable[PublicKey]) -> list[Store | ReadRecord]:
        """Returns what is to be asked, once started. `missed` are members that are known and cannot be reached."""
        hour = int(now // HOUR_S)
        if hour != self._hour:
            self._hour = hour
            self._store_at = min(self._store_at, now + self._random_unit() * AFTER_THE_HOUR_S)
        requests: list[Store | ReadRecord] = []
        if now >= self._store_at:
            self._store_at, self.stored_at = now + STORE_S, now
            requests += [Store(epoch, name) for epoch in self.epochs(now) for name in epoch.names_of(own)]
        if now >= self._read_at:
            self._read_at = now + self._pause_s(now, proven)
            requests += self._roster(now, is_alone=not proven)
        if now >= self._missed_at:
            self._missed_at = now + MISSED_S
            requests += [ReadRecord(self.epochs(now)[0].member_name(key)) for key in self._some(sorted(missed))]
        return requests

    def poll_timeout(self) -> float | None:
        if self._started_at is None:
            return None
        return min(self._store_at, self._read_at, self._missed_at, (self._hour + 1) * HOUR_S)

    def _roster(self, now: float, *, is_alone: bool) -> list[ReadRecord]:
        if is_alone:
            return [ReadRecord(epoch.roster_name(slot)) for epoch in self.epochs(now) for slot in range(ROSTER_SLOTS)]
        slots = [(self._slot + step) % ROSTER_SLOTS for step in range(SLOTS_AT_A_TIME)]
        self._slot = (self._slot + SLOTS_AT_A_TIME) % ROSTER_SLOTS
        return [ReadRecord(self.epochs(now)[0].roster_name(slot)) for slot in slots]

    def _pause_s(self, now: float, proven: int) -> float:
        if not proven:
            return READ_FAST_S if self._started_at is not None and now - self._started_at < FAST_FOR_S else READ_S
        return READ_CONTENT_S if proven >= CONTENT_PEERS else READ_S

    def _some(self, keys: list[PublicKey]) -> list[PublicKey]:
        """The next few of them, by turns."""
        chosen = [keys[(self._turn + step) % len(keys)] for step in range(min(MISSED_MAX, len(keys)))]
        self._turn += len(chosen)
        return chosen
