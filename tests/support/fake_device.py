"""A WireGuard device in memory with the habits of the kernel's: it steals allowed IPs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from wgmesh.core.errors import DeviceUnavailable, MeshError
from wgmesh.core.model import IPInterface, IPNetwork, ObservedDevice, ObservedPeer, PublicKey
from wgmesh.wireguard.admission import ForeignRoutes
from wgmesh.wireguard.device import PortBusy
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

RANDOM_PORT = 40000  # what "the kernel" chooses for a device that comes up without a port
DEFAULT_MTU = 1420


@dataclass
class FakeDevice:
    """The state is public: tests arrange it and look at it. `faults` maps an action to the error it raises."""

    exists: bool = False
    up: bool = False
    listen_port: int = 0
    mtu: int = DEFAULT_MTU
    addresses: list[IPInterface] = field(default_factory=list)
    peers: dict[PublicKey, ObservedPeer] = field(default_factory=dict)
    routes: set[IPNetwork] = field(default_factory=set)
    foreign: ForeignRoutes = field(default_factory=ForeignRoutes)
    busy: frozenset[int] = frozenset()
    secretly_busy: frozenset[int] = frozenset()
    faults: Callable[[Action], MeshError | None] = lambda action: None
    applied: list[Action] = field(default_factory=list)

    @classmethod
    def like(cls, observed: ObservedDevice | None) -> FakeDevice:
        if observed is None:
            return cls()
        return cls(
            exists=True,
            up=observed.up,
            listen_port=observed.listen_port,
            mtu=observed.mtu,
            addresses=list(observed.addresses),
            peers={peer.public_key: peer for peer in observed.peers},
            routes=set(observed.routes),
        )

    async def observe(self) -> ObservedDevice | None:
        return self.look()

    async def refresh(self, last: ObservedDevice) -> ObservedDevice | None:
        return self.look()

    async def foreign_routes(self) -> ForeignRoutes:
        return self.foreign

    async def busy_ports(self) -> frozenset[int]:
        return self.busy | ({self.listen_port} if self.up else frozenset())

    async def apply(self, action: Action) -> None:
        self.do(action)

    def look(self) -> ObservedDevice | None:
        if not self.exists:
            return None
        return ObservedDevice(
            name="wg0",
            backend="fake",
            listen_port=self.listen_port,
            addresses=tuple(self.addresses),
            mtu=self.mtu,
            peers=tuple(self.peers.values()),
            routes=frozenset(self.routes),
            up=self.up,
        )

    def do(self, action: Action) -> None:  # noqa: C901 - one flat table of actions
        fault = self.faults(action)
        if fault is not None:
            raise fault
        if not self.exists and not isinstance(action, CreateDevice):
            raise DeviceUnavailable("There is no device.")
        self.applied.append(action)
        match action:
            case CreateDevice():
                self.exists = True
            case RemoveDevice():
                self.exists, self.up, self.listen_port = False, False, 0
                self.peers, self.routes, self.addresses = {}, set(), []
            case SetMtu(mtu):
                self.mtu = mtu
            case AddAddress(address):
                assert address not in self.addresses, "the kernel answers EEXIST"
                self.addresses.append(address)
            case RemoveAddress(address):
                self.addresses.remove(address)
            case BringUp():
                self.up, self.listen_port = True, self.listen_port or RANDOM_PORT
            case SetListenPort(port):
                if self.up and port in self.busy | self.secretly_busy:
                    raise PortBusy(f"Port {port} is taken.")
                self.listen_port = port
            case RemovePeer(key):
                del self.peers[key]
            case SetPeer():
                self._set_peer(action)
            case AddRoute(network, _):
                assert self.up, "the kernel answers ENETDOWN"
                self.routes.add(network)
            case RemoveRoute(network):
                self.routes.remove(network)

    def _set_peer(self, action: SetPeer) -> None:
        assert action.new or action.public_key in self.peers, "a change of a peer that is gone must not add it"
        peer = self.peers.get(action.public_key, ObservedPeer(action.public_key))
        if action.endpoint is not None:
            peer = replace(peer, endpoint=action.endpoint)
        if action.preshared_key is not None:
            peer = replace(peer, preshared_key=action.preshared_key)
        if action.persistent_keepalive_s is not None:
            peer = replace(peer, persistent_keepalive_s=action.persistent_keepalive_s)
        self.peers[action.public_key] = peer
        if action.allowed_ips is not None:
            for key, other in self.peers.items():
                self.peers[key] = replace(other, allowed_ips=other.allowed_ips - action.allowed_ips)
            self.peers[action.public_key] = replace(self.peers[action.public_key], allowed_ips=action.allowed_ips)
