"""One member of the mesh: what it says of itself, where it may be reached, and how sure of it we are."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, IPAddress, IPNetwork, Peer, PublicKey, Silence
from wgmesh.discovery.members.candidates import PROOF_FRESH_S, TUNNEL_LOST_S, Candidates
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.outbox import Change

SILENT_S = 600.0  # upstream's removal age, so that both kinds of node agree on who is gone
# Two turns of a Go node, which says HELLO every 45 to 60 s. Who is there and answers is direct long before that.
CLAIM_S = 90.0
# Two of our questions, which come every 45 s, without an answer: it may have moved.
ANSWER_FRESH_S = 120.0
# Who is there speaks every 45 s, or through a tunnel that proves it: after five silent turns others are not told of it.
TELLABLE_S = TUNNEL_LOST_S
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
    revision: int = 0
    """The peer's own count of what it has said of itself; 0 for upstream's, which have none."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Where a peer has seen our exchange socket."""

    endpoint: Endpoint
    seen_at: float


@dataclass(slots=True)
class PeerRecord:
    """One member. Owned by the table; others only read it."""

    key: PublicKey
    facts: PeerFacts
    first_seen_at: float
    candidates: Candidates = field(default_factory=Candidates)
    methods: list[str] = field(default_factory=list)
    evidence: Evidence = Evidence.HEARSAY
    """The best there was since it came into the table."""
    claimed_at: float | None = None
    """When somebody last spoke in its name, while nothing better was known."""
    claimed_from: dict[str, IPAddress] = field(default_factory=dict)
    """For each way in which it was found by a mere claim, where that came from."""
    direct_seen_at: float | None = None
    """When it last spoke to us with a proof, or from an address at which we had asked."""
    proven_at: float | None = None
    possession_at: float | None = None
    """When it last proved to hold its private key, in a message to us."""
    control_endpoint: Endpoint | None = None
    silence: Silence | None = None
    """Where it was asked in vain since it last answered."""
    witness: Witness | None = None
    is_lost: bool = False
    """Whether its tunnel worked and does not answer any more. The node says so, and when that ends."""
    traceparent: str = ""

    def is_proven(self, now: float) -> bool:
        """Whether WireGuard reached the peer so recently that its session still carries traffic."""
        return not self.is_lost and self.proven_at is not None and now - self.proven_at < PROOF_FRESH_S

    def is_tellable(self, now: float) -> bool:
        """Whether others may be told of it: what we would not say of it ourselves helps nobody."""
        return self.is_verified and not self.is_lost and now - self.silent_since < TELLABLE_S

    @property
    def is_verified(self) -> bool:
        """Whether there is better evidence than words that anybody could have said."""
        return self.evidence.is_direct

    @property
    def silent_since(self) -> float:
        return max(self.direct_seen_at or NEVER, self.proven_at or NEVER, self.first_seen_at)

    @property
    def lapses_at(self) -> float:
        """When it has to go unless something more is heard. A mere claim goes early."""
        if self.evidence is Evidence.CLAIM:
            return (self.claimed_at or self.first_seen_at) + CLAIM_S
        return self.silent_since + SILENT_S

    def outranks(self, evidence: Evidence, source: Endpoint | None, now: float) -> bool:
        """Whether a word of this rank, from `source`, may not replace what is known; see evidence.py."""
        if evidence >= Evidence.POSSESSION:
            return False
        if self.is_proven(now):
            hosts = self.candidates.newest_proven_hosts()
            return evidence is Evidence.CLAIM or source is None or source.host not in hosts
        if not self.is_verified:
            return False
        if evidence is not Evidence.ANSWER or self.evidence is Evidence.POSSESSION:
            return True
        is_silent = now - (self.direct_seen_at or NEVER) >= ANSWER_FRESH_S
        return self.control_endpoint not in (None, source) and not is_silent

    def next_expiry(self, now: float) -> float:
        """When a record that is alive has to be looked at again."""
        due = [self.lapses_at, self.candidates.next_change(now), self.silent_since + TELLABLE_S]
        return min(at for at in due if at is not None and at > now)

    def label(self, method: str) -> Change:
        """Notes a way in which the peer was found."""
        if method in self.methods:
            return Change.NOTHING
        self.methods.append(method)
        return Change.CONTENT

    def label_claim(self, method: str, host: IPAddress) -> Change:
        """Notes a way in which somebody at `host` has spoken in its name."""
        if method not in self.methods:
            self.claimed_from[method] = host
        return self.label(method)

    def drop_claims(self, host: IPAddress | None) -> None:
        """Forgets the ways that were claimed from elsewhere than where it has now shown itself, at `host`."""
        own_hosts = {host, *self.hosts()}
        for method, claimed_from in self.claimed_from.items():
            if claimed_from not in own_hosts:
                self.methods.remove(method)
        self.claimed_from.clear()

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
            possession_at=self.possession_at,
            silence=self.silence,
        )
