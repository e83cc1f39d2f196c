"""What the node service is told at start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from wgmesh.core.addressing import mesh_ipv4_network
from wgmesh.core.keys.keyschedule import MeshKeys
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import IPNetwork
from wgmesh.core.settings import PRIVATE_NETWORKS


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The node service's share of the settings; `keys` derive from `secret`."""

    secret: Secret
    keys: MeshKeys = field(repr=False)
    interface: str
    hostname: str
    state_dir: Path
    listen_port: int
    mtu: int
    mesh_subnet: ipaddress.IPv4Network | None = None
    advertise_routes: tuple[IPNetwork, ...] = ()
    accept_routes: tuple[IPNetwork, ...] = PRIVATE_NETWORKS
    """Networks of others are routed only where they lie inside one of these."""

    ipv6: bool = True
    introducer: bool = False
    follows_host_name: bool = False
    """Whether the name is the host's, and changes with it."""

    unfiltered: str = ""
    """Why the system calls of the processes are not filtered, if so."""

    @property
    def mesh_ipv4_network(self) -> ipaddress.IPv4Network:
        return mesh_ipv4_network(self.keys, self.mesh_subnet)

    @property
    def reserved_ports(self) -> frozenset[int]:
        """UDP ports that WireGuard must not take: the exchange, the DHT and the LAN group."""
        return frozenset({self.keys.gossip_port, self.keys.dht_port, self.keys.lan_port})

    @property
    def reload_file(self) -> Path:
        return self.state_dir / f"{self.interface}.reload"
