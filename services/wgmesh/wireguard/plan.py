"""The steps from the device as it is to the device that is wanted.

Two laws, tested as properties: applying the plan reaches the target, and a device in the target state needs no step.

Rules that are easy to miss:
- An endpoint in the target is a hint. While WireGuard itself proves another endpoint by a handshake of the last 180 s
  (the peer roamed), that one stays: it is the better knowledge. The exception is an endpoint that the target names as
  dead, because nothing answers there any more.
- A target endpoint of None, and a listen port of 0, leave to WireGuard what it has.
- Removals come before additions, and peers that lose networks before peers that gain some: giving an allowed IP to one
  peer silently takes it from another.
- The target must be admitted: no network with two owners.
- The firewall rules come before the addresses, so that no address is ever without them, and go after the device.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from wgmesh.core.model import (
    DesiredDevice,
    DesiredPeer,
    Endpoint,
    Guard,
    IPInterface,
    IPNetwork,
    ObservedDevice,
    ObservedPeer,
    PresharedKey,
    PublicKey,
)
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.wireguard import guard

_NOTHING = ObservedDevice(name="", backend="", listen_port=0, up=False)  # what there is before the device is created


@dataclass(frozen=True, slots=True)
class CreateDevice:
    """Create the interface with this node's private key, which the device itself holds."""

    def describe(self) -> str:
        return "create the interface"


@dataclass(frozen=True, slots=True)
class SetMtu:
    """Set the MTU, in bytes."""

    mtu: int

    def describe(self) -> str:
        return f"set MTU {self.mtu}"


@dataclass(frozen=True, slots=True)
class RemoveAddress:
    """Take an address off the interface."""

    address: IPInterface

    def describe(self) -> str:
        return f"remove address {self.address}"


@dataclass(frozen=True, slots=True)
class AddAddress:
    """Put an address on the interface."""

    address: IPInterface

    def describe(self) -> str:
        return f"add address {self.address}"


@dataclass(frozen=True, slots=True)
class BringUp:
    """Bring the interface up."""

    def describe(self) -> str:
        return "bring the interface up"


@dataclass(frozen=True, slots=True)
class RestoreName:
    """Give the interface its own name back."""

    def describe(self) -> str:
        return "give the interface its name back"


@dataclass(frozen=True, slots=True)
class SetListenPort:
    """Listen on this UDP port."""

    port: int

    def describe(self) -> str:
        return f"listen on port {self.port}"


@dataclass(frozen=True, slots=True)
class RemovePeer:
    """Remove a peer with all it has."""

    public_key: PublicKey

    def describe(self) -> str:
        return f"remove peer {self.public_key.short}"


@dataclass(frozen=True, slots=True)
class SetPeer:
    """Add a peer, or change the parts that are not None. `allowed_ips` replaces the whole set."""

    public_key: PublicKey
    new: bool = False
    preshared_key: PresharedKey | None = None
    endpoint: Endpoint | None = None
    allowed_ips: frozenset[IPNetwork] | None = None
    persistent_keepalive_s: int | None = None

    def describe(self) -> str:
        parts = []
        if self.endpoint is not None:
            parts.append(f"endpoint {self.endpoint}")
        if self.allowed_ips is not None:
            parts.append(f"allowed IPs {', '.join(sorted(map(str, self.allowed_ips))) or 'none'}")
        if self.persistent_keepalive_s is not None:
            parts.append(f"keepalive {self.persistent_keepalive_s} s")
        if self.preshared_key is not None:
            parts.append("a preshared key")
        return f"{'add' if self.new else 'change'} peer {self.public_key.short}: {'; '.join(parts)}"


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Stop routing a network into the tunnel."""

    network: IPNetwork

    def describe(self) -> str:
        return f"remove route {self.network}"


@dataclass(frozen=True, slots=True)
class AddRoute:
    """Route a network into the tunnel, for a peer that advertises it."""

    network: IPNetwork
    public_key: PublicKey

    def describe(self) -> str:
        return f"add route {self.network} to peer {self.public_key.short}"


@dataclass(frozen=True, slots=True)
class RemoveMeshRoute:
    """Stop routing one of the mesh's networks, or a part of it, into the tunnel."""

    network: IPNetwork

    def describe(self) -> str:
        return f"remove route {self.network} to the mesh"


@dataclass(frozen=True, slots=True)
class AddMeshRoute:
    """Route one of the mesh's networks, or a part of it, into the tunnel."""

    network: IPNetwork

    def describe(self) -> str:
        return f"add route {self.network} to the mesh"


@dataclass(frozen=True, slots=True)
class SetGuard:
    """Set the firewall rules for mesh addresses, all at once. A guard of nothing removes them."""

    guard: Guard

    def describe(self) -> str:
        if not self.guard.networks:
            return "remove the firewall rules"
        spared = f" without {', '.join(map(str, self.guard.spared))}" if self.guard.spared else ""
        return f"guard {', '.join(map(str, self.guard.networks))}{spared} by firewall rules"


@dataclass(frozen=True, slots=True)
class RemoveDevice:
    """Remove the interface with all it has: peers, addresses and routes go with it."""

    def describe(self) -> str:
        return "remove the interface"


