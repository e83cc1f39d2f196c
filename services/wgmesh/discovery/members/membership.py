"""Who joins and who leaves: news into the table, with all that hangs on it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from wgmesh.core.clock import WallClock
from wgmesh.core.model import CandidateSource, Endpoint, PeerProof, PublicKey, SelfDescription
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.ratelimit import RateLimiter
from wgmesh.core.settings import DEFAULT_LISTEN_PORT
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Announcement, KnownPeer
from wgmesh.core.wire.member_record import MemberRecord
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.events import (
    CACHE,
    DHT,
    DHT_RECORD,
    EXCHANGE,
    KNOWN_PEER,
    STATIC,
    LayerHeard,
    PeerDisplaced,
    PeerLeft,
    PeerSighted,
)
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import Contacts, Origin
from wgmesh.discovery.members.evidence import Evidence, Payer
from wgmesh.discovery.members.pending_goodbyes import PendingGoodbyes
from wgmesh.discovery.members.record import SILENT_S, PeerFacts, PeerRecord
from wgmesh.discovery.members.refreshes import Refreshes
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.members.tombstones import Departure, Tombstones
from wgmesh.discovery.messages.authentication import Possessions, Standing
from wgmesh.discovery.messages.inbox import Message
from wgmesh.discovery.messages.rate_limits import host_of
from wgmesh.discovery.messages.replay import SenderClocks
from wgmesh.discovery.outbox import Change, Outbox, greater

NEWS_S = 120.0  # what a peer has said of itself for longer than this has reached everybody
# A claim that a peer has said something newer costs it one HELLO of ours, however often it is made.
CHECKS_PER_S = 0.1
CHECKS_BURST = 2
CHECKED_MAX = 1000  # the peer table's cap
# What has named an address, so that it has found the member that speaks there.
_NAMED_BY = {Origin.STATIC: STATIC, Origin.CACHE: CACHE, Origin.DHT: DHT}


class Membership:
    """Owns what is known of the members, and applies authentic news to it.

    The parts are there to be read. What changes more than one of them goes through the methods here.
    """

    def __init__(
        self,
        wall: WallClock,
        rules: AddressRules,
        gossip_port: int,
        follows_from_key: Callable[[ipaddress.IPv4Address, PublicKey], bool],
        contacts: Contacts,
        outbox: Outbox,
        random_unit: Callable[[], float],
        bounds: Bounds,
    ) -> None:
        """`follows_from_key` tells whether a mesh address is one that the key derives."""
        self.table = PeerTable(bounds.peers)
        self.clocks = SenderClocks(bounds.senders)
        self.tombstones = Tombstones(bounds.tombstones)
        self.possessions = Possessions()
        self.refreshes = Refreshes(random_unit)
        self.pending_goodbyes = PendingGoodbyes()
        self.banned: set[PublicKey] = set()
        """Whom the operator wants nothing to do with: their messages are dropped, and news of them too."""
        self.heard_at: dict[str, float] = {}
        """When each way of finding last brought something."""
        self.on_news: Callable[[PublicKey, float], None] = lambda key, now: None
        """Told of a member that is new, or that describes itself in new words."""
        self._wall = wall
        self._rules = rules
        self._gossip_port = gossip_port
        self._follows_from_key = follows_from_key
        self._contacts = contacts
        self._outbox = outbox
        self._own_ipv4: ipaddress.IPv4Address | None = None
        self._checks: RateLimiter[PublicKey] = RateLimiter(CHECKS_PER_S, CHECKS_BURST, CHECKED_MAX)

    def set_own(self, description: SelfDescription) -> None:
        """Sets who we are: no peer of ours, and no claimant of our own address."""
        self._own_ipv4 = description.mesh_ipv4
        self.table.set_own_key(description.public_key)

    def exchange_port_of(self, record: PeerRecord) -> int:
        """Where a peer listens: it says so where another program has the mesh's port."""
        return record.facts.exchange_port or self._gossip_port

    def exchange_port_in(self, body: Announcement) -> int:
        """Where the sender of an announcement listens."""
        return (body.extension.exchange_port if body.extension is not None else None) or self._gossip_port

    def note_proof(self, key: PublicKey, now: float) -> None:
        """Notes that a known peer has just proven to hold its private key."""
        if key in self.table:
            self.possessions.note(key, now)
            self._outbox.note(self.table.note_possession(key, now), now)

    def weigh(
        self, key: PublicKey, source: Endpoint, standing: Standing, now: float, is_answer: bool = False
    ) -> Evidence:
        """What a message in the name of `key` is worth. `is_answer` says that `source` is where we had asked."""
        if standing is Standing.PROVEN:
            return Evidence.POSSESSION
        if self._came_through_tunnel(key, source, now):
            return Evidence.TUNNEL
        return Evidence.ANSWER if is_answer and standing is not Standing.DOUBTFUL else Evidence.CLAIM

    def is_outranked(
        self, message: Message, body: Announcement, evidence: Evidence, source: Endpoint, now: float
    ) -> bool:
        """Whether more is known of the sender than this message can say. What it says otherwise is asked of itself."""
        if not self.table.outranks(message.sender, evidence, source, now):
            return False
        if self.clocks.is_new_run(message.sender, message.stamp):
            self.pending_goodbyes.clear(message.sender)  # one unproven word against another: the tunnel decides
        record = self.table.get(message.sender)
        if record is not None and not record.facts.native and record.facts != _facts(body):
            self.check(message.sender, now)
        return True

    def check(self, key: PublicKey, now: float) -> bool:
        """Asks a peer soon what it says itself; however often somebody wants that, few HELLOs come of it."""
        if not self._checks.admit(key, now).allowed:
            return False
        self.refreshes.hurry_one(key, now)
        return True

    def learn(
        self, message: Message, body: Announcement, method: str, source: Endpoint, now: float, evidence: Evidence
    ) -> bool:
        """Takes what is said in a member's name, of itself and of others. False if it is not believed.

        What is not direct is neither reported nor news, and of others it says nothing that would be heard.
        """
        key = message.sender
        is_new_run = self.clocks.is_new_run(key, message.stamp)
        if key in self.banned:
            return False
        if self.tombstones.refuses_direct(key, message.stamp.timestamp, now, is_new_run):
            return False
        before = self.table.get(key)
        was_direct = before is not None and before.is_verified
        told_before = None if before is None or not was_direct else before.facts.revision
        found_by = self._found_by(method, source)
        change = self.table.hear(key, _facts(body), self._announced(body, source), found_by, now, evidence, source)
        self._note_displaced(now)
        if change is Change.NOTHING:
            return False
        change = greater(change, self.table.label(key, method, None if evidence.is_direct else source.host))
        self.clocks.advance(key, message.stamp, self._wall.at(now), is_proven=evidence is Evidence.POSSESSION)
        self.heard_at[method] = now
        self._outbox.report(LayerHeard(method))
        self._outbox.note(change, now)
        record = self.table.get(key)
        if record is None or not record.is_verified:
            return True
        revision = 0 if body.extension is None else body.extension.revision
        if told_before != revision and (not revision or self._wall.at(now) - revision / 1000 < NEWS_S):
            self.on_news(key, now)
        self.tombstones.revive(key)
        if is_new_run:
            self.pending_goodbyes.clear(key)  # the goodbye was that of the run before
        self.refreshes.ensure(key, now)
        if not was_direct:
            self._outbox.report(PeerSighted(key, record.methods[0]))
        informant = self._informant(record, source, now)
        for known in body.known_peers:
            self._learn_second_hand(known, KNOWN_PEER, now, informant, record.is_proven(now))
        return True

    def prove(self, proofs: Iterable[PeerProof], now: float) -> None:
        """Takes the proofs of the data path."""
        known = list(proofs)
        unproven = [
            record
            for proof in known
            if (record := self.table.get(proof.public_key)) is not None and not record.is_verified
        ]
        self._outbox.note(self.table.prove(known, now), now)
        if any(proof.endpoint.host in self._rules.beyond for proof in known):  # WireGuard roams where it likes
            self.forget_beyond(now)
        for record in unproven:
            if record.is_verified:
                self._outbox.report(PeerSighted(record.key, record.methods[0]))

    def forget_beyond(self, now: float) -> None:
        """Forgets the candidates that are reached through interfaces which do not carry the mesh."""
        beyond = self._rules.beyond
        self._outbox.note(self.table.forget_candidates(lambda endpoint: endpoint.host in beyond), now)

    def lose(self, keys: AbstractSet[PublicKey], now: float) -> list[PeerRecord]:
        """Makes these keys all whose tunnels do not answer. Returns those of whom that is news."""
        lost = self.table.set_lost(keys, now)
        if lost:
            self._outbox.note(Change.CONTENT, now)
        return lost

    def learn_record(self, known: KnownPeer, method: str, now: float, informant: PublicKey | None = None) -> bool:
        """Takes what another member's record tells of a peer: whom to ask, and where. True if that is somebody new.

        `informant` has told of it through its tunnel; None where it was found in a DHT.
        """
        record = self.table.get(known.public_key)
        is_new = record is None
        if record is not None and record.is_verified:
            if (known.revision or 0) > record.facts.revision:
                self.check(known.public_key, now)  # it says itself what is true
            return False
        self._learn_second_hand(known, method, now, informant or method, is_reached=True)
        record = self.table.get(known.public_key)
        if record is None:
            return False
        port = known.exchange_port or self._gossip_port
        for endpoint in known.candidates:
            if self._rules.is_candidate(endpoint):
                change = self.table.hear_second_hand(known.public_key, record.facts, endpoint, method, now)
                if change is not Change.NOTHING:
                    self._contacts.add(Endpoint(endpoint.host, port), Origin.SECOND_HAND, now, known.public_key)
                self._outbox.note(change, now)
        return is_new

    def learn_member_record(self, record: MemberRecord, now: float) -> None:
        """Takes a record that was found in a DHT: hearsay, with addresses to ask."""
        if self.tombstones.refuses_record(record.public_key, self._wall.when(record.issued_at), now):
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
        self.learn_record(known, DHT_RECORD, now)
        found = self.table.get(record.public_key)
        if found is None or found.is_proven(now):
            return
        self._outbox.note(self.table.label(record.public_key, DHT_RECORD), now)
        for address in record.exchanges:
            if self._rules.is_exchange_address(address) and not self._rules.is_in_mesh(address.host):
                self._contacts.add(address, Origin.SECOND_HAND, now, record.public_key)

    def restore(self, cached: CachedPeer, now: float) -> None:
        """Takes an entry of the peer cache, whatever its age: its address is asked at its turn.

        The file is not tied to the secret, so entries of another mesh are left out.
        """
        if not self._rules.is_in_mesh(cached.mesh_ipv4) or cached.public_key in self.banned:
            return
        if cached.possession_at is not None:
            self.possessions.note(cached.public_key, min(self._wall.when(cached.possession_at), now))
        endpoint = cached.endpoint.literal if cached.endpoint is not None else None
        if endpoint is not None and not self._rules.is_candidate(endpoint, heard_from=endpoint):
            endpoint = None
        change = self.table.restore(cached.public_key, _cached_facts(cached), endpoint, now)
        if change is not Change.NOTHING and endpoint is not None:
            address = Endpoint(endpoint.host, self._gossip_port)
            self._contacts.add(address, Origin.CACHE, now, cached.public_key)
        self._outbox.note(change, now)

    def cached_peers(self, now: float) -> list[CachedPeer]:
        """What to remember on disk: the peers that are more than hearsay."""
        return [_cached(record, self._wall, now) for record in self.table.records() if record.is_verified]

    def add_candidate(self, key: PublicKey, endpoint: Endpoint, source: CandidateSource, now: float) -> None:
        """Notes an address that a peer was seen at."""
        if self._rules.is_candidate(endpoint, heard_from=endpoint):
            self._outbox.note(self.table.add_candidate(key, endpoint, source, now), now)

    def depart(
        self, key: PublicKey, reason: Departure, now: float, left_at: int | None = None, is_proven: bool = False
    ) -> bool:
        """Removes a peer and remembers that it left. `left_at` is the time on the peer's own clock.

        Without a proof that it was the peer who said so it counts only up to now: it never keeps a later word out.
        """
        record = self.table.get(key)
        if record is None or not self.table.remove(key):
            return False
        if left_at is not None and not is_proven:
            left_at = min(left_at, int(self._wall.at(now)))
        self._bury(record, reason, now, left_at)
        return True

    def set_banned(self, keys: AbstractSet[PublicKey], now: float) -> bool:
        """Makes these keys all that are banned. Whether that is another set than before."""
        added, freed = keys - self.banned, self.banned - keys
        self.banned.difference_update(freed)
        self.banned.update(added)
        for key in freed:
            self.tombstones.revive(key)
        for key in added:
            self.depart(key, Departure.BANNED, now)
            self._contacts.drop_peer(key)
        return bool(added or freed)

    def expire(self, now: float) -> None:
        """Removes the peers that neither speak nor carry traffic."""
        gone, change = self.table.expire(now)
        for record in gone:
            self._bury(record, Departure.SILENT, now)
        self._outbox.note(change, now)

    def _bury(self, record: PeerRecord, reason: Departure, now: float, left_at: int | None = None) -> None:
        key = record.key
        if record.evidence is not Evidence.CLAIM or reason is Departure.BANNED:  # somebody else may have made the claim
            stamp = self.clocks.newest(key)
            last_said_at = 0 if stamp is None else stamp.timestamp
            # who has just fallen silent, but lives, publishes a newer record soon
            record_at = now if left_at is None else self._wall.when(left_at)
            self.tombstones.bury(key, last_said_at if left_at is None else left_at, now, record_at)
        self._contacts.drop_peer(key)
        self.refreshes.drop(key)
        self.pending_goodbyes.clear(key)
        if record.is_verified:
            self._outbox.report(PeerLeft(key, reason, record.facts.hostname, record.facts.mesh_ipv4))
        self._outbox.note(Change.CONTENT, now)

    def _note_displaced(self, now: float) -> None:
        """Notes who has given way to others. None of them has left, so each may come back at any time."""
        for record in self.table.take_displaced():
            self.refreshes.drop(record.key)
            self.pending_goodbyes.clear(record.key)
            key, is_peer = record.key, record.is_verified
            facts = record.facts
            left = PeerLeft(key, Departure.DISPLACED, facts.hostname, facts.mesh_ipv4)
            self._outbox.report(left if is_peer else PeerDisplaced(key))
            self._outbox.note(Change.CONTENT, now)

    def _learn_second_hand(self, known: KnownPeer, method: str, now: float, informant: Payer, is_reached: bool) -> None:
        key = known.public_key
        if key in self.banned or self.tombstones.refuses_second_hand(key, now):
            return
        if (known.age_s is not None and known.age_s >= SILENT_S) or self._usurps(known):
            return
        endpoint = known.endpoint.literal if known.endpoint is not None else None
        if endpoint is not None and not self._rules.is_candidate(endpoint):
            endpoint = None
        facts = PeerFacts(
            known.mesh_ipv4, known.mesh_ipv6, known.hostname, introducer=known.introducer, nat_type=known.nat_type
        )
        change = self.table.hear_second_hand(key, facts, endpoint, method, now, informant, is_reached)
        self._note_displaced(now)
        if endpoint is not None and change in (Change.CONTENT, Change.NEW_PEER):
            self._contacts.add(Endpoint(endpoint.host, self._gossip_port), Origin.SECOND_HAND, now, key)
        self._outbox.note(change, now)

    def _informant(self, record: PeerRecord, source: Endpoint, now: float) -> Payer:
        """Who pays for the names that a member tells: itself where its tunnel works, else its host."""
        return record.key if record.is_proven(now) else host_of(source.host)

    def _came_through_tunnel(self, key: PublicKey, source: Endpoint, now: float) -> bool:
        """Whether WireGuard vouches for the sender: a working tunnel to it, and nobody else's to that address.

        The message itself must not be asked which address its sender has: it would name the one that it came from.
        """
        record = self.table.get(key)
        if record is None or not record.is_proven(now) or not self._rules.is_in_mesh(source.host):
            return False
        claimants = (self.table.get(each) for each in self.table.claimants(source.host))
        return [each.key for each in claimants if each is not None and each.is_proven(now)] == [key]

    def _found_by(self, method: str, address: Endpoint) -> str:
        """What led to a member that speaks: the way its words came, or what had named its address before it spoke."""
        contact = self._contacts.get(address) if method == EXCHANGE else None
        return method if contact is None else _NAMED_BY.get(contact.origin, method)

    def _usurps(self, known: KnownPeer) -> bool:
        """Whether hearsay gives a new key the address of somebody else, which it does not derive."""
        if known.public_key in self.table:
            return False
        holders = (self.table.get(each) for each in self.table.claimants(known.mesh_ipv4))
        is_held = any(each is not None and each.is_verified for each in holders) or known.mesh_ipv4 == self._own_ipv4
        return is_held and not self._follows_from_key(known.mesh_ipv4, known.public_key)

    def _announced(self, body: Announcement, source: Endpoint) -> list[Endpoint]:
        literal = body.endpoint.literal if body.endpoint is not None else None
        named = (literal, *(body.extension.candidates if body.extension is not None else ()))
        return [each for each in named if each is not None and self._rules.is_candidate(each, source)]


def wireguard_port(body: Announcement) -> int:
    """The port of a member's WireGuard device; upstream's default where it does not say."""
    return DEFAULT_LISTEN_PORT if body.endpoint is None else body.endpoint.port


def _cached(record: PeerRecord, wall: WallClock, now: float) -> CachedPeer:
    facts = record.facts
    best = record.candidates.best_first(now)
    return CachedPeer(
        public_key=record.key,
        mesh_ipv4=facts.mesh_ipv4,
        last_seen=int(wall.at(record.silent_since)),
        mesh_ipv6=facts.mesh_ipv6,
        hostname=facts.hostname,
        endpoint=AdvertisedEndpoint.of(best[0].endpoint) if best else None,
        introducer=facts.introducer,
        routable_networks=facts.routable_networks,
        nat_type=facts.nat_type,
        possession_at=None if record.possession_at is None else int(wall.at(record.possession_at)),
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
