"""The values that the services speak of.

Everything here is immutable and valid by construction: the length of a `PublicKey` need not be checked again.
Times are steady seconds (clock.py), spans are seconds, unless a name says otherwise.
"""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

# Every datagram and every list of peers names the same few, and to parse one takes as long as to open a sealed message.
HOSTS_REMEMBERED = 4096

KEY_BYTES = 32  # WireGuard paper, section 5.4: Curve25519 points and preshared keys


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class PublicKey:
    """A WireGuard public key. Ordered like its base64 text, as the wire protocol compares keys."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_BYTES:
            raise ValueError(f"a WireGuard key has {KEY_BYTES} bytes, not {len(self.raw)}")

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Parses the 44 character base64 form. Raises ValueError."""
        try:
            return cls(base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise ValueError(f"not a base64 key: {error}") from None

    @property
    def text(self) -> str:
        return base64.b64encode(self.raw).decode("ascii")

    @property
    def short(self) -> str:
        """The first 8 characters: enough to tell peers apart in a log, not enough to use."""
        return self.text[:8]

    def __hash__(self) -> int:
        return hash(self.raw)  # keys are looked up more often than anything else, and tuples cost

    def __lt__(self, other: PublicKey) -> bool:
        return self.text < other.text

    def __str__(self) -> str:
        return self.text


class PresharedKey:
    """A WireGuard preshared key. Never shows its bytes."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a preshared key has {KEY_BYTES} bytes, not {len(raw)}")
        self._raw = raw

    def reveal(self) -> bytes:
        return self._raw

    def __repr__(self) -> str:
        return "PresharedKey(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PresharedKey) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash(self._raw)


@functools.lru_cache(HOSTS_REMEMBERED)
@functools.lru_cache(1024)  # a flood comes from few addresses again and again, and so do peers
def _host(text: str) -> IPAddress:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP literal and a UDP port. IPv4-mapped IPv6 addresses become IPv4; a zone is dropped."""

    host: IPAddress
    port: int

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ValueError(f"a port lies in 1..65535, not {self.port}")

    @classmethod
    def of(cls, host: str, port: int) -> Endpoint:
        """Builds an endpoint from a literal, as sockets give it. Raises ValueError."""
        return cls(_host(host), port)

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Parses `192.0.2.1:51820` or `[2001:db8::1]:51820`. Raises ValueError, also for a host name."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or len(port) > 5:
            raise ValueError(f"not an address and port: {text!r}")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError(f"an IPv6 address before a port stands in brackets: {text!r}")
        return cls.of(host, int(port))

    def __hash__(self) -> int:
        return hash((int(self.host), self.port))  # an address hashes by its hexadecimal text, ten times as slow

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"


class CandidateSource(StrEnum):
    """How a candidate address was learned."""

    LAN = "lan"
    OBSERVED = "observed"
    ANNOUNCED = "announced"
    SECOND_HAND = "second-hand"
    STATIC = "static"
    CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One address at which a peer's WireGuard port may be reached, with evidence and age."""

    endpoint: Endpoint
    source: CandidateSource
    observed_at: float
    proven_at: float | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """An exchange address that did not answer, and since when that is known."""

    endpoint: Endpoint
    since: float


@dataclass(frozen=True, slots=True)
class Peer:
    """A member of the mesh as discovery knows it. `candidates` are best first."""

    public_key: PublicKey
    mesh_ipv4: ipaddress.IPv4Address
    mesh_ipv6: ipaddress.IPv6Address | None = None
    hostname: str = ""
    candidates: tuple[Candidate, ...] = ()
    discovery_methods: tuple[str, ...] = ()
    introducer: bool = False
    routable_networks: tuple[IPNetwork, ...] = ()
    nat_type: str = ""
    first_seen_at: float = 0.0
    direct_seen_at: float | None = None
    native: bool = False
    traceparent: str = ""
    control_endpoint: Endpoint | None = None
    possession_at: float | None = None
    """When it last proved to us, and to nobody else, that it holds its private key."""
    silence: Silence | None = None
    """Where it was asked in vain outside the tunnel; None if it was not, or has answered since."""


@dataclass(frozen=True, slots=True)
class SelfDescription:
    """What this node announces about itself."""

    public_key: PublicKey
    mesh_ipv4: ipaddress.IPv4Address
    mesh_ipv6: ipaddress.IPv6Address
    wireguard_port: int
    hostname: str = ""
    routable_networks: tuple[IPNetwork, ...] = ()
    introducer: bool = False
    nat_type: str = ""
    external_endpoints: tuple[Endpoint, ...] = ()
    mapped_exchange: Endpoint | None = None
    """From where the router forwards to the exchange port."""


@dataclass(frozen=True, slots=True)
class PeerProof:
    """Proof from the data path: WireGuard reached the peer at `endpoint`."""

    public_key: PublicKey
    endpoint: Endpoint
    proven_at: float


class LayerState(StrEnum):
    """What a discovery layer is doing."""

    RUNNING = "running"
    DEGRADED = "degraded"
    DISABLED = "disabled"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class DiscoveryLayer:
    """The health of one discovery layer."""

    name: str
    state: LayerState
    detail: str = ""
    heard_at: float | None = None


@dataclass(frozen=True, slots=True)
class Ban:
    """A key that the operator wants nothing to do with. The reason is the operator's own text."""

    public_key: PublicKey
    banned_at: float  # Unix seconds: it is kept in a file
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the operator should know. `code` is a stable word for its kind."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class PeersSnapshot:
    """All that discovery knows at one revision."""

    revision: int = 0
    peers: tuple[Peer, ...] = ()
    layers: tuple[DiscoveryLayer, ...] = ()
    description: SelfDescription | None = None
    exchange_port: int = 0
    observed_endpoints: tuple[Endpoint, ...] = ()
    banned: tuple[PublicKey, ...] = ()
    notices: tuple[Notice, ...] = ()


class Mapping(StrEnum):
    """How a NAT chooses the external port (RFC 4787, section 4.1)."""

    UNKNOWN = "unknown"
    NONE = "none"
    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"

    @property
    def upstream_word(self) -> str:
        """The word of the wire protocol (protocol notes 11.2): cone, symmetric or unknown."""
        match self:
            case Mapping.NONE | Mapping.ENDPOINT_INDEPENDENT:
                return "cone"
            case Mapping.ADDRESS_DEPENDENT:
                return "symmetric"
            case Mapping.UNKNOWN:
                return "unknown"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where the outside sees this node, and who says so: STUN servers, and how many peers see the same address."""

    endpoint: Endpoint
    servers: tuple[Endpoint, ...] = ()
    peers: int = 0


@dataclass(frozen=True, slots=True)
class PortMapping:
    """What the router forwards to us. `detail` says why nothing, or why it is not confirmed: half a sentence.

    `protocol` is the word for how it was asked. Without `is_confirmed` STUN does not see us at that address, and nobody
    is told of it.
    """

    enabled: bool = False
    protocol: str = ""
    external_endpoint: Endpoint | None = None
    exchange_endpoint: Endpoint | None = None
    is_confirmed: bool = False
    renew_at: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NatReport:
    """How the outside sees this node. `external_endpoint` is None, too, where the `sightings` contradict each other."""

    enabled: bool = False
    mapping: Mapping = Mapping.UNKNOWN
    external_endpoint: Endpoint | None = None
    from_wireguard_port: bool = False
    answered_at: float | None = None
    detail: str = ""
    sightings: tuple[Sighting, ...] = ()
    port_mapping: PortMapping = field(default_factory=PortMapping)


@dataclass(frozen=True, slots=True)
class Path:
    """The measured path through the tunnel to one peer."""

    public_key: PublicKey
    rtt_s: float | None = None
    answered_at: float | None = None
    unanswered_count: int = 0


@dataclass(frozen=True, slots=True)
class PathsSnapshot:
    """All that nat knows at one revision."""

    revision: int = 0
    paths: tuple[Path, ...] = ()
    report: NatReport = field(default_factory=NatReport)


@dataclass(frozen=True, slots=True)
class DesiredPeer:
    """A peer as the device should have it.

    `endpoint` None leaves the endpoint to WireGuard's roaming. `routable_networks` are admitted or refused one by one.
    With `only_if_connected` the peer is left out, unless a handshake with it has completed: then it stays.
    `dead_endpoint` is one that does not answer any more: while the device has it, `endpoint` takes its place, although
    a handshake still proves it.
    """

    public_key: PublicKey
    preshared_key: PresharedKey
    allowed_ips: frozenset[IPNetwork]
    routable_networks: frozenset[IPNetwork] = frozenset()
    endpoint: Endpoint | None = None
    persistent_keepalive_s: int = 0
    only_if_connected: bool = False
    dead_endpoint: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Something of the host's that lies in one of the mesh's networks. `what` completes a sentence about `network`.

    With `is_warning` the mesh's network stays as it is: whether that does harm, only the operator can know.
    """

    network: IPNetwork
    what: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """The host's firewall rules for mesh addresses: on the wire outside the tunnel there are none.

    `networks` are the mesh's, `spared` the parts of them that belong to the host, `addresses` this node's own.
    """

    networks: tuple[IPNetwork, ...] = ()
    spared: tuple[IPNetwork, ...] = ()
    addresses: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class DesiredDevice:
    """The device as it should be.

    `mesh_routes` and `guard` are the wireguard process's own to decide: it alone sees what the host has.
    """

    addresses: tuple[IPInterface, ...]
    listen_port: int
    mtu: int
    reserved_ports: frozenset[int] = frozenset()
    peers: tuple[DesiredPeer, ...] = ()
    mesh_routes: frozenset[IPNetwork] = frozenset()
    guard: Guard = Guard()


@dataclass(frozen=True, slots=True)
class ObservedPeer:
    """A peer as the device has it.

    `unanswered_since` is when something was sent that WireGuard answers, while nothing has come back for longer than
    that takes.
    """

    public_key: PublicKey
    endpoint: Endpoint | None = None
    allowed_ips: frozenset[IPNetwork] = frozenset()
    persistent_keepalive_s: int = 0
    handshake_at: float | None = None
    rx_bytes: int = 0
    tx_bytes: int = 0
    preshared_key: PresharedKey | None = None  # stays inside the wireguard process: the contract has no field for it
    unanswered_since: float | None = None


@dataclass(frozen=True, slots=True)
class ObservedDevice:
    """The device as it is, and what the host has beside it.

    `routes` are those on behalf of peers, `mesh_routes` those to the mesh itself. `guard` names the firewall rules in
    their order, and `guard_problem` says in one sentence why there can be none.
    """

    name: str
    backend: str
    listen_port: int
    addresses: tuple[IPInterface, ...] = ()
    mtu: int = 0
    peers: tuple[ObservedPeer, ...] = ()
    routes: frozenset[IPNetwork] = frozenset()
    up: bool = True  # administratively up; a device that is down carries nothing
    mesh_routes: frozenset[IPNetwork] = frozenset()
    overlaps: tuple[Overlap, ...] = ()
    guard: tuple[str, ...] = ()
    guard_problem: str = ""
    renamed: bool = False  # somebody gave the interface another name


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is, as stored by the wireguard process."""

    public_key: PublicKey
    mesh_ipv4: ipaddress.IPv4Address | None = None
    mesh_ipv6: ipaddress.IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class DeviceSnapshot:
    """All that wireguard knows at one revision.

    `problems` are sentences on why the device is not as it is wanted, or could not be looked at. While there are any,
    `observed_at` (Unix seconds) is when `device` was looked at last. `refused_routes` and `peer_failures` are those of
    the last turn.
    """

    revision: int
    identity: Identity
    device: ObservedDevice | None = None
    problems: tuple[str, ...] = ()
    refused_routes: tuple[RefusedRoute, ...] = ()
    peer_failures: tuple[PeerFailure, ...] = ()
    observed_at: float | None = None


@dataclass(frozen=True, slots=True)
class RefusedRoute:
    """An advertised route that was not installed, and why. `is_waiting`: it may be as soon as its tunnel is proven."""

    network: IPNetwork
    public_key: PublicKey
    reason: str
    is_waiting: bool = False


@dataclass(frozen=True, slots=True)
class PeerFailure:
    """A peer that could not be configured, and why."""

    public_key: PublicKey
    reason: str


@dataclass(frozen=True, slots=True)
class ApplyOutcome:
    """What applying a desired device did. `problems` are sentences on what could not be done to the device itself."""

    actions: tuple[str, ...] = ()
    refused_routes: tuple[RefusedRoute, ...] = ()
    peer_failures: tuple[PeerFailure, ...] = ()
    device: ObservedDevice | None = None
    problems: tuple[str, ...] = ()
