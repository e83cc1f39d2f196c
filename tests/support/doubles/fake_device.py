"""A WireGuard device in memory with the habits of the kernel: it steals allowed IPs, and fails where a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from wgmesh.core.errors import MeshError
from wgmesh.core.model import IPInterface, IPNetwork, ObservedDevice, ObservedPeer, PublicKey
from wgmesh.sim.device import RANDOM_PORT, MemoryDevice
from wgmesh.wireguard.admission import ForeignRoutes
from wgmesh.wireguard.device import PortBusy
from wgmesh.wireguard.plan import Action, SetListenPort, SetPeer

__all__ = ["RANDOM_PORT", "FakeDevice"]

DEFAULT_MTU = 1420


class FakeDevice(MemoryDevice):
    """The state is public: tests arrange it and look at it. `faults` maps an action to the error it raises."""

    backend = "fake"

    def __init__(
        self,
        exists: bool = False,
        up: bool = False,
        listen_port: int = 0,
        mtu: int = DEFAULT_MTU,
        addresses: Iterable[IPInterface] = (),
        peers: Mapping[PublicKey, ObservedPeer] | None = None,
        routes: Iterable[IPNetwork] = (),
        foreign: ForeignRoutes | None = None,
        busy: frozenset[int] = frozenset(),
        secretly_busy: frozenset[int] = frozenset(),
        faults: Callable[[Action], MeshError | None] = lambda action: None,
    ) -> None:
        super().__init__(foreign)
        self.exists, self.up, self.listen_port, self.mtu = exists, up, listen_port, mtu
        self.addresses, self.routes = list(addresses), set(routes)
        self.peers: dict[PublicKey, ObservedPeer] = dict(peers or {})
        self.busy, self.secretly_busy, self.faults = busy, secretly_busy, faults
        self.applied: list[Action] = []
        self.looks: list[str] = []  # at what, in order: each costs something
        self.trouble: MeshError | None = None  # what every look ends with
        self.answers = asyncio.Event()  # cleared: a full look hangs
        self.answers.set()

    @classmethod
    def like(cls, observed: ObservedDevice | None) -> FakeDevice:
        if observed is None:
            return cls()
        peers = {peer.public_key: peer for peer in observed.peers}
        device = cls(True, observed.up, observed.listen_port, observed.mtu, observed.addresses, peers, observed.routes)
        device.mesh_routes, device.guard = set(observed.mesh_routes), observed.guard
        return device

    def do(self, action: Action) -> None:
        fault = self.faults(action)
        if fault is not None:
            raise fault
        if isinstance(action, SetListenPort) and self.up and action.port in self.busy | self.secretly_busy:
            raise PortBusy(f"Port {action.port} is taken.")
        super().do(action)
        self.applied.append(action)

    async def observe(self) -> ObservedDevice | None:
        self.looks.append("device")
        await self.answers.wait()
        self._raise_trouble()
        return await super().observe()

    async def refresh(self, last: ObservedDevice) -> ObservedDevice | None:
        self.looks.append("peers")
        self._raise_trouble()
        return await super().refresh(last)

    def _raise_trouble(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    async def foreign_routes(self) -> ForeignRoutes:
        self.looks.append("routes")
        return await super().foreign_routes()

    async def busy_ports(self) -> frozenset[int]:
        self.looks.append("ports")
        return self.busy | await super().busy_ports()

    def observed_peers(self) -> Iterable[ObservedPeer]:
        return self.peers.values()

    def remove_peer(self, key: PublicKey) -> None:
        del self.peers[key]

    def set_peer(self, action: SetPeer) -> None:
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
