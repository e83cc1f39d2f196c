"""Which external address of a router is worth anything, and whether STUN agrees with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wgmesh.core.model import SIGHTINGS_ANNOUNCED_MAX, Endpoint, IPAddress, IPNetwork, NatReport

Judge = Callable[[IPAddress], str]
"""Says what is wrong with an external address, empty if nothing is."""


def problem_with(host: IPAddress, mesh_networks: Sequence[IPNetwork]) -> str:
    """Says why nobody outside could reach us at `host`, empty if they could."""
    if any(host.version == network.version and host in network for network in mesh_networks):
        return f"its external address {host} lies in the mesh"
    if not host.is_global or host.is_multicast:
        return f"its external address {host} is no public one: another NAT may lie before it"
    return ""


def agrees(external: Endpoint, report: NatReport) -> bool:
    """Whether STUN sees us at the address that the router names.

    A router is believed about a port, never about an address: where peers are sent, STUN has sent them already.
    """
    if report.external_endpoint is not None:
        return external.host == report.external_endpoint.host
    return external.host in {seen.endpoint.host for seen in report.sightings[:SIGHTINGS_ANNOUNCED_MAX]}