Step = (
    CreateDevice
    | RestoreName
    | SetMtu
    | RemoveAddress
    | AddAddress
    | BringUp
    | SetListenPort
    | RemovePeer
    | SetPeer
    | RemoveRoute
    | AddRoute
    | RemoveMeshRoute
    | AddMeshRoute
    | SetGuard
)
Action = Step | RemoveDevice


def plan(target: DesiredDevice, observed: ObservedDevice | None, now: float) -> tuple[Step, ...]:
    """Returns the actions in the order to apply them. `now` is steady time, as the observed handshakes."""
    current = observed or _NOTHING
    target = replace(target, peers=_remaining(target, current, now))
    actions: list[Step] = [] if observed else [CreateDevice()]
    routes = {network: peer.public_key for peer in target.peers for network in peer.routable_networks}
    actions += [RemoveRoute(network) for network in in_order(current.routes - routes.keys())]
    if guard.names(target.guard) != current.guard:
        actions.append(SetGuard(target.guard))
    actions += _plan_link(target, current)
    actions += _plan_peers(target, current, now)
    # A link that is brought up has lost its routes: what was observed on a link that is down does not count.
    present, laid = (current.routes, current.mesh_routes) if current.up else (frozenset(), frozenset())
    actions += [AddMeshRoute(network) for network in in_order(target.mesh_routes - laid)]
    # Only now: the parts and the whole can be there side by side, and no packet to a member finds neither.
    actions += [RemoveMeshRoute(network) for network in in_order(laid - target.mesh_routes)]
    actions += [AddRoute(network, routes[network]) for network in in_order(routes.keys() - present)]
    return tuple(actions)


def plan_creation(observed: ObservedDevice | None) -> tuple[Step, ...]:
    """Returns what makes sure that there is a device, as bare as it may be."""
    return () if observed else (CreateDevice(),)


def plan_removal(observed: ObservedDevice | None) -> tuple[Action, ...]:
    """Returns what leaves nothing behind. The rules go last, and also where somebody has removed the device."""
    return (RemoveDevice(), SetGuard(Guard())) if observed else (SetGuard(Guard()),)


def is_live(peer: ObservedPeer, now: float) -> bool:
    """Whether a handshake of the last 180 s proves the path."""
    return peer.handshake_at is not None and now - peer.handshake_at < REJECT_AFTER_S


def _plan_link(target: DesiredDevice, current: ObservedDevice) -> list[Step]:
    actions: list[Step] = [RestoreName()] if current.renamed else []
    if target.mtu != current.mtu:
        actions.append(SetMtu(target.mtu))
    wanted, present = frozenset(target.addresses), frozenset(current.addresses)
    actions += [RemoveAddress(address) for address in current.addresses if address not in wanted]
    actions += [AddAddress(address) for address in target.addresses if address not in present]
    if not current.up:
        actions.append(BringUp())
    # After BringUp, because a port that is taken is reported only by a device that is up.
    if target.listen_port not in (0, current.listen_port):
        actions.append(SetListenPort(target.listen_port))
    return actions


def _remaining(target: DesiredDevice, current: ObservedDevice, now: float) -> tuple[DesiredPeer, ...]:
    """All peers but those to be left out: who wished that may not have seen yet that a handshake has completed."""
    live = {peer.public_key for peer in current.peers if is_live(peer, now)}
    return tuple(peer for peer in target.peers if not peer.only_if_connected or peer.public_key in live)


def _plan_peers(target: DesiredDevice, current: ObservedDevice, now: float) -> list[Step]:
    wanted = {peer.public_key for peer in target.peers}
    present = {peer.public_key: peer for peer in current.peers}
    removals = [RemovePeer(peer.public_key) for peer in current.peers if peer.public_key not in wanted]
    losing: list[SetPeer] = []
    gaining: list[SetPeer] = []
    for peer in target.peers:
        was = present.get(peer.public_key)
        change = _plan_peer(peer, was, now)
        if change is None:
            continue
        loses = was is not None and change.allowed_ips is not None and not was.allowed_ips <= change.allowed_ips
        (losing if loses else gaining).append(change)
    return [*removals, *losing, *gaining]


def _plan_peer(peer: DesiredPeer, was: ObservedPeer | None, now: float) -> SetPeer | None:
    if was is None:
        return SetPeer(
            peer.public_key, True, peer.preshared_key, peer.endpoint, peer.allowed_ips, peer.persistent_keepalive_s
        )
    is_kept = is_live(was, now) and (peer.dead_endpoint is None or was.endpoint != peer.dead_endpoint)
    endpoint = None if peer.endpoint == was.endpoint or is_kept else peer.endpoint
    preshared_key = None if peer.preshared_key == was.preshared_key else peer.preshared_key
    allowed_ips = None if peer.allowed_ips == was.allowed_ips else peer.allowed_ips
    keepalive = None if peer.persistent_keepalive_s == was.persistent_keepalive_s else peer.persistent_keepalive_s
    if endpoint is None and preshared_key is None and allowed_ips is None and keepalive is None:
        return None
    return SetPeer(peer.public_key, False, preshared_key, endpoint, allowed_ips, keepalive)


def in_order(networks: AbstractSet[IPNetwork]) -> list[IPNetwork]:
    """The order in which networks are set and named."""
    return sorted(networks, key=lambda network: (network.version, int(network.network_address), network.prefixlen))
