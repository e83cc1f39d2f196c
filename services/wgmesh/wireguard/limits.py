"""What the device may be at all by the operator's settings and the mesh's networks, whatever the node process asks.

The kind of harm: code that has taken over a process which parses packets speaks with the node's voice. So this process
believes the node nothing that it can know by itself. It was told before the fork which networks are the mesh's, what
the operator accepts, and the device's port and MTU; and it sees the handshakes. What lies outside is left out, one
entry at a time, and said. What remains to such code: which members are peers, which of the mesh's addresses each of
them has, and which accepted network goes to which working tunnel.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from wgmesh.core.model import (
    DesiredDevice,
    DesiredPeer,
    IPInterface,
    IPNetwork,
    ObservedDevice,
    PeerFailure,
    PublicKey,
    RefusedRoute,
)
from wgmesh.core.network_index import NetworkIndex, network_order
from wgmesh.core.settings import is_wide, named_networks

PEERS_MAX = 2048  # discovery holds 1,000, and as many working tunnels of an earlier life may be kept beside them
NETWORKS_MAX = 2 * PEERS_MAX + 4096  # the two mesh addresses of each peer, and all routes of a node
RESERVED_PORTS_MAX = 64  # a node reserves three
KEEPALIVE_S = (10, 600)  # below it an idle tunnel is a stream of packets; above it any NAT has forgotten the tunnel
USUAL_KEEPALIVE_S = 25


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one device. `mesh` are the networks of the mesh, one for each family at most.

    `is_mesh_named`: the operator has chosen the IPv4 one, so that it does not just follow from the secret.
    """

    mesh: tuple[IPNetwork, ...]
    accept_routes: tuple[IPNetwork, ...]
    listen_port: int
    mtu: int
    is_mesh_named: bool = False
    is_port_chosen: bool = False
    """Whether the operator has named the port, so that it comes before that of an earlier run."""

    @property
    def named(self) -> frozenset[IPNetwork]:
        """The networks that the operator has named one by one."""
        return named_networks(self.accept_routes)


@dataclass(frozen=True, slots=True)
class Limited:
    """What is left of a desired device. `remarks` are sentences on what belongs to no peer, for the log."""

    desired: DesiredDevice
    refused: tuple[RefusedRoute, ...] = ()
    failures: tuple[PeerFailure, ...] = ()
    remarks: tuple[str, ...] = ()


def oversize(peer_count: int, network_count: int, reserved_count: int) -> str:
    """Why a desired device is too big to be looked at, in one sentence; empty where it is not."""
    for count, most, what in (
        (peer_count, PEERS_MAX, "peers"),
        (network_count, NETWORKS_MAX, "networks"),
        (reserved_count, RESERVED_PORTS_MAX, "reserved ports"),
    ):
        if count > most:
            return f"The device that is wanted has {count} {what}, and {most} are the most that a node can want."
    return ""


def limit(desired: DesiredDevice, observed: ObservedDevice | None, limits: Limits) -> Limited:
    """Leaves out of `desired` what lies outside the limits."""
    remarks: list[str] = []
    refused: list[RefusedRoute] = []
    addresses = tuple(_own_addresses(desired.addresses, limits, remarks))
    if desired.listen_port not in (0, limits.listen_port):
        remarks.append(f"Port {desired.listen_port} was asked for, and the operator's is {limits.listen_port}.")
    if desired.mtu != limits.mtu:
        remarks.append(f"MTU {desired.mtu} was asked for, and the operator's is {limits.mtu}.")
    judge = _Judge(limits, frozenset(address.ip for address in addresses), _reached(observed))
    peers = tuple(judge.limited(peer, refused) for peer in desired.peers[:PEERS_MAX])
    return Limited(
        replace(
            desired,
            addresses=addresses,
            listen_port=limits.listen_port if desired.listen_port else 0,
            mtu=limits.mtu,
            reserved_ports=frozenset(sorted(desired.reserved_ports)[:RESERVED_PORTS_MAX]),
            peers=peers,
        ),
        tuple(refused),
        tuple(
            PeerFailure(peer.public_key, f"A device may have at most {PEERS_MAX} peers.")
            for peer in desired.peers[PEERS_MAX:]
        ),
        tuple(remarks),
    )


def _own_addresses(wanted: Iterable[IPInterface], limits: Limits, remarks: list[str]) -> Iterable[IPInterface]:
    """One address in each of the mesh's networks, with the whole network's prefix."""
    free = set(limits.mesh)
    for address in wanted:
        if address.network in free and address.ip != address.network.network_address:
            free.remove(address.network)
            yield address
        else:
            remarks.append(f"Address {address} was not set: it is not the one address of this node in the mesh.")


def _reached(observed: ObservedDevice | None) -> frozenset[PublicKey]:
    """Those with whom a handshake has completed. The node judges its age; here a clock that is set must not matter."""
    peers = observed.peers if observed else ()
    return frozenset(peer.public_key for peer in peers if peer.handshake_at is not None)


class _Judge:
    """Judges the networks of one device's peers."""

    def __init__(self, limits: Limits, own: AbstractSet[object], reached: AbstractSet[PublicKey]) -> None:
        self._limits = limits
        self._own = own
        self._reached = reached
        self._accepted = NetworkIndex((network, None) for network in limits.accept_routes)
        self._named = limits.named

    def limited(self, peer: DesiredPeer, refused: list[RefusedRoute]) -> DesiredPeer:
        own: set[IPNetwork] = set()
        routed: set[IPNetwork] = set()
        for network in sorted(peer.allowed_ips, key=network_order):
            reason = self._against_address(network, own)
            if reason:
                refused.append(RefusedRoute(network, peer.public_key, reason))
            else:
                own.add(network)
        for network in sorted(peer.routable_networks, key=network_order):
            reason = self._against_route(network, peer.public_key)
            if reason:
                refused.append(RefusedRoute(network, peer.public_key, reason, peer.public_key not in self._reached))
            else:
                routed.add(network)
        return replace(
            peer,
            allowed_ips=frozenset(own),
            routable_networks=frozenset(routed),
            persistent_keepalive_s=_keepalive_s(peer.persistent_keepalive_s),
        )

    def _against_address(self, network: IPNetwork, taken: AbstractSet[IPNetwork]) -> str:
        address = network.network_address
        if network.prefixlen != network.max_prefixlen or not any(address in mesh for mesh in self._limits.mesh):
            return "It is no single address in the mesh's own networks."
        if address in self._own:
            return "It is this node's own address."
        if any(each.version == network.version for each in taken):
            return "The peer has an address of this family already."
        return ""

    def _against_route(self, network: IPNetwork, key: PublicKey) -> str:
        if key not in self._reached:
            return "Its tunnel is not proven yet."
        if self._accepted.around(network) is None:
            return "It lies outside the networks of --accept-routes."
        if is_wide(network) and network not in self._named:
            return f"It is as wide as a /{network.prefixlen}: --accept-routes has to name this very network."
        return ""


def _keepalive_s(wanted_s: int) -> int:
    least_s, most_s = KEEPALIVE_S
    return wanted_s if wanted_s == 0 or least_s <= wanted_s <= most_s else USUAL_KEEPALIVE_S
