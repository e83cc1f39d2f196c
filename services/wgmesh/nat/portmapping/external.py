"""Which external address of a router is worth anything, and whether STUN agrees with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wgmesh.core.model import Endpoint, IPAddress, IPNetwork, NatReport
from wgmesh.core.network_index import is_within
from wgmesh.core.outside import seen_outside

Judge = Callable[[IPAddress], str]
"""Says what is wrong with an external address, empty if nothing is."""


def problem_with(host: IPAddress, mesh_networks: Sequence[IPNetwork]) -> str:
    """Says why nobody outside could reach us at `host`, empty if they could."""
    if is_within(host, mesh_networks):
        return f"its external address {host} lies in the mesh"
    if not host.is_global or host.is_multicast:
        return f"its external address {host} is no public one: another NAT may lie before it"
    return ""


def agrees(external: Endpoint, report: NatReport) -> bool:
    """Whether STUN sees us at the address that the router names.

    A router is believed about a port, never about an address: where peers are sent, STUN has sent them already.
    """
    return external.host in {seen.host for seen in seen_outside(report)}
