"""What follows from a secret alone, in upstream's words: `status --secret` asks nobody."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from wgmesh.core.keys.keyschedule import MeshKeys

SHOWN_NETWORK_ID_BYTES = 8  # upstream shows the first 16 hex digits


@dataclass(frozen=True, slots=True)
class DerivedStatus:
    """The members and their order are upstream's (CLI notes, 4.4). `service_status` is empty where it is not known."""

    interface: str
    network_id: str
    mesh_subnet: str
    mesh_ipv6_prefix: str
    gossip_port: int
    rendezvous_id: str
    service_status: str = ""

    @classmethod
    def of(
        cls, keys: MeshKeys, interface: str, mesh_subnet: ipaddress.IPv4Network | None, service_status: str
    ) -> DerivedStatus:
        return cls(
            interface=interface,
            network_id=keys.network_id[:SHOWN_NETWORK_ID_BYTES].hex(),
            mesh_subnet=f"{mesh_subnet} (custom)" if mesh_subnet else str(keys.default_ipv4_network),
            mesh_ipv6_prefix=str(keys.ipv6_network),
            gossip_port=keys.gossip_port,
            rendezvous_id=keys.rendezvous_id.hex(),
            service_status=service_status,
        )

    def value(self) -> dict[str, object]:
        members: dict[str, object] = {
            "interface": self.interface,
            "network_id": self.network_id,
            "mesh_subnet": self.mesh_subnet,
            "mesh_ipv6_prefix": self.mesh_ipv6_prefix,
            "gossip_port": self.gossip_port,
            "rendezvous_id": self.rendezvous_id,
        }
        return {**members, "service_status": self.service_status} if self.service_status else members

    def text(self) -> str:
        return (
            "Mesh Status\n===========\n"
            f"Interface: {self.interface}\n"
            f"Network ID: {self.network_id}\n"
            f"Mesh Subnet: {self.mesh_subnet}\n"
            f"Mesh IPv6 Prefix: {self.mesh_ipv6_prefix}\n"
            f"Gossip Port: {self.gossip_port}\n"
            f"Rendezvous ID: {self.rendezvous_id}\n\n"
            f"Service Status: {self.service_status or 'unknown'}\n\n"
            "(Run 'wg show' to see connected peers)"
        )
