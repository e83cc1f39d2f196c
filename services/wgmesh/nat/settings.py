"""What the nat service is started with."""

from __future__ import annotations

from dataclasses import dataclass

from wgmesh.core.model import IPNetwork
from wgmesh.core.settings import DEFAULT_STUN_SERVERS


@dataclass(frozen=True, slots=True)
class NatSettings:
    """`probe_port` is the mesh's gossip port plus 2000; `stun_servers` are `host:port`, names or literals.

    Without `punching` no NAT is opened for a peer that has not called.
    """

    probe_port: int
    stun: bool = True
    stun_servers: tuple[str, ...] = DEFAULT_STUN_SERVERS
    ipv6: bool = True
    port_mapping: bool = True
    mesh_networks: tuple[IPNetwork, ...] = ()
    punching: bool = True
