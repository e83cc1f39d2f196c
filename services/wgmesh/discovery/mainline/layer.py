"""The Mainline DHT put to work: what its plan asks goes to the shell, what comes back goes to contacts and roster.

An announcement under our hourly id is only an address: strangers can announce themselves there too (BUG 57). It gets
one small HELLO at its turn, and its record is looked up where nobody answers. A member that we have met and do not
reach is looked for in a place that nobody else can write.
"""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, LayerState, PublicKey
from wgmesh.core.pauses import Pauses
from wgmesh.core.wire.member_record import MemberRecord
from wgmesh.discovery.dht import (
    Announce,
    Bootstrapped,
    DhtEvent,
    DhtRequest,
    ItemFound,
    ItemMissing,
    ItemStored,
    LookUp,
    NodesCounted,
    OutsideAddressSeen,
    PeersFound,
    Trouble,
)
from wgmesh.discovery.dht_schedule import Publish
from wgmesh.discovery.events import DHT, DhtRequested
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.exchange.own_record import own_record
from wgmesh.discovery.layer import Health, Layer, dated
from wgmesh.discovery.mainline.missed import AT_A_TIME, Missed
from wgmesh.discovery.mainline.records import Records, Sought
from wgmesh.discovery.mainline.reported_addresses import ReportedAddresses
from wgmesh.discovery.mainline.schedule import Fetch, MainlineSchedule
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import CONCURRENT_MAX, Contacts, Origin
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.messages.pair_keys import PairKeys
from wgmesh.discovery.outbox import Change, Outbox
from wgmesh.discovery.own import Own

# An address that does not answer is left alone for longer each time.
SILENT_FIRST_S = 10.0
SILENT_LAST_S = 900.0
SILENT_MAX = 4096


