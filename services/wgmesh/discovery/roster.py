"""Who joins and who leaves: news into the table, with all that hangs on it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from wgmesh.core.advertised import AdvertisedEndpoint
from wgmesh.core.announcement import Announcement, KnownPeer
from wgmesh.core.member_record import MemberRecord
from wgmesh.core.model import CandidateSource, Endpoint, PublicKey
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.ratelimit import RateLimiter
from wgmesh.core.settings import DEFAULT_LISTEN_PORT
from wgmesh.discovery.contacts import Origin
from wgmesh.discovery.events import LayerHeard, PeerLeft, PeerSighted
from wgmesh.discovery.inbox import Message
from wgmesh.discovery.peer_record import SILENT_S, Change, PeerFacts, PeerRecord
from wgmesh.discovery.state import DiscoveryState
from wgmesh.discovery.tombstones import Departure

KNOWN_PEER = "known-peer"
CACHE = "cache"
RECORD = "dht-record"
NEWS_S = 120.0  # what a peer has said of itself for longer than this has reached everybody
# A claim that a peer has said something newer costs it one HELLO of ours, however often it is made.
CHECKS_PER_S = 0.1
CHECKS_BURST = 2
CHECKED_MAX = 1000  # the peer table's cap


class Roster:
    """Applies authentic news."""

    def __init__(
        self, state: DiscoveryState, follows_from_key: Callable[[ipaddress.IPv4Address, PublicKey], bool]
    ) -> None:
        """`follows_from_key` tells whether a mesh address is one that the key derives."""
        self._state = state
        self._follows_from_key = follows_from_key
        self._checks: RateLimiter[PublicKey] = RateLimiter(CHECKS_PER_S, CHECKS_BURST, CHECKED_MAX)

    def learn(self, message: Message, body: Announcement, method: str, source: Endpoint, now: float) -> bool:
        """Takes what a member says of itself and of others. False if it is not believed."""
        state = self._state
        key = message.sender
        is_new_run = state.clocks.is_new_run(key, message.stamp)
        if key in state.banned:
            return False
        if state.tombstones.refuses_direct(key, message.stamp.timestamp, now, is_new_run):
            return False
        before = state.table.get(key)
        told_before = None if before is None or before.direct_seen_at is None else before.facts.revision
        change = state.table.hear(key, _facts(body), self._announced(body, source), method, now)
        if change is Change.NOTHING:
            return False
        revision = 0 if body.extension is None else body.extension.revision
        if told_before != revision and (not revision or now - revision / 1000 < NEWS_S):
            state.gossip.note_news(key, len(state.table), now)
        state.tombstones.revive(key)
        if is_new_run:
            state.farewells.clear(key)  # the goodbye was that of the run before
        state.clocks.advance(key, message.stamp)
        state.refreshes.ensure(key, now)
        state.heard_at[method] = now
        state.outbox.report(LayerHeard(method))
        self._note(key, change, method, now)
        for known in body.known_peers:
            self._learn_second_hand(known, now)
        return True

    def learn_record(self, known: KnownPeer, now: float) -> bool:
        """Takes what another member's gossip tells of a peer: whom to ask, and where. True if that is somebody new."""
        state = self._state
        record = state.table.get(known.public_key)
        is_new = record is None
        if record is not None and record.is_verified:
            if (known.revision or 0) > record.facts.revision and self._checks.admit(known.public_key, now).allowed:
                state.refreshes.hurry_one(known.public_key, now)  # it says itself what is true
            return False
        self._learn_second_hand(known, now)
        record = state.table.get(known.public_key)
        if record is None:
            return False
        port = known.exchange_port or state.gossip_port
        for endpoint in known.candidates:
            if state.rules.is_candidate(endpoint):
                change = state.table.hear_second_hand(known.public_key, record.facts, endpoint, KNOWN_PEER, now)
                if change is not Change.NOTHING:
                    state.contacts.add(Endpoint(endpoint.host, port), Origin.SECOND_HAND, now, known.public_key)
                state.outbox.note(change, now)
        return is_new

    def learn_member_record(self, record: MemberRecord, now: float) -> None:
        """Takes a record that was found in a DHT: hearsay, with addresses to ask."""
        state = self._state
        if state.tombstones.refuses_record(record.public_key, record.issued_at, now):
            return
        known = KnownPeer(
            public_key=record.public_key,
            mesh_ipv4=record.mesh_ipv4,
            hostname=record.hostname,
            endpoint=AdvertisedEndpoint.of(record.candidates[0]) if record.candidates else None,
            introducer=record.introducer,
            nat_type=record.nat_type,
            revision=record.revision,
            candidates=record.candidates[1:],
        )
        self.learn_record(known, now)
        found = state.table.get(record.public_key)
        if found is None or found.is_proven(now):
            return
        state.outbox.note(state.table.label(record.public_key, RECORD), now)
        for address in record.exchanges:
            if state.rules.is_exchange_address(address) and not state.rules.is_in_mesh(address.host):
                state.contacts.add(address, Origin.SECOND_HAND, now, record.public_key)

    def restore(self, cached: CachedPeer, now: float) -> None:
        """Takes an entry of the peer cache, whatever its age: its address is asked at its turn.

        The file is not tied to the secret, so entries of another mesh are left out.
        """
        state = self._state
        if not state.rules.is_in_mesh(cached.mesh_ipv4) or cached.public_key in state.banned:
            return
        if cached.possession_at is not None:
            state.possessions.note(cached.public_key, cached.possession_at)
        endpoint = cached.endpoint.literal if cached.endpoint is not None else None
        if endpoint is not None and not state.rules.is_candidate(endpoint, heard_from=endpoint):
            endpoint = None
        change = state.table.restore(cached.public_key, _cached_facts(cached), endpoint, now)
        if change is not Change.NOTHING and endpoint is not None:
            address = Endpoint(endpoint.host, state.gossip_port)
            state.contacts.add(address, Origin.CACHE, now, cached.public_key)
        self._note(cached.public_key, change, CACHE, now)

    def cached_peers(self, now: float) -> list[CachedPeer]:
        """What to remember on disk: the peers that are more than hearsay."""
        return [_cached(record, now) for record in self._state.table.records() if record.is_verified]

    def add_candidate(self, key: PublicKey, endpoint: Endpoint, source: CandidateSource, now: float) -> None:
        """Notes an address that a peer was seen at."""
        if self._state.rules.is_candidate(endpoint, heard_from=endpoint):
            self._state.outbox.note(self._state.table.add_candidate(key, endpoint, source, now), now)

    def depart(self, key: PublicKey, reason: Departure, now: float, left_at: int | None = None) -> bool:
        """Removes a peer and remembers that it left. `left_at` is the time on the peer's own clock."""
        if not self._state.table.remove(key):
            return False
        self._bury(key, reason, now, left_at)
        return True

    def set_banned(self, keys: AbstractSet[PublicKey], now: float) -> bool:
        """Makes these keys all that are banned. Whether that is another set than before."""
        state = self._state
        added, freed = keys - state.banned, state.banned - keys
        state.banned.difference_update(freed)
        state.banned.update(added)
        for key in freed:
            state.tombstones.revive(key)
        for key in added:
            self.depart(key, Departure.BANNED, now)
            state.contacts.drop_peer(key)
        return bool(added or freed)

    def expire(self, now: float) -> None:
        """Removes the peers that neither speak nor carry traffic."""
        gone, change = self._state.table.expire(now)
        for key in gone:
            self._bury(key, Departure.SILENT, now)
        self._state.outbox.note(change, now)

    def _bury(self, key: PublicKey, reason: Departure, now: float, left_at: int | None = None) -> None:
        state = self._state
        stamp = state.clocks.newest(key)
        last_said_at = 0 if stamp is None else stamp.timestamp
        # who has just fallen silent, but lives, publishes a newer record soon
        record_at = int(now) if left_at is None else left_at
        state.tombstones.bury(key, last_said_at if left_at is None else left_at, now, record_at)
        state.contacts.drop_peer(key)
        state.refreshes.drop(key)
        state.farewells.clear(key)
        state.witnesses.pop(key, None)
        state.outbox.report(PeerLeft(key, reason))
        state.outbox.note(Change.CONTENT, now)

    def _learn_second_hand(self, known: KnownPeer, now: float) -> None:
        state = self._state
        key = known.public_key
        if key in state.banned:
            return
        if key == state.table.own_key or state.tombstones.refuses_second_hand(key, now):
            return
        if (known.age_s is not None and known.age_s >= SILENT_S) or self._usurps(known):
            return
        endpoint = known.endpoint.literal if known.endpoint is not None else None
        if endpoint is not None and not state.rules.is_candidate(endpoint):
            endpoint = None
        facts = PeerFacts(
            known.mesh_ipv4, known.mesh_ipv6, known.hostname, introducer=known.introducer, nat_type=known.nat_type
        )
        change = state.table.hear_second_hand(key, facts, endpoint, KNOWN_PEER, now)
        if endpoint is not None and change in (Change.CONTENT, Change.NEW_PEER):
            state.contacts.add(Endpoint(endpoint.host, state.gossip_port), Origin.SECOND_HAND, now, key)
        self._note(key, change, KNOWN_PEER, now)

    def _usurps(self, known: KnownPeer) -> bool:
        """Whether hearsay gives a new key the address of somebody else, which it does not derive."""
        state = self._state
        own = state.announcer.description
        if known.public_key in state.table:
            return False
        is_held = bool(state.table.claimants(known.mesh_ipv4)) or (own is not None and known.mesh_ipv4 == own.mesh_ipv4)
        return is_held and not self._follows_from_key(known.mesh_ipv4, known.public_key)

    def _announced(self, body: Announcement, source: Endpoint) -> list[Endpoint]:
        literal = body.endpoint.literal if body.endpoint is not None else None
        named = (literal, *(body.extension.candidates if body.extension is not None else ()))
        return [each for each in named if each is not None and self._state.rules.is_candidate(each, source)]

    def _note(self, key: PublicKey, change: Change, layer: str, now: float) -> None:
        if change is Change.NEW_PEER:
            self._state.outbox.report(PeerSighted(key, layer))
        self._state.outbox.note(change, now)


