"""What the discovery core reports."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, IPAddress, PublicKey
from wgmesh.discovery.dht import DhtRequest

# How events and status name the ways of finding.
LAN, EXCHANGE, GOSSIP, STATIC, CACHE, DHT = "lan", "exchange", "gossip", "static", "cache", "dht"
# Two more, which are hearsay: a list in another member's HELLO or REPLY, and a record that was read in a DHT.
KNOWN_PEER, DHT_RECORD = "known-peer", "dht-record"


@dataclass(frozen=True, slots=True)
class PeersChanged:
    """The snapshot is worth publishing."""


@dataclass(frozen=True, slots=True)
class PeerSighted:
    """A peer has shown itself: until then it is a name that anybody could have invented, and no event.

    `layer` is what found it; its trace starts here.
    """

    public_key: PublicKey
    layer: str


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A peer was removed, and why. `hostname` and `mesh_ipv4` are for the log."""

    public_key: PublicKey
    reason: str
    hostname: str = field(default="", compare=False)
    mesh_ipv4: IPAddress | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PeerDisplaced:
    """A name that nothing has proven has given way to another in the table."""

    public_key: PublicKey


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """A member answered at a probed address."""

    target: Endpoint
    public_key: PublicKey
    hostname: str
    mesh_ipv4: ipaddress.IPv4Address
    rtt_s: float
    observed_endpoint: Endpoint | None


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """Nobody answered at a probed address in time."""

    target: Endpoint


@dataclass(frozen=True, slots=True)
class LayerHeard:
    """A layer brought a valid message of a member."""

    layer: str


@dataclass(frozen=True, slots=True)
class DatagramRejected:
    """A datagram was dropped. `reason` is one of a few words, so that it can label a counter."""

    reason: str


@dataclass(frozen=True, slots=True)
class ContactTried:
    """An exchange with a peer's address began."""

    method: str


@dataclass(frozen=True, slots=True)
class ContactAnswered:
    """An exchange with a peer's address was answered."""

    method: str


@dataclass(frozen=True, slots=True)
class PairKeysWanted:
    """The keys shared with these peers are needed: agree with them, and give what comes out to `set_pair_keys`."""

    public_keys: tuple[PublicKey, ...]


@dataclass(frozen=True, slots=True)
class DhtRequested:
    """Something is to be asked of the Mainline DHT, or of the private one."""

    request: DhtRequest


Event = (
    PeersChanged
    | DhtRequested
    | PairKeysWanted
    | PeerSighted
    | PeerLeft
    | PeerDisplaced
    | ProbeAnswered
    | ProbeFailed
    | LayerHeard
    | DatagramRejected
    | ContactTried
    | ContactAnswered
)
