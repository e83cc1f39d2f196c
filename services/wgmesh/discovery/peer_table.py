"""The peer table: what is known of every member, from whom, and since when.

Three kinds of news, each with its own weight:
    direct       the peer itself has spoken: its facts replace what was known
    second hand  another member speaks of it: fills gaps, never refreshes, is not passed on until proven
    proof        WireGuard has reached it: whatever discovery hears or does not hear, the peer stays
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from wgmesh.core.model import CandidateSource, Endpoint, IPAddress, IPNetwork, Peer, PeerProof, PublicKey
from wgmesh.discovery.candidates import PROOF_FRESH_S, Candidates

PEERS_MAX = 1000  # upstream's cap (protocol notes, section 15.3)
SILENT_S = 600.0  # upstream's removal age, so that both kinds of node agree on who is gone
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What a member says of itself, or what is said of it."""

    mesh_ipv4: ipaddress.IPv4Address
    mesh_ipv6: ipaddress.IPv6Address | None = None
    hostname: str = ""
    routable_networks: tuple[IPNetwork, ...] = ()
    introducer: bool = False
    nat_type: str = ""
    native: bool = False
    exchange_port: int | None = None
    """Where it listens, None where that is the mesh's own exchange port."""


class Change(StrEnum):
    """How much some news has changed the table."""

    NOTHING = "nothing"
    AGE = "age"
    """The same as before, only younger."""
    CONTENT = "content"
    NEW_PEER = "new-peer"


@dataclass(slots=True)
class PeerRecord:
    """One member. Owned by the table; others only read it."""

    key: PublicKey
    facts: PeerFacts
    first_seen_at: float
    candidates: Candidates = field(default_factory=Candidates)
    methods: list[str] = field(default_factory=list)
    direct_seen_at: float | None = None
    proven_at: float | None = None
    control_endpoint: Endpoint | None = None
    traceparent: str = ""

    def is_proven(self, now: float) -> bool:
        """Whether WireGuard reached the peer so recently that its session still carries traffic."""
        return self.proven_at is not None and now - self.proven_at < PROOF_FRESH_S

    @property
    def is_verified(self) -> bool:
        """Whether there is better evidence than other members' words."""
        return self.direct_seen_at is not None or self.proven_at is not None

    @property
    def silent_since(self) -> float:
        return max(self.direct_seen_at or NEVER, self.proven_at or NEVER, self.first_seen_at)

    def hosts(self) -> set[IPAddress]:
        """Every address from which this peer may speak: mesh, control and candidate addresses."""
        hosts: set[IPAddress] = {endpoint.host for endpoint in self.candidates.endpoints()}
        hosts.add(self.facts.mesh_ipv4)
        if self.facts.mesh_ipv6 is not None:
            hosts.add(self.facts.mesh_ipv6)
        if self.control_endpoint is not None:
            hosts.add(self.control_endpoint.host)
        return hosts

    def to_peer(self, now: float) -> Peer:
        facts = self.facts
        return Peer(
            public_key=self.key,
            mesh_ipv4=facts.mesh_ipv4,
            mesh_ipv6=facts.mesh_ipv6,
            hostname=facts.hostname,
            candidates=self.candidates.best_first(now),
            discovery_methods=tuple(self.methods),
            introducer=facts.introducer,
            routable_networks=facts.routable_networks,
            nat_type=facts.nat_type,
            first_seen_at=self.first_seen_at,
            direct_seen_at=self.direct_seen_at,
            native=facts.native,
            traceparent=self.traceparent,
            control_endpoint=self.control_endpoint,
        )


