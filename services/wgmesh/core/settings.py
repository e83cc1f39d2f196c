"""What an operator chooses for one node: flags, environment and file end up in one frozen value."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wgmesh.core.model import IPNetwork

DEFAULT_LISTEN_PORT = 51820  # the port that upstream and WireGuard's own documents use
DEFAULT_MTU = 1420  # 1500 minus 80 bytes of outer IPv6, UDP and WireGuard headers
DEFAULT_STATE_DIR = Path("/var/lib/wgmesh")
DEFAULT_RUNTIME_DIR = Path("/run/wgmesh")
# two providers, so two different addresses
DEFAULT_STUN_SERVERS = ("stun.l.google.com:19302", "stun.cloudflare.com:3478")
# the routers that the large BitTorrent programs use; four operators, so that one may be down
DEFAULT_DHT_BOOTSTRAP = (
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "dht.libtorrent.org:25401",
    "router.utorrent.com:6881",
)
# What a site may use without asking anybody: RFC 1918, the shared space of RFC 6598, unique local IPv6 (RFC 4193).
PRIVATE_NETWORKS: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
EVERYTHING: tuple[IPNetwork, ...] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
# A network that is shorter is a good part of the Internet. No site is that big, and no registry gives that much away.
LEAST_PREFIX = {4: 8, 6: 16}


def is_wide(network: IPNetwork) -> bool:
    """Whether a network is so wide that a list it lies in does not stand for it: only its own name does."""
    return network.prefixlen < LEAST_PREFIX[network.version]


def named_networks(accepted: Iterable[IPNetwork]) -> frozenset[IPNetwork]:
    """The networks of an accept-list that the operator has named, not those that `private` and `all` stand for."""
    return frozenset(accepted) - {*PRIVATE_NETWORKS, *EVERYTHING}


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """One node's settings. Everything is validated before this value is built.

    The secret is not among them: this value lies in the memory of every process of the node.
    """

    hostname: str
    follows_host_name: bool = False
    """Whether the name is the host's, and changes with it; otherwise it was chosen."""
    interface: str = "wg0"
    state_dir: Path = DEFAULT_STATE_DIR
    runtime_dir: Path = DEFAULT_RUNTIME_DIR
    socket_path: Path | None = None
    listen_port: int = DEFAULT_LISTEN_PORT
    is_port_chosen: bool = False
    """Whether the operator has named the port, so that it comes before that of an earlier run."""
    mtu: int = DEFAULT_MTU
    mesh_subnet: ipaddress.IPv4Network | None = None
    advertise_routes: tuple[IPNetwork, ...] = ()
    accept_routes: tuple[IPNetwork, ...] = PRIVATE_NETWORKS
    """Networks of others are routed only where they lie inside one of these."""
    static_peers: tuple[str, ...] = ()
    introducer: bool = False
    dht: bool = True
    """Whether the Mainline DHT may be used; `private_dht` takes its place."""
    dht_bootstrap: tuple[str, ...] = DEFAULT_DHT_BOOTSTRAP
    private_dht: tuple[str, ...] = ()
    gossip: bool = False
    lan_discovery: bool = True
    underlay: tuple[str, ...] = ()
    """The interfaces that may carry the mesh; none named: all but tunnels."""
    no_underlay: tuple[str, ...] = ()
    """Interfaces that may not."""
    ipv6: bool = True
    punching: bool = True
    port_mapping: bool = True
    """Whether the router may be asked to forward our ports."""
    stun: bool = True
    stun_servers: tuple[str, ...] = DEFAULT_STUN_SERVERS
    keep_interface: bool = False
    metrics_address: str | None = None
    otlp_endpoint: str | None = None
    log_level: str = "info"
    log_format: str = "text"
    debug_rpc: bool = False
    """Whether the sockets say by gRPC reflection what they serve."""
    single_user: bool = False
    """Whether a node that root has started may run all its processes as one user."""

    @property
    def interface_dir(self) -> Path:
        """The directory of this interface's sockets and lock."""
        return self.runtime_dir / self.interface

    @property
    def control_socket(self) -> Path:
        """Where clients reach the node service."""
        return self.socket_path or self.interface_dir / "node.sock"
