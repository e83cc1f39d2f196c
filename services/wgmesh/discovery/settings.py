"""What discovery is told at start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from wgmesh.core.secret import Secret


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
    ipv6: bool = True
    punching: bool = True
    """Whether HELLOs are repeated until answered."""
    gossip: bool = False
    static_peers: tuple[str, ...] = ()
    """HOST:PORT of exchange sockets."""

    keep_interface: bool = False
    """Whether the tunnels outlive an orderly stop: then it is no departure, and nobody is told goodbye."""

    @property
    def cache_path(self) -> Path:
        return self.state_dir / f"{self.interface}-peers.json"
