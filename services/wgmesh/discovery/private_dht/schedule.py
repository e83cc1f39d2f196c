"""When to store and read records in the private DHT. Pure: what is due at `now` comes out as requests.

Each member's record lies under a name that follows from its key, and in one of a few slots of a roster. There a member
looks that knows nobody yet. Some member of the roster is enough: gossip tells of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wgmesh.core.clock import WallClock
from wgmesh.core.keys.epoch_keys import ROSTER_SLOTS, EpochKeys
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey
from wgmesh.discovery.dht import ReadRecord
from wgmesh.discovery.dht_schedule import Hours, LookUps, Publish, Renewal

READ_FAST_S = 2.0  # the whole roster until somebody is found, as somebody waits for it
# Once somebody is proven, some of its slots by turns. All of them together are 90 KB in a mesh of eight.
SLOTS_AT_A_TIME = 2
MISSED_S = 60.0  # between two looks for members that are known and do not answer
MISSED_MAX = 8  # at a time


class PrivateDhtSchedule:
    """The schedule. `hours` has the keys, `record` says when our record was last stored."""

    def __init__(self, wall: WallClock, secret: Secret, random_unit: Callable[[], float]) -> None:
        """`wall` says which hour it is for everybody. `random_unit` gives floats in 0..1."""
        self.hours = Hours(wall, secret, random_unit)
        self.record = Renewal()
        self._look_ups = LookUps(READ_FAST_S)
        self._missed_at: float | None = None
        self._turn = self._slot = 0

    def start(self, now: float) -> None:
        """Begins."""
        self._look_ups.start(now)
        self._missed_at = self._missed_at or now + MISSED_S

    def clock_set(self, now: float) -> None:
        """The hours are others now, or begin at other times."""
        self._look_ups.clock_set(now)

    def reached(self, now: float) -> None:
        """There are nodes to ask, after there were none."""
        self.record.next_at = now
        self._look_ups.hasten(now)

    def due(self, now: float, own: PublicKey, proven: int, missed: Iterable[PublicKey]) -> list[Publish | ReadRecord]:
        """Returns what is to be asked, once started. `missed` are members that are known and cannot be reached."""
        if (renew_at := self.hours.turn(now)) is not None:
            self.record.next_at = min(self.record.next_at, renew_at)
        epochs, requests = self.hours.keys(now), list[Publish | ReadRecord]()
        if self.record.is_due(now):
            requests += [Publish(epoch, name) for epoch in epochs for name in epoch.names_of(own)]
        if self._look_ups.are_due(now, proven):
            requests += self._roster(epochs[:1] if proven else epochs, SLOTS_AT_A_TIME if proven else ROSTER_SLOTS)
        if self._missed_at is not None and now >= self._missed_at:
            self._missed_at = now + MISSED_S
            requests += [ReadRecord(epochs[0].member_name(key)) for key in self._some(sorted(missed))]
        return requests

    def poll_timeout(self) -> float | None:
        if self._missed_at is None or self._look_ups.next_at is None:
            return None
        return min(self.record.next_at, self._look_ups.next_at, self._missed_at, self.hours.next_at())

    def _roster(self, epochs: Iterable[EpochKeys], count: int) -> list[ReadRecord]:
        slots = [(self._slot + step) % ROSTER_SLOTS for step in range(count)]
        self._slot += count
        return [ReadRecord(epoch.roster_name(slot)) for epoch in epochs for slot in slots]

    def _some(self, keys: list[PublicKey]) -> list[PublicKey]:
        """The next few of them, by turns."""
        chosen = [keys[(self._turn + step) % len(keys)] for step in range(min(MISSED_MAX, len(keys)))]
        self._turn += len(chosen)
        return chosen
