"""One node of the simulation: the real discovery, composition, admission and plan, on a simulated host and device."""

from __future__ import annotations

import ipaddress
from collections.abc import Coroutine, Sized
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wgmesh.core.errors import WeakKey
from wgmesh.core.keys.keyschedule import MeshKeys, derive
from wgmesh.core.keys.possession import Agreement, PairKey, agree
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, Identity, IPAddress, ObservedPeer, PathsSnapshot, PublicKey
from wgmesh.discovery.assembly import Randomness
from wgmesh.discovery.core import DiscoveryCore
from wgmesh.discovery.events import Event, PairKeysWanted, PeersChanged
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.node.composition import Composer, Composition, World, path_word
from wgmesh.node.last_applied import LastApplied
from wgmesh.node.liveness import Liveness
from wgmesh.node.settings import NodeSettings
from wgmesh.sim.chance import Chance
from wgmesh.sim.device import SimDevice
from wgmesh.sim.frames import Echo, Frame, Initiation, Packet, Response, Transport
from wgmesh.sim.network import Host, Network
from wgmesh.sim.pinger import Pinger
from wgmesh.sim.scheduler import Scheduler, Timer
from wgmesh.sim.tunnel import Tunnel
from wgmesh.wireguard.admission import ForeignRoute
from wgmesh.wireguard.limits import Limits
from wgmesh.wireguard.reconciler import Reconciler

TURN_DELAY_S = 0.002  # a change crosses two local sockets before the node acts on it (measured: 0.55 ms a call)
PING_TICK_S = 1.0
PING_PORT = 7  # the echo service; only a name inside the simulation
NOWHERE = Path("/nonexistent")  # nothing in a simulation reads or writes files

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class SimSettings:
    """What distinguishes one simulated node from another."""

    secret: Secret
    private_key: PrivateKey
    listen_port: int = 51820
    mesh_subnet: ipaddress.IPv4Network | None = None
    static_peers: tuple[Endpoint, ...] = ()
    mesh_ipv4: ipaddress.IPv4Address | None = None
    """A stored address from an earlier run."""


