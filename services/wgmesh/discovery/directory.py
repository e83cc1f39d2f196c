"""The private DHT put to work: members' sealed records under names that only members can compute.

A record that is older, forged or in another's place is refused by every node that is asked to keep it, because each is
a member and can open it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from wgmesh.core.epoch_keys import EpochKeys, epoch_keys
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.member_record import NONCE_BYTES, MemberRecord, open_record, seal_record
from wgmesh.core.model import LayerState, PublicKey
from wgmesh.core.secret import Secret
from wgmesh.discovery.directory_plan import DirectoryPlan, Store
from wgmesh.discovery.events import DhtRequested
from wgmesh.discovery.mainline import ReadRecord, StoreRecord
from wgmesh.discovery.own_record import own_record
from wgmesh.discovery.peer_record import Change
from wgmesh.discovery.roster import Roster
from wgmesh.discovery.state import DiscoveryState

DHT = "dht"


class Directory:
    """Finds members through the private DHT."""

    def __init__(
        self,
        state: DiscoveryState,
        roster: Roster,
        secret: Secret,
        random_unit: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._state = state
        self._roster = roster
        self._random_bytes = random_bytes
        self._plan = DirectoryPlan(functools.lru_cache(4)(functools.partial(epoch_keys, secret)), random_unit)
        self._node_count = 0
        self._port = 0
        self._answered_at: float | None = None
        self._described: object = None

    def note_nodes(self, count: int, port: int, now: float) -> None:
        """Takes how many nodes are known, and where we listen."""
        if count and not self._node_count:
            self._plan.reached(now)
        if (count, port) != (self._node_count, self._port):
            self._state.outbox.publish()
        self._node_count, self._port = count, port

    def take(self, name: bytes, values: Sequence[bytes], now: float) -> None:
        """Takes what was read under a name: the newest record that belongs there."""
        own = self._state.announcer.description
        found = [record for value in values if (record := self._opened(name, value, now)) is not None]
        if not found or own is None:
            return
        self._answered_at = self._state.heard_at[DHT] = now
        newest = max(found, key=_age_key)
        if newest.public_key != own.public_key:
            self._roster.learn_member_record(newest, now)
        self._state.outbox.note(Change.AGE, now)

    def judge(self, name: bytes, old: bytes | None, new: bytes, now: float) -> bool:
        """Whether a value may be kept under a name, in the place of another."""
        record = self._opened(name, new, now)
        if record is None:
            return False
        before = None if old is None else self._opened(name, old, now)
        return before is None or _age_key(record) > _age_key(before)

    def handle_timeout(self, now: float) -> None:
        """Asks what is due."""
        state = self._state
        own = state.announcer.description
        if own is None:
            return
        if state.announcer.revision != self._described:
            self._described = state.announcer.revision
            self._plan.start(now)
            self._plan.revise(now)
        due_at = self._plan.poll_timeout()
        if due_at is None or now < due_at:
            return
        for request in self._plan.due(now, own.public_key, state.proven_count(now), self._missed(now)):
            if isinstance(request, Store):
                record = own_record(state, (), now)
                value = seal_record(record, request.epoch.record_key, request.name, self._random_bytes(NONCE_BYTES))
                state.outbox.report(DhtRequested(StoreRecord(request.name, value)))
            else:
                state.outbox.report(DhtRequested(ReadRecord(request.name)))

    def poll_timeout(self) -> float | None:
        return self._plan.poll_timeout()

    def layer(self) -> tuple[LayerState, str]:
        """How the private DHT fares."""
        parts = ["private", f"port {self._port}", f"{self._node_count} nodes"]
        for word, at in (("record stored", self._plan.stored_at), ("answered", self._answered_at)):
            if at is not None and self._node_count:
                parts.append(f"{word} {datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC")
        return LayerState.RUNNING if self._node_count else LayerState.DEGRADED, ", ".join(parts)

    def _missed(self, now: float) -> Iterable[PublicKey]:
        return [record.key for record in self._state.table.records() if not record.is_proven(now)]

    def _opened(self, name: bytes, value: bytes, now: float) -> MemberRecord | None:
        """The record in a value, if it is one of these two hours and belongs under this name."""
        for epoch in self._plan.epochs(now):
            try:
                record = open_record(value, epoch.record_key, name, now)
            except MalformedMessage:
                continue  # of the other hour, or nothing at all
            return record if _belongs(epoch, name, record.public_key) else None
        return None


def _belongs(epoch: EpochKeys, name: bytes, key: PublicKey) -> bool:
    return name in (epoch.member_name(key), epoch.roster_name(epoch.roster_slot(key)))


def _age_key(record: MemberRecord) -> tuple[int, int]:
    return record.revision, record.issued_at