class MainlineLayer(Layer):
    """Finds members through the Mainline DHT."""

    name = DHT

    def __init__(
        self,
        own: Own,
        members: Membership,
        contacts: Contacts,
        hellos: Hellos,
        outbox: Outbox,
        rules: AddressRules,
        pair_keys: PairKeys,
        secret: Secret,
        random_unit: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._own = own
        self._members = members
        self._contacts = contacts
        self._outbox = outbox
        self._purses = hellos.unanswered
        self._rules = rules
        self._pair_keys = pair_keys
        self._schedule = MainlineSchedule(own.wall, secret, random_unit)
        self._records = Records(random_bytes)
        self._missed = Missed(random_unit)
        self._silent: Pauses[Endpoint] = Pauses(SILENT_FIRST_S, SILENT_LAST_S, SILENT_MAX)
        self._reported = ReportedAddresses()
        self._node_count = 0
        self._answered_at: float | None = None
        self._stored_at: float | None = None
        self._trouble = ""
        self._described: object = None
        self._milestones: object = None
        hellos.on_stranger_met = self._met
        hellos.on_stranger_silent = self._unanswered

    def _start(self, now: float) -> None:
        """Begins to announce, or begins again where the port that the outside sees has changed."""
        self._schedule.start(self._own.outside_port, now)
        self._note_hosts(now)

    def handle(self, event: DhtEvent, now: float) -> None:
        """Takes what the session reports."""
        self._handle(event, now)
        self._ask_reported(now)
        self._show(now)

    def _show(self, now: float) -> None:
        """Publishes how the DHT fares: at once where it begins or ceases to work, mere progress within seconds."""
        plan = self._schedule
        milestones = (self.health().state, plan.confirmed_at is None, self._stored_at is None, plan.own_places)
        if milestones != self._milestones:
            self._milestones = milestones
            self._outbox.publish()
        else:
            self._outbox.note(Change.AGE, now)

    def _handle(self, event: DhtEvent, now: float) -> None:
        match event:
            case PeersFound(infohash, endpoints):
                self._answered_at = self._members.heard_at[DHT] = now
                self._trouble = ""
                strangers = self._schedule.found(infohash, endpoints, now)
                self._reported.note(each for each in strangers if self._is_worth_asking(each, now))
            case ItemFound(public_key, _, value):
                self._open(public_key, value, now)
            case ItemMissing(public_key):
                self._end(self._records.forget(public_key))
            case ItemStored(public_key, _, _, acknowledged) if acknowledged:
                self._stored_at = now
                if (reader := self._records.reader_of(public_key)) is not None:
                    self._missed.stored(reader)
            case OutsideAddressSeen(address):
                self._own.note_outside_host(address, now)
                self._note_hosts(now)
            case NodesCounted(count):
                self._count(count, now)
            case Bootstrapped():
                self._schedule.swarm_reached(now)
            case Trouble(reason):
                self._trouble = reason
            case _:
                return

    def handle_timeout(self, now: float) -> None:
        description = (self._own.revision, self._own.outside_port)
        if description != self._described:
            self._described = description
            self._start(now)
            self._schedule.revise(now)
        due_at = self._schedule.poll_timeout()
        if due_at is None or now < due_at:
            return
        requests = self._schedule.due(now, self._members.table.proven_count(now))
        for request in requests:
            match request:
                case Announce() | LookUp():
                    self._ask(request)
                case Publish(epoch, place):
                    self._ask(self._records.put_at(epoch, place, self._record(now)))
                case Fetch(epoch, address):
                    self._ask(self._records.seek_at(epoch, address))
        if any(isinstance(request, LookUp) for request in requests):
            self._look_for_missed(now)

    def poll_timeout(self) -> float | None:
        return self._schedule.poll_timeout()

    def clock_set(self, now: float) -> None:
        self._schedule.clock_set(now)

    def _unanswered(self, address: Endpoint, now: float) -> None:
        """An address of the DHT does not answer: there may be a NAT in front of it, or nobody behind it."""
        self._contacts.drop(address)
        self._silent.begin(address, now)
        self._schedule.want_record(address, now)
        self._ask_reported(now)

    def _met(self, key: PublicKey, now: float) -> None:
        """A peer has answered at an address of the DHT."""
        self._schedule.found_count += 1
        self._ask_reported(now)
        self._outbox.note(self._members.table.label(key, DHT), now)

    def health(self) -> Health:
        if self._trouble:
            return Health(LayerState.DEGRADED, self._trouble)
        is_alive = self._node_count > 0 or self._answered_at is not None
        parts = [f"{self._node_count} nodes"] if self._node_count else ["" if is_alive else "no node has answered yet"]
        parts += [f"announced as {place}" for place in self._schedule.own_places[-2:]]
        parts += dated(
            self._own.wall,
            announced=self._schedule.announced_at,
            confirmed=self._schedule.confirmed_at,
            answered=self._answered_at,
            record_stored=self._stored_at,
        )
        return Health(LayerState.RUNNING if is_alive else LayerState.DEGRADED, ", ".join(filter(None, parts)))

    def _count(self, count: int, now: float) -> None:
        if count and not self._node_count:
            self._trouble = ""
            self._schedule.swarm_reached(now)
        self._node_count = count

    def _note_hosts(self, now: float) -> None:
        self._schedule.set_own_hosts(self._own.hosts(now), now)

    def _ask_reported(self, now: float) -> None:
        """Gives the addresses that are named most to contacts, as many as may be asked at a time."""
        while self._contacts.count(Origin.DHT) < CONCURRENT_MAX and (address := self._reported.take()) is not None:
            if self._is_worth_asking(address, now):
                self._contacts.add(address, Origin.DHT, now)

    def _is_worth_asking(self, address: Endpoint, now: float) -> bool:
        contact = self._contacts.get(address)
        is_known = contact.has_rounds if contact is not None else self._members.table.is_control_endpoint(address)
        return (
            not is_known
            and self._silent.is_over(address, now)
            and self._rules.is_exchange_address(address)
            and not self._rules.is_in_mesh(address.host)
        )

    def _look_for_missed(self, now: float) -> None:
        """Looks for members that have proven themselves to us before, and puts our record where each of them looks.

        A mere name costs nothing here: who has not proven to hold its key for a day is no member that we have met.
        """
        met = [
            record.key
            for record in self._members.table.records()
            if self._members.possessions.are_required_of(record.key, now) and not record.is_proven(now)
        ]
        for key in [key for key in met if not self._pair_keys.is_settled(key)][:AT_A_TIME]:
            self._pair_keys.want(key)
        agreed = [key for key in met if self._pair_keys.get(key) is not None]
        epochs = self._schedule.hours.keys(now)
        for key, must_put in self._missed.due(now, agreed, self._own.revision):
            pair_key = self._pair_keys.get(key)
            if pair_key is None:
                continue
            if must_put:
                slot = epochs[0].pair_slot(pair_key, self._own.key)
                self._ask(self._records.put_for(slot, self._record(now), key))
            for epoch in epochs:
                self._ask(self._records.seek_of(epoch.pair_slot(pair_key, key), key))

    def _record(self, now: float) -> MemberRecord:
        return own_record(self._own, self._schedule.own_places, now)

    def _ask(self, request: DhtRequest) -> None:
        self._outbox.report(DhtRequested(request))

    def _open(self, public_key: bytes, value: bytes, now: float) -> None:
        self._end(self._records.sought(public_key))
        record = self._records.open(public_key, value, self._own.wall.at(now))
        if record is not None:  # else the address keeps its place among the unanswered
            self._answered_at = now
            self._purses.earn_all(record.hosts(), len(value))
            self._members.learn_member_record(record, now)

    def _end(self, sought: Sought | None) -> None:
        if sought is not None and sought.address is not None:
            self._schedule.fetched(sought.address)
