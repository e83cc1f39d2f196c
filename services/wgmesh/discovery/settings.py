"""What discovery is told at start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """The settings of the discovery service."""

    secret: Secret
    interface: str
    """The mesh interface: never announced on."""
    state_dir: Path
    hostname: str = ""
    mesh_subnet: ipaddress.IPv4Network | None = None
    lan: bool = True
    underlay: tuple[str, ...] = ()
    """The interfaces that may carry the mesh; none named: all but tunnels."""

    no_underlay: tuple[str, ...] = ()
    """Interfaces that may not."""

    ipv6: bool = True
    punching: bool = True
    """Whether HELLOs are repeated until answered."""
    gossip: bool = False
    """Whether upstream's gossip is heard and sent; between nodes of this implementation gossip is always on."""

    static_peers: tuple[str, ...] = ()
    """HOST:PORT of exchange sockets."""

    stun_servers: tuple[str, ...] = ()
    """HOST:PORT of servers that tell where the outside sees the exchange socket."""

    introducer: bool = False
    """Whether this node arranges meetings for others."""

    dht: bool = False
    """Whether the Mainline DHT is used. Off unless asked for, so that nothing leaves a host by a default."""

    dht_bootstrap: tuple[str, ...] = ()
    """HOST:PORT of the Mainline DHT's first contacts."""

    private_dht: tuple[str, ...] = ()
    """HOST:PORT of the first contacts of a DHT of one's own. Where given, the Mainline DHT stays off."""

    keep_interface: bool = False
    """Whether the tunnels outlive an orderly stop: then it is no departure, and nobody is told goodbye."""

    @property
    def uses_mainline(self) -> bool:
        """Whether this node takes part in the Mainline DHT."""
        return self.dht and not self.private_dht

    @property
    def cache_path(self) -> Path:
        return self.state_dir / f"{self.interface}-peers.json"

    @property
    def dht_nodes_path(self) -> Path:
        """Upstream's file, named after the mesh: nodes of the DHT are no secret, and outlive a change of it."""
        return self.state_dir / f"{self.interface}-{derive(self.secret).network_id[:8].hex()}-dht.nodes"

    @property
    def private_nodes_path(self) -> Path:
        """The nodes of the private DHT that are remembered."""
        return self.state_dir / f"{self.interface}-{derive(self.secret).network_id[:8].hex()}-private-dht.json"

    @property
    def denylist_path(self) -> Path:
        return self.state_dir / f"{self.interface}-banned.json"
