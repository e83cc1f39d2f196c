"""A light member for large meshes: the real discovery core, on a simulated host and a modelled data plane.

What the node service does is done here for single peers where a whole composition would cost O(N) a change: telling
proofs at the pace of node/last_applied.py, moving away from a lost address (node/addresses.py), cryptokey routing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sim.large.dht import SimDht
from sim.large.links import Links
from sim.large.pairing import agreements
from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, Identity, IPAddress, Peer, PublicKey, SelfDescription
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.discovery.assembly import Randomness
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.core import DiscoveryCore
from wgmesh.discovery.dht import MainlineEvent
from wgmesh.discovery.events import DhtRequested, PairKeysWanted, PeerLeft, PeersChanged, PeerSighted
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.node.addresses import AddressBook, OwnAddresses
from wgmesh.node.last_applied import PROOFS_EVERY_S
from wgmesh.node.settings import NodeSettings
from wgmesh.sim.chance import Chance
from wgmesh.sim.frames import Frame, Initiation, Packet, Response, Transport
from wgmesh.sim.network import Host, Network, Traffic
from wgmesh.sim.scheduler import Scheduler, Timer

WIREGUARD_PORT = 51820
TURN_DELAY_S = 0.002  # as in node.py: a change crosses two local sockets before the node acts on it
NOWHERE = Path("/nonexistent")  # nothing in a simulation reads or writes files


@dataclass(frozen=True, slots=True)
class MemberSettings:
    """What distinguishes one member from another."""

    secret: Secret
    public_key: PublicKey
    mesh_subnet: ipaddress.IPv4Network | None = None
    static_peers: tuple[Endpoint, ...] = ()
    lan: bool = True
    skew_s: float = 0.0
    """How far its clock is ahead."""
    cache: tuple[CachedPeer, ...] = ()
    """What an earlier run has left."""
    bounds: Bounds | None = None
    """How much each memory of discovery may hold; None as in a real member."""
    agreement_s: float = 0.0
    """How long its WireGuard service takes to agree keys: milliseconds, or half a second while it restarts."""


class SimMember:
    """A member on `host`, from `start` until `leave` or `kill`. Another life of it is another object."""

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        host: Host,
        settings: MemberSettings,
        chance: Chance,
        dht: SimDht | None = None,
    ) -> None:
        self.host = host
        self.settings = settings
        self.public_key = settings.public_key
        self.keys = derive(settings.secret)
        self.sent = Traffic()
        """What discovery has sent, inside and outside the tunnels, without any headers."""
        self.core = DiscoveryCore(
            DiscoverySettings(
                settings.secret,
                "wg0",
                NOWHERE,
                host.name,
                settings.mesh_subnet,
                lan=settings.lan,
                dht=dht is not None,
            ),
            Randomness(chance.random_bytes, chance.unit),
            chance.random_bytes(8),
            settings.bounds,
        )
        self.links = Links(self.public_key, self.keys.psk, chance.integer, self._send_frame, self._candidates)
        self.addresses = OwnAddresses(
            derive_ipv4(self.public_key, settings.secret, self.keys, settings.mesh_subnet),
            derive_ipv6(self.public_key, settings.secret, self.keys),
        )
        self.is_running = False
        self._scheduler = scheduler
        self._network = network
        self._chance = chance
        self._dht = dht
        self._book = AddressBook(self.node_settings())
        self._judged: frozenset[Peer] = frozenset()
        self._timers: dict[str, Timer] = {}

    @property
    def now(self) -> float:
        """What its own clock says."""
        return self._scheduler.now + self.settings.skew_s

    # Life

    def start(self) -> None:
        self.is_running = True
        self.host.receivers[self.keys.gossip_port] = self._on_exchange
        self.host.receivers[WIREGUARD_PORT] = self._on_wireguard
        self._attach()
        self.core.set_exchange_port(self.keys.gossip_port, self.now)
        self.core.set_static(self.settings.static_peers, self.now)
        self._tell_all()
        self.core.restore_cache(self.settings.cache, self.now)
        self._after_core()
        if self._dht is not None:
            self._dht.join(self._on_dht)

    def leave(self) -> None:
        """Stops in order: says goodbye."""
        self.core.goodbye(self.now)
        self._after_core()
        self.kill()

    def kill(self) -> None:
        """Stops as power loss does: silently."""
        self.is_running = False
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.host.receivers.clear()
        self.host.group_receivers.clear()

    def moved(self) -> None:
        """The host has other addresses from here on."""
        self._attach()
        self._announce()
        self._after_core()
        self._keep_links()

    # What it knows

    @property
    def table(self) -> PeerTable:
        """The core's own table: a snapshot of a thousand peers is too much for each look at one."""
        return self.core.table

    def knows(self, key: PublicKey) -> bool:
        return key in self.table

    def owner(self, address: IPAddress) -> PublicKey | None:
        """To whom this member's device would send packets for a mesh address."""
        peers = [self._peer(key) for key in self.table.claimants(address)]
        if len(peers) == 1 and address not in (self.addresses.ipv4, self.addresses.ipv6):
            return peers[0].public_key
        contests = self._book.contests(self.public_key, self.addresses, peers)
        return next((contest.winner for contest in contests if contest.address == address), None)

    def node_settings(self) -> NodeSettings:
        """What the node service would be told."""
        return NodeSettings(
            secret=self.settings.secret,
            keys=self.keys,
            interface="wg0",
            hostname=self.host.name,
            state_dir=NOWHERE,
            listen_port=WIREGUARD_PORT,
            mtu=1420,
            mesh_subnet=self.settings.mesh_subnet,
        )

    def _peer(self, key: PublicKey) -> Peer:
        record = self.table.get(key)
        assert record is not None
        return record.to_peer(self.now)

    def _candidates(self, key: PublicKey) -> Sequence[Endpoint] | None:
        record = self.table.get(key)
        return None if record is None else [each.endpoint for each in record.candidates.best_first(self.now)]

    # Datagrams in

    def _on_exchange(self, payload: Sized, source: Endpoint) -> None:
        if isinstance(payload, bytes):
            self.core.handle_datagram(payload, source, self.now)
            self._after_core()

    def _on_lan(self, channel: str, payload: Sized, source: Endpoint) -> None:
        if isinstance(payload, bytes):
            self.core.handle_datagram(payload, source, self.now, channel)
            self._after_core()

    def _on_wireguard(self, payload: Sized, source: Endpoint) -> None:
        if not isinstance(payload, Initiation | Response | Transport):
            return
        arrived = self.links.handle_frame(payload, source, self.now)
        if arrived is not None:
            key, packet = arrived
            if packet.to.port == self.keys.gossip_port and self.owner(packet.source.host) == key:
                self._on_exchange(packet.payload, packet.source)
        if (proofs := self.links.fresh_proofs()) and self.is_running:
            self.core.set_self(self._description(), proofs, self.now)
            self._after_core()
        self._arm("links", self.links.poll_timeout())

    def _on_dht(self, event: MainlineEvent) -> None:
        if self.is_running:
            self.core.handle_dht(event, self.now)
            self._after_core()

    # Datagrams out

    def _after_core(self) -> None:
        """Drains discovery, as after every input."""
        self._drain_datagrams()
        while (event := self.core.poll_event()) is not None:
            match event:
                case PairKeysWanted(keys) if self.settings.agreement_s:
                    self._scheduler.call_later(self.settings.agreement_s, partial(self._agree, keys))
                case PairKeysWanted(keys):
                    self.core.set_pair_keys(agreements(self.public_key, keys), self.now)
                    self._drain_datagrams()
                case DhtRequested(request) if self._dht is not None:
                    self._dht.ask(request, self.host.attachments[0].address.ip, self._on_dht)
                case PeerSighted(key):
                    self.links.meet(key, self.now)
                case PeerLeft(key):
                    self.links.forget(key)
                case PeersChanged() if "turn" not in self._timers:
                    self._arm("turn", self.now + TURN_DELAY_S)
        self._arm("core", self.core.poll_timeout())
        self._arm("links", self.links.poll_timeout())

    def _agree(self, keys: Iterable[PublicKey]) -> None:
        if self.is_running:
            self.core.set_pair_keys(agreements(self.public_key, keys), self.now)
            self._after_core()

    def _drain_datagrams(self) -> None:
        while (transmit := self.core.poll_transmit()) is not None:
            self.sent.count(transmit.data)
            if transmit.channel:
                interface = transmit.channel.partition(":")[2]
                self._network.send(self.host, transmit.data, self.keys.lan_port, transmit.to, interface)
            else:
                self._send(transmit.data, transmit.to)

    def _send(self, data: bytes, to: Endpoint) -> None:
        port = self.keys.gossip_port
        if not self._is_in_mesh(to.host):
            self._network.send(self.host, data, port, to)
            return
        key = self.owner(to.host)
        if key is not None:
            own = self.addresses.ipv4 if to.host.version == 4 else self.addresses.ipv6
            self.links.send_packet(key, Packet(Endpoint(own, port), to, data))

    def _is_in_mesh(self, host: IPAddress) -> bool:
        subnet = self.settings.mesh_subnet or self.keys.default_ipv4_network
        return host in (subnet if host.version == 4 else self.keys.ipv6_network)

    def _send_frame(self, frame: Frame, to: Endpoint) -> None:
        self._network.send(self.host, frame, WIREGUARD_PORT, to)

    # What the node does

    def _turn(self) -> None:
        """Moves away from an address that somebody else has the better right to."""
        rivals = frozenset(self._peer(key) for key in self.table.claimants(self.addresses.ipv4))
        if not rivals or rivals == self._judged:
            return
        self._judged = rivals
        identity = Identity(self.public_key, self.addresses.ipv4, self.addresses.ipv6)
        addresses = self._book.own(identity, self.core.snapshot().peers)
        if addresses != self.addresses:
            self.addresses = addresses
            self._announce()
            self._after_core()

    def _announce(self) -> None:
        self.core.set_self(self._description(), (), self.now)

    def _tell_all(self) -> None:
        """Tells discovery all proofs, and comes again in a minute."""
        self.core.set_self(self._description(), self.links.proofs(), self.now)
        self._after_core()
        self._arm("tell", self.now + PROOFS_EVERY_S)

    def _description(self) -> SelfDescription:
        return SelfDescription(
            public_key=self.public_key,
            mesh_ipv4=self.addresses.ipv4,
            mesh_ipv6=self.addresses.ipv6,
            wireguard_port=WIREGUARD_PORT,
            hostname=self.host.name,
        )

    def _keep_links(self) -> None:
        """What the keepalives of the last minute have shown."""
        self.links.refresh(self.now, self._is_open)
        self._arm("links", self.links.poll_timeout())

    def _is_open(self, endpoint: Endpoint, session: int) -> bool:
        there = self._network.reach(self.host, endpoint.host)
        receiver = there.receivers.get(endpoint.port) if there is not None else None
        other = getattr(receiver, "__self__", None)
        if not isinstance(other, SimMember) or not other.links.has_session(session):
            return False
        source = next(
            each.address.ip for each in self.host.attachments if each.address.version == endpoint.host.version
        )
        other.links.heard(session, Endpoint(source, WIREGUARD_PORT), other.now)
        return True

    # Time

    def _arm(self, name: str, at: float | None) -> None:
        timer = self._timers.get(name)
        due_at = None if at is None else at - self.settings.skew_s
        if timer is not None:
            if timer.at == due_at:
                return
            timer.cancel()
            del self._timers[name]
        if due_at is not None and self.is_running:
            self._timers[name] = self._scheduler.call_at(due_at, lambda: self._on_timer(name))

    def _on_timer(self, name: str) -> None:
        del self._timers[name]
        match name:
            case "core":
                self.core.handle_timeout(self.now)
                self._after_core()
            case "links":
                self.links.handle_timeout(self.now)
                self._arm("links", self.links.poll_timeout())
            case "tell":
                self._keep_links()
                self._tell_all()
            case "turn":
                self._turn()

    # The host

    def _attach(self) -> None:
        group = Endpoint(self.keys.multicast_group, self.keys.lan_port)
        self.host.group_receivers.clear()
        interfaces = tuple(
            LanInterface(each.interface, index, (each.address,))
            for index, each in enumerate(self.host.attachments, start=2)
        )
        for interface in interfaces if self.settings.lan else ():
            receive = _LanReceiver(self, interface.channel)
            self.host.group_receivers[(interface.name, group)] = receive
        self.core.set_interfaces(interfaces, self.now)


@dataclass(frozen=True, slots=True)
class _LanReceiver:
    member: SimMember
    channel: str

    def __call__(self, payload: Sized, source: Endpoint) -> None:
        self.member._on_lan(self.channel, payload, source)
