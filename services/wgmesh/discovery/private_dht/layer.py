"""The private DHT put to work: members' sealed records under names that only members can compute.

A record that is older than the one from the same host, of a stranger, or in another's place is refused by every node
that is asked to keep it, because each is a member and can open it. Which member sealed it nobody can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import LayerState
from wgmesh.core.wire.member_record import NONCE_BYTES, MemberRecord, open_record, seal_record
from wgmesh.discovery.dht import DhtEvent, NodesCounted, RecordsRead, StoreRecord
from wgmesh.discovery.dht_schedule import Publish
from wgmesh.discovery.events import DHT, DhtRequested
from wgmesh.discovery.exchange.own_record import own_record
from wgmesh.discovery.exchange.unanswered import Unanswered
from wgmesh.discovery.layer import Health, Layer, dated
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.outbox import Change, Outbox
from wgmesh.discovery.own import Own
from wgmesh.discovery.private_dht.schedule import PrivateDhtSchedule

RECORDS_MAX = 16  # of one reading: eight nodes give one each, and as many may lie here


class PrivateDhtLayer(Layer):
    """Finds members through the private DHT."""

    name = DHT

    def __init__(
        self,
        own: Own,
        members: Membership,
        outbox: Outbox,
        unanswered: Unanswered,
        secret: Secret,
        random_unit: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._own = own
        self._members = members
        self._outbox = outbox
        self._unanswered = unanswered
        self._random_bytes = random_bytes
        self._schedule = PrivateDhtSchedule(own.wall, secret, random_unit)
        self._node_count = self._port = 0
        self._answered_at: float | None = None
        self._described: object = None

    def handle(self, event: DhtEvent, now: float) -> None:
        """Takes what our node reports."""
        match event:
            case NodesCounted(count, port):
                if count and not self._node_count:
                    self._schedule.reached(now)
                self._node_count, self._port = count, port
                self._outbox.publish()
            case RecordsRead(name, values):
                self._take(name, values, now)

    def _take(self, name: bytes, values: Sequence[bytes], now: float) -> None:
        """Takes what was read under a name: all records that belong there, the newest first.

        Any member can write in any name, with the highest revision. So no record stands for the others: each is a hint
        where to ask.
        """
        own = self._own.description
        found = [(record, len(value)) for value in values if (record := self._opened(name, value, now)) is not None]
        if not found or own is None:
            return
        self._answered_at = self._members.heard_at[DHT] = now
        for record, size in sorted(found[:RECORDS_MAX], key=lambda each: each[0].version, reverse=True):
            if record.public_key != own.public_key:
                self._unanswered.earn_all(record.hosts(), size)
                self._members.learn_member_record(record, now)
        self._outbox.note(Change.AGE, now)

    def judge(self, name: bytes, old: bytes | None, new: bytes, now: float) -> bool:
        """Whether a value may be kept under a name, in the place of another."""
        record = self._opened(name, new, now)
        before = None if old is None or record is None else self._opened(name, old, now)
        return record is not None and (before is None or record.version > before.version)

    def handle_timeout(self, now: float) -> None:
        """Asks what is due."""
        if self._own.revision != self._described:
            self._described = self._own.revision
            self._schedule.start(now)
            self._schedule.record.revise(now)
        if (due_at := self._schedule.poll_timeout()) is None or now < due_at:
            return
        table = self._members.table
        missed = [record.key for record in table.records() if not record.is_proven(now)]
        for request in self._schedule.due(now, self._own.key, table.proven_count(now), missed):
            if isinstance(request, Publish):
                record, place = own_record(self._own, (), now), request.place
                value = seal_record(record, request.epoch.record_key, place, self._random_bytes(NONCE_BYTES))
                self._outbox.report(DhtRequested(StoreRecord(place, value)))
            else:
                self._outbox.report(DhtRequested(request))

    def clock_set(self, now: float) -> None:
        self._schedule.clock_set(now)

    def poll_timeout(self) -> float | None:
        return self._schedule.poll_timeout()

    def health(self) -> Health:
        parts = ["private", f"port {self._port}", f"{self._node_count} nodes"]
        if not self._node_count:
            return Health(LayerState.DEGRADED, ", ".join(parts))
        parts += dated(self._own.wall, record_stored=self._schedule.record.stored_at, answered=self._answered_at)
        return Health(LayerState.RUNNING, ", ".join(parts))

    def _opened(self, name: bytes, value: bytes, now: float) -> MemberRecord | None:
        """The record in a value, if it is one of these two hours and belongs under this name."""
        for epoch in self._schedule.hours.keys(now):
            try:
                record = open_record(value, epoch.record_key, name, self._own.wall.at(now))
            except MalformedMessage:
                continue  # of the other hour, or nothing at all
            return record if name in epoch.names_of(record.public_key) else None
        return None