def wireguard_port(body: Announcement) -> int:
    """The port of a member's WireGuard device; upstream's default where it does not say."""
    return DEFAULT_LISTEN_PORT if body.endpoint is None else body.endpoint.port


def _cached(record: PeerRecord, now: float) -> CachedPeer:
    facts = record.facts
    best = record.candidates.best_first(now)[:1]
    return CachedPeer(
        public_key=record.key,
        mesh_ipv4=facts.mesh_ipv4,
        last_seen=int(record.silent_since),
        mesh_ipv6=facts.mesh_ipv6,
        hostname=facts.hostname,
        endpoint=AdvertisedEndpoint.of(best[0].endpoint) if best else None,
        introducer=facts.introducer,
        routable_networks=facts.routable_networks,
        nat_type=facts.nat_type,
        possession_at=None if record.possession_at is None else int(record.possession_at),
    )


def _cached_facts(cached: CachedPeer) -> PeerFacts:
    return PeerFacts(
        mesh_ipv4=cached.mesh_ipv4,
        mesh_ipv6=cached.mesh_ipv6,
        hostname=cached.hostname,
        routable_networks=cached.routable_networks,
        introducer=cached.introducer,
        nat_type=cached.nat_type,
    )


def _facts(body: Announcement) -> PeerFacts:
    return PeerFacts(
        mesh_ipv4=body.mesh_ipv4,
        mesh_ipv6=body.mesh_ipv6,
        hostname=body.hostname,
        routable_networks=body.routable_networks,
        introducer=body.introducer,
        nat_type=body.nat_type,
        native=body.extension is not None,
        exchange_port=None if body.extension is None else body.extension.exchange_port,
        revision=0 if body.extension is None else body.extension.revision,
    )