class PeerTable:
    """All members but ourselves."""

    def __init__(self) -> None:
        self._records: dict[PublicKey, PeerRecord] = {}
        self.own_key: PublicKey | None = None

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: PublicKey) -> bool:
        return key in self._records

    def get(self, key: PublicKey) -> PeerRecord | None:
        return self._records.get(key)

    def records(self) -> tuple[PeerRecord, ...]:
        return tuple(self._records.values())

    def peers(self, now: float) -> tuple[Peer, ...]:
        """The table as values, in the order of the keys."""
        return tuple(self._records[key].to_peer(now) for key in sorted(self._records))

    def set_own_key(self, key: PublicKey) -> None:
        self.own_key = key
        self._records.pop(key, None)

    def hear(self, key: PublicKey, facts: PeerFacts, announced: Iterable[Endpoint], method: str, now: float) -> Change:
        """Takes what the peer itself has just said. Its facts and announced addresses replace the earlier ones."""
        record = self._records.get(key)
        change = Change.AGE
        if record is None:
            if not self._admit(key):
                return Change.NOTHING
            record = self._records[key] = PeerRecord(key, facts, now)
            change = Change.NEW_PEER
        before = record.candidates.endpoints()
        record.candidates.replace(announced, CandidateSource.ANNOUNCED, now)
        if record.facts != facts or record.direct_seen_at is None or before != record.candidates.endpoints():
            change = _greater(change, Change.CONTENT)
        if record.facts.exchange_port != facts.exchange_port:
            record.control_endpoint = None  # it has started anew, and listens elsewhere
        record.facts = facts
        record.direct_seen_at = now
        return _greater(change, _label(record, method))

    def hear_second_hand(
        self, key: PublicKey, facts: PeerFacts, endpoint: Endpoint | None, method: str, now: float
    ) -> Change:
        """Takes what another member says of a peer. Doing it again changes nothing."""
        record = self._records.get(key)
        if record is None:
            if key == self.own_key or len(self._records) >= PEERS_MAX:
                return Change.NOTHING
            record = self._records[key] = PeerRecord(key, facts, now)
            _label(record, method)
            change = Change.NEW_PEER
        else:
            change = self._fill_gaps(record, facts)
        if endpoint is not None and endpoint not in record.candidates.endpoints():
            record.candidates.hear(endpoint, CandidateSource.SECOND_HAND, now)
            if endpoint in record.candidates.endpoints():
                change = _greater(change, Change.CONTENT)
        return change

    def restore(self, key: PublicKey, facts: PeerFacts, endpoint: Endpoint | None, now: float) -> Change:
        """Takes an entry of the peer cache. Whatever was heard in this life of the process is newer."""
        if key in self._records or key == self.own_key or len(self._records) >= PEERS_MAX:
            return Change.NOTHING
        record = self._records[key] = PeerRecord(key, facts, now, methods=["cache"])
        if endpoint is not None:
            record.candidates.hear(endpoint, CandidateSource.CACHE, now)
        return Change.NEW_PEER

    def add_candidate(self, key: PublicKey, endpoint: Endpoint, source: CandidateSource, now: float) -> Change:
        """Notes a further address of a known peer."""
        record = self._records.get(key)
        if record is None:
            return Change.NOTHING
        before = record.candidates.best_first(now)[:1]
        known = endpoint in record.candidates.endpoints()
        record.candidates.hear(endpoint, source, now)
        best = record.candidates.best_first(now)[:1]
        return Change.AGE if known and before and before[0].endpoint == best[0].endpoint else Change.CONTENT

    def set_control_endpoint(self, key: PublicKey, endpoint: Endpoint) -> Change:
        """Notes the exchange address from which a peer has answered us."""
        record = self._records.get(key)
        if record is None or record.control_endpoint == endpoint:
            return Change.NOTHING
        record.control_endpoint = endpoint
        return Change.CONTENT

    def label(self, key: PublicKey, method: str) -> Change:
        """Notes a further way in which a peer was found."""
        record = self._records.get(key)
        return Change.NOTHING if record is None else _label(record, method)

    def set_traceparent(self, key: PublicKey, traceparent: str) -> None:
        """Gives a peer the trace that follows its joining."""
        record = self._records.get(key)
        if record is not None:
            record.traceparent = traceparent

    def prove(self, proofs: Iterable[PeerProof], now: float) -> Change:
        """Takes the proofs of the data path. Proofs of unknown peers are no concern of discovery."""
        change = Change.NOTHING
        for proof in proofs:
            record = self._records.get(proof.public_key)
            if record is None or proof.proven_at <= (record.proven_at or NEVER):
                continue
            was = (record.is_proven(now), [each.endpoint for each in record.candidates.best_first(now)])
            record.proven_at = min(proof.proven_at, now)
            record.candidates.prove(proof.endpoint, record.proven_at)
            is_now = (record.is_proven(now), [each.endpoint for each in record.candidates.best_first(now)])
            change = _greater(change, Change.AGE if was == is_now else Change.CONTENT)
        return change

    def remove(self, key: PublicKey) -> bool:
        return self._records.pop(key, None) is not None

    def expire(self, now: float) -> tuple[tuple[PublicKey, ...], Change]:
        """Drops old addresses, and peers that neither speak nor carry traffic. Returns the keys of those."""
        dropped = [record.candidates.expire(now) for record in self._records.values()]
        gone = tuple(
            key
            for key, record in self._records.items()
            if now - record.silent_since >= SILENT_S and not record.is_proven(now)
        )
        for key in gone:
            del self._records[key]
        return gone, Change.CONTENT if gone or any(dropped) else Change.NOTHING

    def next_expiry(self, now: float) -> float | None:
        """When `expire` has something to do next."""
        ends = [max(record.silent_since + SILENT_S, now) for record in self._records.values()]
        changes = [record.candidates.next_change(now) for record in self._records.values()]
        return min((*ends, *(at for at in changes if at is not None)), default=None)

    def _admit(self, key: PublicKey) -> bool:
        """Makes room for a peer that speaks for itself: at the cap it takes the place of one known only by hearsay."""
        if key == self.own_key:
            return False
        if len(self._records) < PEERS_MAX:
            return True
        hearsay = [record for record in self._records.values() if not record.is_verified]
        if not hearsay:
            return False
        del self._records[min(hearsay, key=lambda record: record.first_seen_at).key]
        return True

    def _fill_gaps(self, record: PeerRecord, facts: PeerFacts) -> Change:
        if record.is_verified:
            return Change.NOTHING
        merged = replace(
            record.facts,
            mesh_ipv6=record.facts.mesh_ipv6 or facts.mesh_ipv6,
            hostname=record.facts.hostname or facts.hostname,
            nat_type=record.facts.nat_type or facts.nat_type,
            introducer=record.facts.introducer or facts.introducer,
        )
        if merged == record.facts:
            return Change.NOTHING
        record.facts = merged
        return Change.CONTENT


_WEIGHT = {change: weight for weight, change in enumerate(Change)}


def _greater(one: Change, other: Change) -> Change:
    return one if _WEIGHT[one] >= _WEIGHT[other] else other


def _label(record: PeerRecord, method: str) -> Change:
    if method in record.methods:
        return Change.NOTHING
    record.methods.append(method)
    return Change.CONTENT
