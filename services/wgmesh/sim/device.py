"""WireGuard devices in memory, behind the same interface as the real ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping

from wgmesh.core.errors import DeviceUnavailable
from wgmesh.core.model import IPAddress, IPInterface, IPNetwork, ObservedDevice, ObservedPeer, Overlap, PublicKey
from wgmesh.sim.tunnel import Tunnel, TunnelPeer
from wgmesh.wireguard.admission import ForeignRoute, ForeignRoutes
from wgmesh.wireguard.guard import names
from wgmesh.wireguard.plan import (
    Action,
    AddAddress,
    AddMeshRoute,
    AddRoute,
    BringUp,
    CreateDevice,
    RemoveAddress,
    RemoveDevice,
    RemoveMeshRoute,
    RemovePeer,
    RemoveRoute,
    RestoreName,
    SetGuard,
    SetListenPort,
    SetMtu,
    SetPeer,
)
from wgmesh.wireguard.ways import Way

RANDOM_PORT = 40000  # what "the kernel" chooses for a device that comes up without a port


class MemoryDevice(ABC):
    """The link of a device, as strict as the kernel about its order; what its peers are is left to its heirs.

    Implements wgmesh.wireguard.device.Device. The coroutines never wait. The state is public, to arrange and look at.
    """

    backend = "memory"

    def __init__(self, foreign: ForeignRoutes | None = None) -> None:
        """`foreign` are the host's own routes."""
        self.exists = False
        self.up = False
        self.listen_port = 0
        self.mtu = 0
        self.addresses: list[IPInterface] = []
        self.routes: set[IPNetwork] = set()
        self.mesh_routes: set[IPNetwork] = set()
        self.guard: tuple[str, ...] = ()
        self.overlapping: tuple[Overlap, ...] = ()
        self.renamed = False
        self.known_ways: dict[IPAddress, Way] = {}
        self.foreign = foreign or ForeignRoutes()

    @abstractmethod
    def observed_peers(self) -> Iterable[ObservedPeer]:
        """The peers as they are."""

    @abstractmethod
    def set_peer(self, action: SetPeer) -> None:
        """Adds or changes a peer."""

    @abstractmethod
    def remove_peer(self, key: PublicKey) -> None:
        """Removes a peer that is there."""

    def look(self) -> ObservedDevice | None:
        """The device as it is; None where it does not exist."""
        if not self.exists:
            return None
        return ObservedDevice(
            name="wg0",
            backend=self.backend,
            listen_port=self.listen_port,
            addresses=tuple(self.addresses),
            mtu=self.mtu,
            peers=tuple(self.observed_peers()),
            routes=frozenset(self.routes),
            up=self.up,
            mesh_routes=frozenset(self.mesh_routes),
            overlaps=self.overlapping,
            guard=self.guard,
            renamed=self.renamed,
        )

    async def observe(self) -> ObservedDevice | None:
        return self.look()

    async def refresh(self, last: ObservedDevice) -> ObservedDevice | None:
        return self.look()

    async def foreign_routes(self) -> ForeignRoutes:
        return self.foreign

    async def overlaps(self) -> tuple[Overlap, ...]:
        return self.overlapping

    async def ways(self, addresses: Collection[IPAddress]) -> Mapping[IPAddress, Way]:
        return self.known_ways

    async def busy_ports(self) -> frozenset[int]:
        return frozenset({self.listen_port} if self.up else ())

    async def apply(self, action: Action) -> None:
        self.do(action)

    def do(self, action: Action) -> None:  # noqa: C901 - one flat table of actions
        """Carries out an action. Raises DeviceUnavailable where there is no device."""
        if not self.exists and not isinstance(action, CreateDevice | SetGuard):
            raise DeviceUnavailable("There is no device; create it first.")
        match action:
            case CreateDevice():
                self.exists = True
            case RemoveDevice():
                self.exists, self.up, self.listen_port = False, False, 0
                self.addresses, self.routes, self.mesh_routes = [], set(), set()
                for peer in tuple(self.observed_peers()):
                    self.remove_peer(peer.public_key)
            case SetMtu(mtu):
                self.mtu = mtu
            case AddAddress(address):
                assert address not in self.addresses, "the kernel answers EEXIST"
                self.addresses.append(address)
            case RemoveAddress(address):
                self.addresses.remove(address)
            case BringUp():
                self.up, self.listen_port = True, self.listen_port or RANDOM_PORT
            case RestoreName():
                self.renamed = False
            case SetListenPort(port):
                self.listen_port = port
            case RemovePeer(key):
                self.remove_peer(key)
            case SetPeer():
                self.set_peer(action)
            case AddRoute(network, _):
                assert self.up, "the kernel answers ENETDOWN"
                self.routes.add(network)
            case RemoveRoute(network):
                self.routes.remove(network)
            case AddMeshRoute(network):
                if not self.up:
                    raise DeviceUnavailable("The interface is down.")
                self.mesh_routes.add(network)
            case RemoveMeshRoute(network):
                self.mesh_routes.remove(network)
            case SetGuard(guard):
                self.guard = names(guard)


class SimDevice(MemoryDevice):
    """A device whose peers are those of a simulated tunnel."""

    backend = "simulated"

    def __init__(self, tunnel: Tunnel, now: Callable[[], float], foreign: tuple[ForeignRoute, ...] = ()) -> None:
        """`foreign` are the host's own routes."""
        super().__init__(ForeignRoutes(foreign))
        self._tunnel = tunnel
        self._now = now

    def routes_to(self, address: IPAddress) -> bool:
        """Whether the host sends packets for this address into the tunnel."""
        networks = self.routes | self.mesh_routes
        return any(network.version == address.version and address in network for network in networks)

    def own_address(self, version: int) -> IPAddress | None:
        return next((interface.ip for interface in self.addresses if interface.version == version), None)

    def observed_peers(self) -> Iterable[ObservedPeer]:
        return (peer.observed() for peer in self._tunnel.peers.values())

    def remove_peer(self, key: PublicKey) -> None:
        del self._tunnel.peers[key]

    def set_peer(self, action: SetPeer) -> None:
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
