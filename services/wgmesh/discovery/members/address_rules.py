"""Which addresses may stand for a peer outside the tunnel."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, IPAddress, IPNetwork
from wgmesh.core.network_index import is_within


@dataclass(slots=True)
class AddressRules:
    """The mesh's own prefixes, the operator's wish about IPv6, and what is reached through tunnels of others."""

    mesh_networks: tuple[IPNetwork, ...] = ()
    ipv6: bool = True
    beyond: Container[IPAddress] = ()
    """The addresses that this host reaches through interfaces which do not carry the mesh; follows the host."""

    def is_in_mesh(self, host: IPAddress) -> bool:
        """Whether an address lies inside the tunnel: never an endpoint of anything outside it."""
        return is_within(host, self.mesh_networks)

    def is_candidate(self, endpoint: Endpoint, heard_from: Endpoint | None = None) -> bool:
        """Whether WireGuard may be pointed at `endpoint`.

        Loopback is believed only of somebody who speaks to us over loopback. A link-local IPv6 address is useless
        without the zone, which is another one on every host.
        """
        host = endpoint.host
        if host.version == 6 and (not self.ipv6 or host.is_link_local):
            return False
        if _is_nobody(host) or self.is_in_mesh(host) or host in self.beyond:
            return False
        return not host.is_loopback or (heard_from is not None and heard_from.host.is_loopback)

    def is_exchange_address(self, endpoint: Endpoint) -> bool:
        """Whether a HELLO may go to `endpoint`."""
        host = endpoint.host
        if host.version == 6 and not self.ipv6 and not self.is_in_mesh(host):
            return False
        return not _is_nobody(host)


def _is_nobody(host: IPAddress) -> bool:
    # ipaddress calls half of unassigned IPv6 reserved, ::1 included; class E of IPv4 includes the broadcast address
    return host.is_unspecified or host.is_multicast or (host.version == 4 and host.is_reserved)
