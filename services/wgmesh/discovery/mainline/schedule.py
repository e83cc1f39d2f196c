"""When to announce, look up, publish and fetch in the Mainline DHT. Pure: what is due at `now` comes out as requests.

Members look under the ids of this hour and the last, both, always (protocol notes, section 4.1). They are announced
under the last hour's only while somebody may still look there alone. Nothing else is ever asked for: the id that never
changes would name the mesh to strangers for good (BUG 56).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from wgmesh.core.backoff import delays
from wgmesh.core.clock import WallClock
from wgmesh.core.keys.epoch_keys import EpochKeys
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.wire.member_record import compact
from wgmesh.discovery.dht import Announce, LookUp
from wgmesh.discovery.dht_schedule import Hours, LookUps, Publish, Renewal

ANNOUNCE_S = 900.0  # upstream's; a DHT keeps an announce for about half an hour
ANNOUNCE_JITTER = 0.1
# An announce that nobody confirms is repeated: soon, since the first may have come before the swarm, then each minute.
RETRY_FIRST_S = 4.0
RETRY_LAST_S = 60.0
# A clock that is slow by as much as messages allow (600 s) is still in the last hour until then; five minutes more,
# since a look-up takes its time. Everybody else looks up both, upstream's nodes too. An address that stands under two
# ids at a time ties the two together for all who look.
LAST_HOUR_S = 900.0
OVER = float("inf")  # when an hour that is over is announced again
LOOK_FAST_S = 1.5  # until the first peer, as somebody waits for it
OWN_PLACES_MAX = 4  # addresses that the DHT may see us at: two families, and a change of each
FETCHES_MAX = 4  # records looked up at a time; each is some twenty datagrams
FETCH_PATIENCE_S = 20.0
FETCH_QUEUE_MAX = 64
FETCH_AGAIN_S = 300.0
FETCHED_MAX = 512


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get the record of the member that announces this address."""

    epoch: EpochKeys = field(repr=False)
    address: Endpoint


Request = Announce | LookUp | Publish | Fetch


@dataclass(slots=True)
class _Slot:
    """One hour's id and how our announce under it fares."""

    epoch: EpochKeys
    next_at: float
    announced_at: float | None = None
    confirmed_at: float | None = None


