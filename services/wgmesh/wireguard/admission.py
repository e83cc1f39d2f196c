"""Which networks and addresses of a desired device may be set: the rest is refused, one by one, with a reason.

A member of the mesh may advertise any network it likes, so nothing here trusts an advertisement: it must not be able to
take over the host's default route, its local networks, its resolvers and gateways, the addresses where peers are
reached, the mesh's own addresses, or the network of another peer.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from wgmesh.core.model import (
    DesiredDevice,
    DesiredPeer,
    IPAddress,
    IPNetwork,
    ObservedDevice,
    PublicKey,
    RefusedRoute,
)
from wgmesh.core.network_index import NetworkIndex, host_network, network_order

# A prefix this short is a default route, or a piece of one: 0.0.0.0/1 twice and 2000::/3 are the usual disguises.
DEFAULT_ROUTE_PREFIX = {4: 1, 6: 3}

# Linux routes these blocks by rules of its own (RFC 6890); a mesh route into them never does what it says.
SPECIAL_NETWORKS: tuple[tuple[IPNetwork, str], ...] = (
    (ipaddress.ip_network("0.0.0.0/8"), "the unspecified network"),
    (ipaddress.ip_network("127.0.0.0/8"), "loopback"),
    (ipaddress.ip_network("169.254.0.0/16"), "link-local addresses"),
    (ipaddress.ip_network("224.0.0.0/4"), "multicast addresses"),
    (ipaddress.ip_network("240.0.0.0/4"), "reserved addresses"),
    (ipaddress.ip_network("::/127"), "loopback"),
    (ipaddress.ip_network("fe80::/10"), "link-local addresses"),
    (ipaddress.ip_network("ff00::/8"), "multicast addresses"),
)

# Far above any real site, far below what would make one peer fill the routing table.
ROUTES_PER_PEER_MAX = 256


@dataclass(frozen=True, slots=True)
class ForeignRoute:
    """A route that is not ours. `interface` is its device, or what stands in its place ("an unreachable route")."""

    network: IPNetwork
    interface: str
    connected: bool = False
    index: int = 0
    """The kernel's number of the interface."""
    is_mesh: bool = False
    """Whether a node of another mesh on this host has set it."""


