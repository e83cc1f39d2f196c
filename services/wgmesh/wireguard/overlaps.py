"""What the host has inside the mesh's networks, and how the mesh steps aside for it.

The kind of harm: the mesh's network is computed from the secret, and nobody asked the host whether it is free. Laid
over one that the host uses already, it takes the gateway away, or lets what is meant for a member go out in clear.

So whatever is the host's is left to it: the part is not routed into the tunnel and not guarded, members with addresses
in it are refused, and where this node's own address lies in it, the node has no address of that family. A default
route, or a wider route that the mesh's network lies in, is no overlap: the longer prefix wins, and harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wgmesh.core.model import (
    DesiredDevice,
    DesiredPeer,
    Guard,
    IPAddress,
    IPNetwork,
    Overlap,
    RefusedRoute,
)
from wgmesh.core.network_index import NetworkIndex, host_network, network_order
from wgmesh.wireguard.admission import ForeignRoute, ForeignRoutes, is_default_route

# Each costs up to 16 routes, and one comparison of each packet. A network with more of them is not the mesh's at all.
OVERLAPS_MAX = 64


@dataclass(frozen=True, slots=True)
class Standing:
    """What the device has of the mesh's networks now. `index` is the kernel's number of it, 0 while there is none."""

    index: int = 0
    mesh_routes: frozenset[IPNetwork] = frozenset()


def overlaps(mesh: Iterable[IPNetwork], foreign: ForeignRoutes, standing: Standing) -> tuple[Overlap, ...]:
    """Everything of the host's in the networks of the mesh, in a stable order."""
    return tuple(each for network in mesh for each in _overlaps(network, foreign, standing))


def refusal(found: Iterable[Overlap], mesh: Iterable[IPNetwork], is_named: bool) -> str:
    """Why a node must not start, in one sentence; empty where it may.

    `is_named`: the operator has chosen the mesh's IPv4 network. Then a name server may be in it, as a member.
    """
    blocking = [each for each in found if not each.is_warning or (_is_name_server(each) and not is_named)]
    if not blocking:
        return ""
    shown = "; ".join(f"{each.network} {each.what}" for each in blocking[:3])
    more = f"; and {len(blocking) - 3} more" if len(blocking) > 3 else ""
    inside = next(network for network in mesh if _lies_in(blocking[0].network, network))
    return f"the mesh's network {inside} would be laid over what this host uses already: {shown}{more}. " + advice(
        blocking
    )


def advice(found: Iterable[Overlap]) -> str:
    """What the operator can do."""
    if all(each.network.version == 6 for each in found):
        return "The IPv6 network follows from the secret: a host can be in a mesh only once."
    return "Choose another network with --mesh-subnet, the same on every node of the mesh."


def stepped_aside(
    target: DesiredDevice, mesh: tuple[IPNetwork, ...], found: Iterable[Overlap]
) -> tuple[DesiredDevice, tuple[RefusedRoute, ...]]:
    """The target without what is the host's, with the mesh's routes and its guard; and the peers' addresses in it."""
    taken = NetworkIndex((each.network, each.what) for each in found if not each.is_warning)
    addresses = tuple(each for each in target.addresses if taken.around(host_network(each.ip)) is None)
    versions = {each.version for each in addresses}
    spared = (
        *(network for network in mesh if network.version not in versions),
        *(each.network for each in found if not each.is_warning and each.network.version in versions),
    )
    refused: list[RefusedRoute] = []
    peers = tuple(_without_taken(peer, taken, refused) for peer in target.peers)
    routes = frozenset(part for network in mesh for part in remainder(network, spared))
    guard = Guard(mesh, spared, tuple(each.ip for each in addresses))
    stepped = replace(target, addresses=addresses, peers=peers, mesh_routes=routes, guard=guard)
    return stepped, tuple(refused)


def remainder(network: IPNetwork, taken: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """What is left of a network, in as few networks as possible."""
    left = [network]
    for part in taken:
        if part.version == network.version:
            left = [piece for each in left for piece in _excluding(each, part)]
    return tuple(sorted(left, key=network_order))


def _excluding(network: IPNetwork, part: IPNetwork) -> Iterable[IPNetwork]:
    if _lies_in(network, part):
        return ()
    if not _lies_in(part, network):
        return (network,)
    return network.address_exclude(part)  # type: ignore[arg-type] # both are of one version


def _overlaps(network: IPNetwork, foreign: ForeignRoutes, standing: Standing) -> Iterator[Overlap]:
    found = dict(_inside(network, foreign, standing))
    widest = NetworkIndex(found.items())
    kept = [part for part in sorted(found, key=network_order) if _is_widest(part, widest)]
    if len(kept) > OVERLAPS_MAX:
        yield Overlap(network, f"holds {len(kept)} networks of this host, {kept[0]} among them")
        return
    yield from (Overlap(part, found[part]) for part in kept)
    for route in foreign.routes:
        if route.connected and not is_default_route(route.network) and _lies_around(route.network, network):
            yield Overlap(network, f"lies in {route.network}, which is connected to {route.interface}", True)
    for address in sorted(foreign.resolvers, key=int):
        if _holds(network, address) and widest.around(host_network(address)) is None:
            yield Overlap(host_network(address), NAME_SERVER, True)


NAME_SERVER = "is a name server of this host"


def _inside(network: IPNetwork, foreign: ForeignRoutes, standing: Standing) -> Iterator[tuple[IPNetwork, str]]:
    yielding = {
        route.index
        for route in foreign.routes
        if route.is_mesh and _gives_way(route, standing) and route.network.version == network.version
    }
    for address in sorted(foreign.gateways, key=int):
        if _holds(network, address):
            yield host_network(address), "is a gateway of this host"
    for route in foreign.addresses:
        if _lies_in(route.network, network) and route.index not in yielding:
            yield route.network, f"is an address of {route.interface}"
    for route in foreign.routes:
        if route.is_mesh and route.index not in yielding and route.network.version == network.version:
            if route.network.overlaps(network):
                part = max(route.network, network, key=lambda each: each.prefixlen)
                yield part, f"belongs to another mesh of this host, on {route.interface}"
        elif not route.is_mesh and _lies_in(route.network, network):
            verb = "is connected to" if route.connected else "is routed through"
            yield route.network, f"{verb} {route.interface}"


def _gives_way(route: ForeignRoute, standing: Standing) -> bool:
    """Whether the other mesh is the one that steps aside: of two that came at once, the one whose device is newer."""
    return bool(standing.mesh_routes) and route.index > standing.index


def _is_widest(part: IPNetwork, widest: NetworkIndex[str]) -> bool:
    around = widest.around(part)
    return around is None or around[0] == part


def _without_taken(peer: DesiredPeer, taken: NetworkIndex[str], refused: list[RefusedRoute]) -> DesiredPeer:
    kept = set(peer.allowed_ips)
    for network in sorted(peer.allowed_ips - peer.routable_networks, key=network_order):
        found = taken.around(network)
        if found is not None:
            kept.discard(network)
            refused.append(RefusedRoute(network, peer.public_key, f"It lies in {found[0]}, which {found[1]}."))
    return peer if len(kept) == len(peer.allowed_ips) else replace(peer, allowed_ips=frozenset(kept))


def _is_name_server(overlap: Overlap) -> bool:
    return overlap.what == NAME_SERVER


def _lies_in(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _lies_around(outer: IPNetwork, inner: IPNetwork) -> bool:
    return outer != inner and _lies_in(inner, outer)


def _holds(network: IPNetwork, address: IPAddress) -> bool:
    return address.version == network.version and address in network