class SimNode:
    """A node on `host`. It works from `start` until `leave` or `kill`."""

    def __init__(
        self, scheduler: Scheduler, network: Network, host: Host, settings: SimSettings, chance: Chance
    ) -> None:
        self.host = host
        self.keys: MeshKeys = derive(settings.secret)
        self.public_key = settings.private_key.public_key
        self.events: list[Event] = []
        self._settings = settings
        self._scheduler = scheduler
        self._network = network
        self._chance = chance
        self._identity = Identity(self.public_key, settings.mesh_ipv4)
        self._tunnel = Tunnel(self.public_key, chance.integer, chance.unit, self._send_frame, self._deliver)
        routes = tuple(ForeignRoute(each.address.network, each.interface, True) for each in host.attachments)
        self._device = SimDevice(self._tunnel, lambda: scheduler.now, routes)
        node = self._node_settings()
        mesh = (node.mesh_ipv4_network, self.keys.ipv6_network)
        limits = Limits(mesh, node.accept_routes, node.listen_port, node.mtu)
        self._reconciler = Reconciler(self._device, self.public_key, None, limits)
        self._composer = Composer(node, self.public_key)
        self._core = DiscoveryCore(
            DiscoverySettings(settings.secret, "wg0", NOWHERE, host.name, settings.mesh_subnet),
            Randomness(chance.random_bytes, chance.unit),
            chance.random_bytes(8),
        )
        self._composition: Composition | None = None
        self._intent = LastApplied()
        self._pinger = Pinger(self._send_echo)
        self._timers: dict[str, Timer] = {}
        self._is_running = False

    # Life

    def start(self) -> None:
        """Opens the sockets, creates the device, begins to announce."""
        now = self._scheduler.now
        self._is_running = True
        self.host.receivers[self.keys.gossip_port] = self._on_exchange
        group = Endpoint(self.keys.multicast_group, self.keys.lan_port)
        for interface in self._interfaces():
            self.host.group_receivers[(interface.name, group)] = self._lan_receiver(interface.channel)
        self._core.set_interfaces(self._interfaces(), now)
        self._core.set_exchange_port(self.keys.gossip_port, now)
        self._core.set_static(self._settings.static_peers, now)
        self._after_core()
        self._turn()
        self._ping_all()

    def leave(self) -> None:
        """Stops in order: says goodbye and removes the device."""
        self._core.goodbye(self._scheduler.now)
        self._after_core()
        _finish(self._reconciler.remove())
        self.kill()

    def kill(self) -> None:
        """Stops as power loss does: silently."""
        self._is_running = False
        for timer in self._timers.values():
            timer.cancel()
        self.host.receivers.clear()
        self.host.group_receivers.clear()

    # What it knows

    @property
    def mesh_ipv4(self) -> ipaddress.IPv4Address | None:
        return self._composition.addresses.ipv4 if self._composition else None

    @property
    def known_peers(self) -> frozenset[PublicKey]:
        return frozenset(peer.public_key for peer in self._core.snapshot().peers)

    @property
    def connected_peers(self) -> frozenset[PublicKey]:
        """The peers whose liveness is proven on the data path."""
        verdicts = self._composition.verdicts if self._composition else {}
        return frozenset(key for key, verdict in verdicts.items() if verdict.liveness is Liveness.CONNECTED)

    @property
    def answering_peers(self) -> frozenset[PublicKey]:
        """The peers that answered the latest ping through the tunnel."""
        return self._pinger.answering

    @property
    def path_words(self) -> tuple[str, ...]:
        """The kinds of path to the connected peers, each once."""
        if self._composition is None:
            return ()
        observed, verdicts = self._observed_peers(), self._composition.verdicts
        return tuple(
            sorted(
                {
                    path_word(peer, observed.get(peer.public_key), verdicts[peer.public_key])
                    for peer in self._core.snapshot().peers
                    if peer.public_key in self.connected_peers
                }
            )
        )

    @property
    def oldest_handshake_age_s(self) -> float | None:
        observed = self._observed_peers()
        ages = [
            self._scheduler.now - at for key in self.connected_peers if (at := observed[key].handshake_at) is not None
        ]
        return max(ages, default=None)

    @property
    def median_rtt_s(self) -> float | None:
        return self._pinger.median_rtt_s

    def _observed_peers(self) -> dict[PublicKey, ObservedPeer]:
        device = self._device.look()
        return {peer.public_key: peer for peer in device.peers} if device else {}

    # Datagrams in

    def _on_exchange(self, payload: Sized, source: Endpoint) -> None:
        if isinstance(payload, bytes):
            self._core.handle_datagram(payload, source, self._scheduler.now)
            self._after_core()

    def _lan_receiver(self, channel: str) -> Any:
        def receive(payload: Sized, source: Endpoint) -> None:
            if isinstance(payload, bytes):
                self._core.handle_datagram(payload, source, self._scheduler.now, channel)
                self._after_core()

        return receive

    def _on_wireguard(self, payload: Sized, source: Endpoint) -> None:
        if isinstance(payload, Initiation | Response | Transport):
            before = {key: peer.handshake_at for key, peer in self._tunnel.peers.items()}
            self._tunnel.handle_frame(payload, source, self._scheduler.now)
            self._arm("tunnel", self._tunnel.poll_timeout(), self._on_tunnel_timeout)
            if before != {key: peer.handshake_at for key, peer in self._tunnel.peers.items()}:
                self._turn_soon()

    def _deliver(self, packet: Packet) -> None:
        """A packet came out of the tunnel."""
        if isinstance(packet.payload, Echo):
            self._pinger.handle_echo(packet.payload, packet.source.host, self._scheduler.now)
        elif packet.to.port == self.keys.gossip_port:
            self._on_exchange(packet.payload, packet.source)

    # Datagrams out

    def _after_core(self) -> None:
        """Drains discovery, as after every input."""
        while (transmit := self._core.poll_transmit()) is not None:
            if transmit.channel:
                interface = transmit.channel.partition(":")[2]
                self._network.send(self.host, transmit.data, self.keys.lan_port, transmit.to, interface)
            else:
                self._send(transmit.data, self.keys.gossip_port, transmit.to)
        while (event := self._core.poll_event()) is not None:
            self.events.append(event)
            if isinstance(event, PeersChanged):
                self._turn_soon()
            elif isinstance(event, PairKeysWanted):
                agreements = [Agreement(key, self._agree(key)) for key in event.public_keys]
                self._scheduler.call_later(TURN_DELAY_S, partial(self._on_agreed, agreements))
        self._arm("core", self._core.poll_timeout(), self._on_core_timeout)

    def _on_agreed(self, agreements: list[Agreement]) -> None:
        if self._is_running:
            self._core.set_pair_keys(agreements, self._scheduler.now)
            self._after_core()

    def _agree(self, key: PublicKey) -> PairKey | None:
        try:
            return agree(self._settings.private_key, key)
        except WeakKey:
            return None

    def _send(self, payload: Sized, source_port: int, to: Endpoint) -> None:
        if not self._device.routes_to(to.host):
            self._network.send(self.host, payload, source_port, to)
            return
        own = self._device.own_address(to.host.version)
        if own is not None:
            self._tunnel.send_packet(Packet(Endpoint(own, source_port), to, payload), self._scheduler.now)
            self._arm("tunnel", self._tunnel.poll_timeout(), self._on_tunnel_timeout)

    def _send_frame(self, frame: Frame, to: Endpoint) -> None:
        self._network.send(self.host, frame, self._device.listen_port, to)

    # Turns

    def _turn_soon(self) -> None:
        if self._is_running and "soon" not in self._timers:
            self._timers["soon"] = self._scheduler.call_later(TURN_DELAY_S, self._turn)

    def _turn(self) -> None:
        """Looks at everything, composes, applies, tells: what the node service does."""
        self._timers.pop("soon", None)
        now = self._scheduler.now
        paths = PathsSnapshot(paths=self._pinger.paths)
        world = World(self._identity, self._device.look(), self._core.snapshot(), paths)
        composition = self._composition = self._composer.compose(world, now)
        self._identity = Identity(self.public_key, composition.addresses.ipv4, composition.addresses.ipv6)
        if self._intent.must_apply(composition.device, world.device, now):
            _finish(self._reconciler.turn(composition.device, now))
            self._intent.applied(composition.device, self._device.look(), now)
        self._listen()
        self._arm("tunnel", self._tunnel.poll_timeout(), self._on_tunnel_timeout)
        self._tell(replace(world, device=self._device.look()), composition, now)
        self._ping(frozenset(key for key in self.connected_peers if not self._pinger.measures(key)))
        self._arm("turn", composition.next_at, self._turn)

    def _listen(self) -> None:
        self.host.receivers[self._device.listen_port] = self._on_wireguard

    def _tell(self, world: World, composition: Composition, now: float) -> None:
        description = self._composer.describe(world, composition.addresses, ())
        if description is None:
            return
        proofs, lost = composition.proofs, composition.lost
        if self._intent.must_tell(description, proofs, world.peers, now, lost):
            self._intent.told(proofs, now, lost)
            self._core.set_self(description, proofs, now, lost)
            self._after_core()

    # Time

    def _arm(self, name: str, at: float | None, callback: Any) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if at is not None and self._is_running:
            self._timers[name] = self._scheduler.call_at(at, callback)

    def _on_core_timeout(self) -> None:
        self._core.handle_timeout(self._scheduler.now)
        self._after_core()

    def _on_tunnel_timeout(self) -> None:
        self._tunnel.handle_timeout(self._scheduler.now)
        self._arm("tunnel", self._tunnel.poll_timeout(), self._on_tunnel_timeout)

    # Pings

    def _ping_all(self) -> None:
        now = self._scheduler.now
        self._pinger.give_up(now)
        self._ping(frozenset(key for key in self.connected_peers if self._pinger.is_due(key, now)))
        self._arm("pings", now + PING_TICK_S, self._ping_all)

    def _ping(self, keys: frozenset[PublicKey]) -> None:
        addresses = {peer.public_key: peer.mesh_ipv4 for peer in self._core.snapshot().peers}
        self._pinger.keep(addresses)
        for key in sorted(keys & addresses.keys()):
            self._pinger.ping(key, addresses[key], self._scheduler.now)

    def _send_echo(self, echo: Echo, to: IPAddress) -> None:
        self._send(echo, PING_PORT, Endpoint(to, PING_PORT))

    # Descriptions

    def _interfaces(self) -> tuple[LanInterface, ...]:
        return tuple(
            LanInterface(each.interface, index, (each.address,))
            for index, each in enumerate(self.host.attachments, start=2)
        )

    def _node_settings(self) -> NodeSettings:
        return NodeSettings(
            secret=self._settings.secret,
            keys=self.keys,
            interface="wg0",
            hostname=self.host.name,
            state_dir=NOWHERE,
            listen_port=self._settings.listen_port,
            mtu=1420,
            mesh_subnet=self._settings.mesh_subnet,
        )


def _finish(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Runs a coroutine that never waits, as all of the simulated device."""
    try:
        coroutine.send(None)
    except StopIteration as result:
        value: ResultT = result.value
        return value
    raise RuntimeError("a simulated device waited")