@dataclass(frozen=True, slots=True)
class ForeignRoutes:
    """All routes of the host that are not ours, as looked at a moment ago, and the addresses that the host lives by.

    `routes` are those of the tables that a rule leads to. `addresses` are the host's own, as routes to itself.
    `gateways` are the next hops of the routes, of all tables; `resolvers` are the name servers that the host asks.
    """

    routes: tuple[ForeignRoute, ...] = ()
    gateways: frozenset[IPAddress] = frozenset()
    resolvers: frozenset[IPAddress] = frozenset()
    addresses: tuple[ForeignRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A device that may be set as it is.

    In `target` no network belongs to two peers, `routable_networks` holds the networks to route, and they are also
    among the peer's `allowed_ips`.
    """

    target: DesiredDevice
    refused: tuple[RefusedRoute, ...] = ()


def admit(
    desired: DesiredDevice,
    observed: ObservedDevice | None,
    foreign: ForeignRoutes,
    named: AbstractSet[IPNetwork] = frozenset(),
) -> Admitted:
    """Splits what is desired into what may be set and what is refused. Peers are taken in the order of their keys.

    `named` are the networks that the operator has named: such a one may hold a resolver, which then is behind the mesh.
    """
    peers = sorted({peer.public_key: peer for peer in reversed(desired.peers)}.values(), key=lambda p: p.public_key)
    refused: list[RefusedRoute] = []
    owners = _own_addresses(peers, refused)
    judge = _RouteJudge(desired, observed, foreign, owners, named)
    admitted: list[DesiredPeer] = []
    for peer in peers:
        own = frozenset(network for network in peer.allowed_ips if owners[network] == peer.public_key)
        routed: set[IPNetwork] = set()
        for position, network in enumerate(sorted(peer.routable_networks, key=network_order)):
            reason = judge.reason_against(network, peer.public_key)
            if reason is None and position >= ROUTES_PER_PEER_MAX:
                reason = f"A peer may advertise at most {ROUTES_PER_PEER_MAX} networks."
            if reason is None:
                judge.claim(network, peer.public_key)
                routed.add(network)
            else:
                refused.append(RefusedRoute(network, peer.public_key, reason))
        admitted.append(replace(peer, allowed_ips=own | routed, routable_networks=frozenset(routed)))
    return Admitted(replace(desired, peers=tuple(admitted)), tuple(refused))


def _own_addresses(peers: list[DesiredPeer], refused: list[RefusedRoute]) -> dict[IPNetwork, PublicKey]:
    """Gives every allowed IP one owner, the lowest key, because WireGuard would let the last one written win."""
    owners: dict[IPNetwork, PublicKey] = {}
    for peer in peers:
        for network in sorted(peer.allowed_ips, key=network_order):
            owner = owners.setdefault(network, peer.public_key)
            if owner != peer.public_key:
                refused.append(RefusedRoute(network, peer.public_key, f"It belongs to peer {owner.short} already."))
    return owners


class _RouteJudge:
    """Says why a network must not be routed. Remembers which networks were given away."""

    def __init__(
        self,
        desired: DesiredDevice,
        observed: ObservedDevice | None,
        foreign: ForeignRoutes,
        owners: Mapping[IPNetwork, PublicKey],
        named: AbstractSet[IPNetwork],
    ) -> None:
        self._mesh = tuple(address.network for address in desired.addresses)
        self._foreign = NetworkIndex(
            (route.network, route) for route in foreign.routes if not is_default_route(route.network)
        )
        # Inside the mesh's network every route is refused anyway: a thousand peers must not cost a thousand checks.
        self._owners = tuple(
            (network, owner) for network, owner in owners.items() if not any(_overlap(network, m) for m in self._mesh)
        )
        self._named = named
        self._claimed: dict[IPNetwork, PublicKey] = {}
        self._gateways = NetworkIndex((host_network(address), None) for address in foreign.gateways)
        self._resolvers = NetworkIndex((host_network(address), None) for address in foreign.resolvers)
        self._proven = NetworkIndex(
            (host_network(peer.endpoint.host), peer.public_key)
            for peer in (observed.peers if observed else ())
            if peer.endpoint is not None and peer.handshake_at is not None
        )

    def claim(self, network: IPNetwork, key: PublicKey) -> None:
        self._claimed[network] = key

    def reason_against(self, network: IPNetwork, key: PublicKey) -> str | None:
        """Returns one sentence, or None if the network may be routed to this peer."""
        if is_default_route(network):
            return "It is a default route, and no peer may take over the traffic of this host."
        for special, name in SPECIAL_NETWORKS:
            if _overlap(network, special):
                return f"It overlaps {name} ({special}), which cannot be routed."
        for mesh in self._mesh:
            if _overlap(network, mesh):
                return f"It overlaps the mesh's own network {mesh}."
        return (
            self._taken_by_interface(network)
            or self._taken_by_peer(network, key)
            or self._holds_endpoint(network)
            or self._holds_lifeline(network)
        )

    def _taken_by_interface(self, network: IPNetwork) -> str | None:
        found = self._foreign.overlapped(network)
        if found is None:
            return None
        taken, route = found
        verb = "is connected to" if route.connected else "is routed through"
        return f"It overlaps {taken}, which {verb} {route.interface}."

    def _taken_by_peer(self, network: IPNetwork, key: PublicKey) -> str | None:
        winner = self._claimed.get(network)
        if winner is not None:
            return f"Peer {winner.short} advertises it too, and the lower key wins."
        # A longer prefix wins in WireGuard too, so nesting inside or around another peer's own address is theft.
        for owned, owner in self._owners:
            if owner != key and _overlap(network, owned):
                return f"It overlaps {owned}, an address of peer {owner.short}."
        return None

    def _holds_endpoint(self, network: IPNetwork) -> str | None:
        # Routed into the tunnel, the tunnel's own packets to this endpoint would never get out.
        found = self._proven.overlapped(network)
        if found is None:
            return None
        where, peer = found
        inside = where.network_address
        return f"Peer {peer.short} is reached at {inside} inside it, so the tunnel would run through itself."

    def _holds_lifeline(self, network: IPNetwork) -> str | None:
        """What the host cannot do without: the next hops of its routes, and the servers that tell it names."""
        gateway = self._gateways.overlapped(network)
        if gateway is not None:
            return f"It holds {gateway[0].network_address}, a gateway of this host."
        resolver = self._resolvers.overlapped(network)
        if resolver is not None and network not in self._named:
            return (
                f"It holds {resolver[0].network_address}, a name server of this host. Only where that server really is "
                "behind the mesh, name this very network with --accept-routes."
            )
        return None


def is_default_route(network: IPNetwork) -> bool:
    return network.prefixlen <= DEFAULT_ROUTE_PREFIX[network.version]


def _overlap(a: IPNetwork, b: IPNetwork) -> bool:
    return a.network_address in b or b.network_address in a
