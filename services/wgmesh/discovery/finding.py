"""The Mainline DHT put to work: what its plan asks goes to the shell, what comes back goes to contacts and roster.

Whoever announces himself under our hourly id is only an address: strangers can do so too (BUG 57). It gets one small
HELLO at its turn, and its record is looked up where nobody answers.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from nacl.bindings import crypto_sign_seed_keypair
from wgmesh.core.epoch_keys import EpochKeys, epoch_keys
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.member_record import NONCE_BYTES as RECORD_NONCE_BYTES
from wgmesh.core.member_record import compact, open_record, seal_record
from wgmesh.core.model import Endpoint, LayerState, PublicKey
from wgmesh.core.secret import Secret
from wgmesh.discovery.contacts import CONCURRENT_MAX, Origin
from wgmesh.discovery.events import DhtRequested
from wgmesh.discovery.mainline import (
    Bootstrapped,
    GetItem,
    ItemFound,
    ItemMissing,
    ItemStored,
    MainlineEvent,
    NodesCounted,
    OutsideAddressSeen,
    PeersFound,
    PutItem,
    Trouble,
)
from wgmesh.discovery.mainline_plan import Announce, Fetch, LookUp, MainlinePlan, Publish
from wgmesh.discovery.own_record import own_record
from wgmesh.discovery.peer_record import Change
from wgmesh.discovery.roster import Roster
from wgmesh.discovery.rumours import Rumours
from wgmesh.discovery.state import DiscoveryState

DHT = "dht"
PENDING_MAX = 64
# An address that does not answer is left alone for longer each time.
SILENT_FIRST_S = 10.0
SILENT_LAST_S = 900.0
SILENT_MAX = 4096


class Finding:
    """Finds members through the Mainline DHT."""

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
        self._plan = MainlinePlan(functools.lru_cache(4)(functools.partial(epoch_keys, secret)), random_unit)
        self._pending: OrderedDict[tuple[bytes, bytes], Fetch] = OrderedDict()
        self._silent: OrderedDict[Endpoint, tuple[float, float]] = OrderedDict()
        self._rumours = Rumours()
        self._node_count = 0
        self._answered_at: float | None = None
        self._stored_at: float | None = None
        self._trouble = ""
        self._described: object = None
        self._milestones: object = None

    def start(self, now: float) -> None:
        """Begins to announce, or begins anew where the port that the outside sees has changed."""
        state = self._state
        self._plan.start(state.outside_port(), now)
        self._note_hosts(now)

    def handle(self, event: MainlineEvent, now: float) -> None:
        """Takes what the session reports."""
        self._handle(event, now)
        self._ask_rumours(now)
        self._show(now)

    def _show(self, now: float) -> None:
        """Publishes how the DHT fares: at once where it begins or ceases to work, mere progress within seconds."""
        milestones = (self.layer()[0], self._plan.confirmed_at is None, self._stored_at is None, self._plan.own_places)
        if milestones != self._milestones:
            self._milestones = milestones
            self._state.outbox.publish()
        else:
            self._state.outbox.note(Change.AGE, now)

    def _handle(self, event: MainlineEvent, now: float) -> None:
        match event:
            case PeersFound(infohash, endpoints):
                self._answered_at = self._state.heard_at[DHT] = now
                self._trouble = ""
                strangers = self._plan.found(infohash, endpoints, now)
                self._rumours.note(each for each in strangers if self._is_worth_asking(each, now))
            case ItemFound(public_key, salt, value):
                self._open(public_key, salt, value, now)
            case ItemMissing(public_key, salt):
                self._forget(public_key, salt)
            case ItemStored(_, _, _, acknowledged) if acknowledged:
                self._stored_at = now
            case OutsideAddressSeen(address):
                self._state.outside_hosts.note(address, now)
                self._note_hosts(now)
            case NodesCounted(count):
                self._count(count, now)
            case Bootstrapped():
                self._plan.swarm_reached(now)
            case Trouble(reason):
                self._trouble = reason
            case _:
                return

    def handle_timeout(self, now: float) -> None:
        """Asks what is due."""
        state = self._state
        description = (state.announcer.revision, state.outside_port())
        if description != self._described:
            self._described = description
            self.start(now)
            self._plan.revise(now)
        due_at = self._plan.poll_timeout()
        if due_at is None or now < due_at:
            return
        for request in self._plan.due(now, state.proven_count(now)):
            match request:
                case Announce() | LookUp():
                    state.outbox.report(DhtRequested(request))
                case Publish(epoch, place):
                    value = seal_record(
                        own_record(state, self._plan.own_places, now), epoch.record_key, place, self._nonce()
                    )
                    state.outbox.report(DhtRequested(PutItem(epoch.record_seed, place, value)))
                case Fetch(epoch, address):
                    self._fetch(epoch, address)

    def poll_timeout(self) -> float | None:
        return self._plan.poll_timeout()

    def unanswered(self, address: Endpoint, now: float) -> None:
        """An address of the DHT does not answer: there may be a NAT in front of it, or nobody behind it."""
        self._state.contacts.drop(address)
        _, pause_s = self._silent.pop(address, (now, SILENT_FIRST_S / 2))
        pause_s = min(2 * pause_s, SILENT_LAST_S)
        self._silent[address] = (now + pause_s, pause_s)
        if len(self._silent) > SILENT_MAX:
            self._silent.popitem(last=False)
        self._plan.want_record(address, now)
        self._ask_rumours(now)

    def met(self, key: PublicKey, now: float) -> None:
        """A peer has answered at an address of the DHT."""
        self._plan.found_count += 1
        self._ask_rumours(now)
        self._state.outbox.note(self._state.table.label(key, DHT), now)

    def layer(self) -> tuple[LayerState, str]:
        """How the DHT fares, in words without ages, which would be new at every look."""
        if self._trouble:
            return LayerState.DEGRADED, self._trouble
        is_alive = self._node_count > 0 or self._answered_at is not None
        parts = [f"{self._node_count} nodes"] if self._node_count else ["" if is_alive else "no node has answered yet"]
        parts += [f"announced as {place}" for place in self._plan.own_places[-2:]]
        for word, at in (
            ("announced", self._plan.announced_at),
            ("confirmed", self._plan.confirmed_at),
            ("answered", self._answered_at),
            ("record stored", self._stored_at),
        ):
            if at is not None:
                parts.append(f"{word} {_clock(at)}")
        return LayerState.RUNNING if is_alive else LayerState.DEGRADED, ", ".join(filter(None, parts))

    def _count(self, count: int, now: float) -> None:
        if count and not self._node_count:
            self._trouble = ""
            self._plan.swarm_reached(now)
        self._node_count = count

    def _note_hosts(self, now: float) -> None:
        self._plan.set_own_hosts(self._state.own_hosts(now), now)

    def _ask_rumours(self, now: float) -> None:
        """Gives the addresses that are named most to contacts, as many as may be asked at a time."""
        contacts = self._state.contacts
        while contacts.count(Origin.DHT) < CONCURRENT_MAX and (address := self._rumours.take()) is not None:
            if self._is_worth_asking(address, now):
                contacts.add(address, Origin.DHT, now)

    def _is_worth_asking(self, address: Endpoint, now: float) -> bool:
        state = self._state
        is_known = state.contacts.get(address) is not None or state.is_control_endpoint(address)
        again_at, _ = self._silent.get(address, (now, 0.0))
        return (
            not is_known
            and now >= again_at
            and state.rules.is_exchange_address(address)
            and not state.rules.is_in_mesh(address.host)
        )

    def _fetch(self, epoch: EpochKeys, address: Endpoint) -> None:
        salt = compact(address)
        public_key = _record_public_key(epoch.record_seed)
        self._pending[public_key, salt] = Fetch(epoch, address)
        if len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)
        self._state.outbox.report(DhtRequested(GetItem(public_key, salt)))

    def _open(self, public_key: bytes, salt: bytes, value: bytes, now: float) -> None:
        fetch = self._pending.get((public_key, salt))
        if fetch is None:
            return
        self._plan.fetched(fetch.address)
        try:
            record = open_record(value, fetch.epoch.record_key, salt, now)
        except MalformedMessage:
            return  # somebody who is no member, or a recording; the address keeps its place among the unanswered
        self._answered_at = now
        self._roster.learn_member_record(record, now)

    def _forget(self, public_key: bytes, salt: bytes) -> None:
        fetch = self._pending.pop((public_key, salt), None)
        if fetch is not None:
            self._plan.fetched(fetch.address)

    def _nonce(self) -> bytes:
        return self._random_bytes(RECORD_NONCE_BYTES)


@functools.lru_cache(8)
def _record_public_key(seed: bytes) -> bytes:
    public_key, _ = crypto_sign_seed_keypair(seed)
    return bytes(public_key)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
