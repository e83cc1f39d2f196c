"""What an operator chooses for one node: flags, environment and file end up in one frozen value."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from wgmesh.core.model import IPNetwork
from wgmesh.core.secret import Secret

DEFAULT_LISTEN_PORT = 51820  # the port that upstream and WireGuard's own documents use
DEFAULT_MTU = 1420  # 1500 minus 80 bytes of outer IPv6, UDP and WireGuard headers
DEFAULT_STATE_DIR = Path("/var/lib/wgmesh")
DEFAULT_RUNTIME_DIR = Path("/run/wgmesh")
# two providers, so two different addresses
DEFAULT_STUN_SERVERS = ("stun.l.google.com:19302", "stun.cloudflare.com:3478")


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """One node's settings. Everything is validated before this value is built."""

    secret: Secret
    hostname: str
    interface: str = "wg0"
    state_dir: Path = DEFAULT_STATE_DIR
    runtime_dir: Path = DEFAULT_RUNTIME_DIR
    socket_path: Path | None = None
    listen_port: int = DEFAULT_LISTEN_PORT
    mtu: int = DEFAULT_MTU
    mesh_subnet: ipaddress.IPv4Network | None = None
    advertise_routes: tuple[IPNetwork, ...] = ()
    static_peers: tuple[str, ...] = ()
    gossip: bool = False
    lan_discovery: bool = True
    ipv6: bool = True
    punching: bool = True
    stun: bool = True
    stun_servers: tuple[str, ...] = DEFAULT_STUN_SERVERS
    keep_interface: bool = False
    metrics_address: str | None = None
    otlp_endpoint: str | None = None
    log_level: str = "info"
    log_format: str = "text"

    @property
    def interface_dir(self) -> Path:
        """The directory of this interface's sockets and lock."""
        return self.runtime_dir / self.interface

    @property
    def control_socket(self) -> Path:
        """Where clients reach the node service."""
        return self.socket_path or self.interface_dir / "node.sock"