class MainlineSchedule:
    """The schedule. `hours` has the keys."""

    def __init__(self, wall: WallClock, secret: Secret, random_unit: Callable[[], float]) -> None:
        """`wall` says which hour it is for everybody. `random_unit` gives floats in 0..1."""
        self.hours = Hours(wall, secret, random_unit)
        self._random_unit = random_unit
        self._slots: dict[int, _Slot] = {}
        self._retries = delays(RETRY_FIRST_S, RETRY_LAST_S, random_unit)
        self._look_ups = LookUps(LOOK_FAST_S)
        self._port = 0
        self._own_hosts: frozenset[IPAddress] = frozenset()
        self._places: OrderedDict[Endpoint, Renewal] = OrderedDict()
        self._queue: OrderedDict[Endpoint, None] = OrderedDict()
        self._fetching: OrderedDict[Endpoint, float] = OrderedDict()
        self._fetched: OrderedDict[Endpoint, float] = OrderedDict()
        self.found_count = 0
        """How many peers have been met through the DHT."""

    @property
    def announced_at(self) -> float | None:
        """When we last announced ourselves under the present hour's id."""
        return max((slot.announced_at for slot in self._slots.values() if slot.announced_at), default=None)

    @property
    def confirmed_at(self) -> float | None:
        """When a reply last named us."""
        return max((slot.confirmed_at for slot in self._slots.values() if slot.confirmed_at), default=None)

    @property
    def own_places(self) -> tuple[Endpoint, ...]:
        """Where the DHT sees us."""
        return tuple(self._places)

    def start(self, port: int, now: float) -> None:
        """Begins, or begins again with another announced port."""
        if port == self._port:
            return
        self._port = port
        self._places.clear()
        self._look_ups.start(now)
        self._announce_all(now)

    def swarm_reached(self, now: float) -> None:
        """There are nodes to ask, after there were none: what was asked before has reached nobody."""
        self._announce_all(now)
        self._look_ups.hasten(now)

    def set_own_hosts(self, hosts: Iterable[IPAddress], now: float) -> None:
        """Sets the addresses of this host, as it has them and as others see them."""
        hosts = frozenset(hosts)
        if hosts != self._own_hosts:
            self._own_hosts = hosts
            self._announce_all(now)

    def revise(self, now: float) -> None:
        """What our record says has changed."""
        for record in self._places.values():
            record.revise(now)

    def found(self, infohash: bytes, endpoints: Iterable[Endpoint], now: float) -> list[Endpoint]:
        """Takes the peers of a reply and returns those that are not ourselves."""
        slot = next((slot for slot in self._slots.values() if slot.epoch.infohash == infohash), None)
        if slot is None:
            return []  # of an hour that is over
        strangers = []
        for endpoint in endpoints:
            if endpoint.port == self._port and endpoint.host in self._own_hosts:
                self._confirm(slot, now)
                self._see_own(endpoint)
            else:
                strangers.append(endpoint)
        return strangers

    def want_record(self, address: Endpoint, now: float) -> None:
        """Notes an address of the mesh that does not answer: its record may tell how to reach who is there."""
        asked_at = self._fetched.get(address)
        if address in self._fetching or (asked_at is not None and now - asked_at < FETCH_AGAIN_S):
            return
        if len(self._queue) < FETCH_QUEUE_MAX:
            self._queue[address] = None

    def fetched(self, address: Endpoint) -> None:
        """Ends a look-up of a record, with or without one."""
        self._fetching.pop(address, None)

    def due(self, now: float, proven_count: int) -> list[Request]:
        """Returns what is to be asked. `proven_count` is the number of peers with a working tunnel."""
        if self._look_ups.next_at is None:
            return []
        self._turn_hours(now)
        is_looking = self._look_ups.are_due(now, proven_count, self.found_count > 0)
        look_ups = [LookUp(epoch.infohash) for epoch in self.hours.keys(now)] if is_looking else []
        return [*self._announces(now), *look_ups, *self._publishes(now), *self._fetches(now)]

    def poll_timeout(self) -> float | None:
        if self._look_ups.next_at is None:
            return None
        due = [self._look_ups.next_at, self.hours.next_at(), *self._fetch_times()]
        due += [slot.next_at for slot in self._slots.values()]
        return min(due + [record.next_at for record in self._places.values()])

    def clock_set(self, now: float) -> None:
        """The hours are others now, or begin at other times: one that seemed to be over may not be."""
        self._look_ups.clock_set(now)
        for slot in self._slots.values():
            if slot.next_at == OVER:
                slot.next_at = now if slot.announced_at is None else max(now, slot.announced_at + RETRY_FIRST_S)

    def _announce_all(self, now: float) -> None:
        self._retries = delays(RETRY_FIRST_S, RETRY_LAST_S, self._random_unit)
        for slot in self._slots.values():
            slot.next_at, slot.confirmed_at = now, None

    def _turn_hours(self, now: float) -> None:
        if (renew_at := self.hours.turn(now)) is None:
            return
        self._slots = {each.hour: self._slots.get(each.hour) or _Slot(each, renew_at) for each in self.hours.keys(now)}
        for record in self._places.values():
            record.next_at = min(record.next_at, renew_at)

    def _announces(self, now: float) -> list[Request]:
        for slot in self._slots.values():
            if not self._is_current(slot.epoch, now):
                slot.next_at = OVER
        due = [slot for slot in self._slots.values() if now >= slot.next_at]
        if due:
            retry_s = next(self._retries)
        for slot in due:
            slot.next_at, slot.announced_at, slot.confirmed_at = now + retry_s, now, None
        return [Announce(slot.epoch.infohash, self._port) for slot in due]

    def _confirm(self, slot: _Slot, now: float) -> None:
        if slot.confirmed_at is None and slot.announced_at is not None:
            slot.next_at = slot.announced_at + ANNOUNCE_S * (1 + ANNOUNCE_JITTER * (2 * self._random_unit() - 1))
        slot.confirmed_at = now

    def _see_own(self, endpoint: Endpoint) -> None:
        if endpoint not in self._places:
            self._places[endpoint] = Renewal()
            if len(self._places) > OWN_PLACES_MAX:
                self._places.popitem(last=False)

    def _publishes(self, now: float) -> list[Request]:
        due = [place for place, record in self._places.items() if record.is_due(now)]
        current = [slot.epoch for slot in self._slots.values() if self._is_current(slot.epoch, now)]
        return [Publish(epoch, compact(place)) for place in due for epoch in current]

    def _fetches(self, now: float) -> list[Request]:
        while self._fetching and now - next(iter(self._fetching.values())) >= FETCH_PATIENCE_S:
            self._fetching.popitem(last=False)
        requests: list[Request] = []
        while self._queue and len(self._fetching) < FETCHES_MAX:
            address, _ = self._queue.popitem(last=False)
            self._fetching[address] = self._fetched[address] = now
            self._fetched.move_to_end(address)
            if len(self._fetched) > FETCHED_MAX:
                self._fetched.popitem(last=False)
            requests += [Fetch(epoch, address) for epoch in self.hours.keys(now)]
        return requests

    def _fetch_times(self) -> list[float]:
        times = [next(iter(self._fetching.values())) + FETCH_PATIENCE_S] if self._fetching else []
        return [*times, -float("inf")] if self._queue and len(self._fetching) < FETCHES_MAX else times

    def _is_current(self, epoch: EpochKeys, now: float) -> bool:
        """Whether somebody may look under this hour's id alone."""
        return self.hours.over_for_s(epoch, now) < LAST_HOUR_S
