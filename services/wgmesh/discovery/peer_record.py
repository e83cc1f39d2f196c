"""One member of the mesh: what it says of itself, where it may be reached, and how sure of it we are."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum

from wgmesh.core.model import Endpoint, IPAddress, IPNetwork, Peer, PublicKey
from wgmesh.discovery.candidates import PROOF_FRESH_S, Candidates

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
    revision: int = 0
    """The peer's own count of what it has said of itself; 0 for upstream's, which have none."""


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
    possession_at: float | None = None
    """When it last proved to hold its private key, in a message to us."""
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

    def next_expiry(self, now: float) -> float:
        """When a record that is alive has to be looked at again."""
        silent_at = self.silent_since + SILENT_S
        if silent_at <= now:  # only its proof keeps it
            silent_at = (self.proven_at or now) + PROOF_FRESH_S
        change_at = self.candidates.next_change(now)
        return silent_at if change_at is None else min(silent_at, change_at)

    def label(self, method: str) -> Change:
        """Notes a way in which the peer was found."""
        if method in self.methods:
            return Change.NOTHING
        self.methods.append(method)
        return Change.CONTENT

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
        )


_WEIGHT = {change: weight for weight, change in enumerate(Change)}


def greater(one: Change, other: Change) -> Change:
    """The one of two changes that says more."""
    return one if _WEIGHT[one] >= _WEIGHT[other] else other
