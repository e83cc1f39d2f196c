"""A WireGuard device in memory, behind the same interface as the real ones."""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.errors import DeviceUnavailable
from wgmesh.core.model import IPAddress, IPInterface, IPNetwork, ObservedDevice
from wgmesh.sim.tunnel import Tunnel, TunnelPeer
from wgmesh.wireguard.admission import ForeignRoute, ForeignRoutes
from wgmesh.wireguard.plan import (
    Action,
    AddAddress,
    AddRoute,
    BringUp,
    CreateDevice,
    RemoveAddress,
    RemoveDevice,
    RemovePeer,
    RemoveRoute,
    SetListenPort,
    SetMtu,
    SetPeer,
)


class SimDevice:
    """Implements wgmesh.wireguard.device.Device. Its methods are coroutines that never wait."""

    def __init__(self, tunnel: Tunnel, now: Callable[[], float], foreign: tuple[ForeignRoute, ...] = ()) -> None:
        """`foreign` are the host's own routes."""
        self._tunnel = tunnel
        self._now = now
        self._foreign = ForeignRoutes(foreign)
        self._exists = False
        self._is_up = False
        self._mtu = 0
        self._addresses: list[IPInterface] = []
        self._routes: set[IPNetwork] = set()
        self.listen_port = 0

    def look(self) -> ObservedDevice | None:
        """The device as it is; None where it does not exist."""
        if not self._exists:
            return None
        return ObservedDevice(
            name="wg0",
            backend="simulated",
            listen_port=self.listen_port,
            addresses=tuple(self._addresses),
            mtu=self._mtu,
            peers=tuple(peer.observed() for peer in self._tunnel.peers.values()),
            routes=frozenset(self._routes),
            up=self._is_up,
        )

    def routes_to(self, address: IPAddress) -> bool:
        """Whether the host sends packets for this address into the tunnel."""
        networks = {*self._routes, *(interface.network for interface in self._addresses)}
        return any(network.version == address.version and address in network for network in networks)

    def own_address(self, version: int) -> IPAddress | None:
        return next((interface.ip for interface in self._addresses if interface.version == version), None)

    async def observe(self) -> ObservedDevice | None:
        return self.look()

    async def refresh(self, last: ObservedDevice) -> ObservedDevice | None:
        return self.look()

    async def foreign_routes(self) -> ForeignRoutes:
        return self._foreign

    async def busy_ports(self) -> frozenset[int]:
        return frozenset({self.listen_port} if self.listen_port else ())

    async def apply(self, action: Action) -> None:  # noqa: C901 - one flat table of actions
        if not self._exists and not isinstance(action, CreateDevice):
            raise DeviceUnavailable("The simulated device does not exist; create it first.")
        match action:
            case CreateDevice():
                self._exists = True
            case RemoveDevice():
                self._exists, self._is_up, self.listen_port = False, False, 0
                self._addresses, self._routes = [], set()
                self._tunnel.peers.clear()
            case BringUp():
                self._is_up = True
            case SetMtu(mtu):
                self._mtu = mtu
            case SetListenPort(port):
                self.listen_port = port
            case AddAddress(address):
                self._addresses.append(address)
            case RemoveAddress(address):
                self._addresses.remove(address)
            case AddRoute(network):
                self._routes.add(network)
            case RemoveRoute(network):
                self._routes.discard(network)
            case RemovePeer(public_key):
                self._tunnel.peers.pop(public_key, None)
            case SetPeer():
                self._set_peer(action)

    def _set_peer(self, action: SetPeer) -> None:
        peer = self._tunnel.peers.get(action.public_key)
        if peer is None:
            if not action.new or action.preshared_key is None:
                raise DeviceUnavailable("The simulated device has no such peer.")
            peer = TunnelPeer(action.public_key, action.preshared_key)
            self._tunnel.add_peer(peer)
        peer.preshared_key = action.preshared_key or peer.preshared_key
        peer.endpoint = action.endpoint or peer.endpoint
        if action.allowed_ips is not None:
            self._tunnel.give_networks(peer, action.allowed_ips)
        if action.persistent_keepalive_s is not None:
            self._tunnel.set_keepalive(peer, action.persistent_keepalive_s, self._now())
