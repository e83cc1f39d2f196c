"""Discovery cores on one fake LAN: datagrams move at once, time moves when a test says so."""

from __future__ import annotations

import ipaddress
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nacl.bindings import crypto_sign_seed_keypair
from support.discovery.pairing import agreements
from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.possession import Agreement
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, IPAddress, Peer, PeerProof, PublicKey, SelfDescription
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import Announcement, decode_announcement
from wgmesh.core.wire.envelope import open_envelope
from wgmesh.discovery.assembly import Randomness
from wgmesh.discovery.core import DiscoveryCore
from wgmesh.discovery.dht import (
    Announce,
    DhtRequest,
    GetItem,
    ItemFound,
    ItemMissing,
    ItemStored,
    LookUp,
    MainlineEvent,
    PeersFound,
    PutItem,
    ReadRecord,
    RecordsRead,
    StoreRecord,
)
from wgmesh.discovery.events import DhtRequested, Event, PairKeysWanted
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.settings import DiscoverySettings

SECRET = Secret("wgmesh-envelope-compatibility-secret")
KEYS = derive(SECRET)
START = 1_800_000_000.0
LAN_CHANNEL, LAN_CHANNEL6 = "lan:eth0", "lan6:eth0"


class Swarm:
    """A Mainline DHT in a dictionary: it believes every announce and every signature, as strangers do."""

    def __init__(self) -> None:
        self.peers: dict[bytes, dict[Endpoint, None]] = {}
        self.items: dict[tuple[bytes, bytes], bytes] = {}
        self.records: dict[bytes, bytes] = {}
        self.requests: list[DhtRequest] = []

    def ask(self, request: DhtRequest, host: IPAddress) -> list[MainlineEvent]:
        """Does what is asked by a node at `host`, and answers."""
        self.requests.append(request)
        match request:
            case Announce(infohash, port):
                self.peers.setdefault(infohash, {})[Endpoint(host, port)] = None
                return [PeersFound(infohash, tuple(self.peers[infohash]))]
            case LookUp(infohash):
                found = tuple(self.peers.get(infohash, ()))
                return [PeersFound(infohash, found)] if found else []
            case StoreRecord(name, value):
                self.records[name] = value
                return []
            case ReadRecord():
                return []
            case PutItem(seed, salt, value):
                public_key = bytes(crypto_sign_seed_keypair(seed)[0])
                self.items[public_key, salt] = value
                return [ItemStored(public_key, salt, 1, 8)]
            case GetItem(public_key, salt):
                found_value = self.items.get((public_key, salt))
                if found_value is None:
                    return [ItemMissing(public_key, salt)]
                return [ItemFound(public_key, salt, found_value, 1)]


@dataclass
class Node:
    """One core with an address on the wire."""

    core: DiscoveryCore
    description: SelfDescription
    host: str
    port: int = KEYS.gossip_port
    events: list[Event] = field(default_factory=list)
    sent: list[Transmit] = field(default_factory=list)
    skew_s: float = 0.0
    other_host: str = ""
    """A second address, of the other family."""

    @property
    def key(self) -> PublicKey:
        return self.description.public_key

    @property
    def address(self) -> Endpoint:
        return Endpoint.of(self.host, self.port)

    @property
    def addresses(self) -> list[Endpoint]:
        return [Endpoint.of(host, self.port) for host in (self.host, self.other_host) if host]

    def address_beside(self, to: Endpoint) -> Endpoint:
        """Where it speaks from to an address."""
        return next((each for each in self.addresses if each.host.version == to.host.version), self.address)

    def peers(self) -> dict[PublicKey, Peer]:
        return {peer.public_key: peer for peer in self.core.snapshot().peers}

    def events_of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def rejections(self) -> list[str]:
        return [
            str(getattr(event, "reason", "")) for event in self.events if type(event).__name__ == "DatagramRejected"
        ]


class Wire:
    """Carries what the cores send. `drop` may lose datagrams; addresses nobody has swallow them."""

    def __init__(self, now: float = START, *, agrees: bool = True) -> None:
        """Without `agrees` no two nodes have a key of their own, so nothing that they say is proven."""
        self.now = now
        self._agrees = agrees
        self.nodes: dict[str, Node] = {}
        self.drop: Callable[[Node, Transmit], bool] = lambda sender, transmit: False
        self.swarm: Swarm | None = None
        """The DHT, where there is one. It answers at once."""
        self.carried: list[tuple[Endpoint, Transmit]] = []

    def add(
        self,
        host: str,
        *,
        number: int | None = None,
        lan: bool = True,
        gossip: bool = False,
        ipv6: bool = True,
        set_self: bool = True,
        interface: str | None = None,
        port: int = KEYS.gossip_port,
        keep_interface: bool = False,
        dht: bool = False,
        private_dht: bool = False,
        skew_s: float = 0.0,
        life: int = 0,
        other_host: str = "",
    ) -> Node:
        """Starts a node whose clock is ahead by `skew_s`. `other_host` is its IPv6 address, in a /64.

        `number` makes its key; without it every address has its own. `port` is its exchange port. A process that starts
        again has another `life`, which makes its chances.
        """
        number = int(host.rpartition(".")[2]) if number is None else number
        rng = random.Random(number + 1000 * life)
        settings = DiscoverySettings(
            SECRET,
            "wg0",
            Path("/nonexistent"),
            f"node-{number}",
            lan=lan,
            gossip=gossip,
            ipv6=ipv6,
            keep_interface=keep_interface,
            dht=dht,
            private_dht=("192.0.2.250:1",) if private_dht else (),
        )
        core = DiscoveryCore(settings, Randomness(rng.randbytes, rng.random), rng.randbytes(8))
        node = Node(core, describe(number), host, port, skew_s=skew_s, other_host=other_host)
        now = self.now + skew_s
        self.nodes[host if port == KEYS.gossip_port else str(node.address)] = node
        core.set_exchange_port(port, now)
        address = ipaddress.ip_interface(interface or f"{host}/24")
        others = (ipaddress.ip_interface(f"{other_host}/64"),) if other_host else ()
        core.set_interfaces([LanInterface("eth0", 2, (address, *others))], now)
        if set_self:
            core.set_self(node.description, (), now)
        self.settle()
        return node

    def remove(self, node: Node) -> None:
        """Kills a node: nothing more is heard of it."""
        self.nodes = {name: each for name, each in self.nodes.items() if each is not node}

    def settle(self) -> None:
        """Moves datagrams until nobody has anything to say at this instant."""
        for _ in range(10_000):
            if not any([self._move(node) for node in tuple(self.nodes.values())]):
                return
        raise AssertionError("the nodes never fall silent")

    def advance(self, span_s: float) -> None:
        """Lets time pass, with every timer at its own instant."""
        end = self.now + span_s
        for _ in range(1_000_000):
            due = [at - node.skew_s for node in self.nodes.values() if (at := node.core.poll_timeout()) is not None]
            at = min(due, default=end)
            if at > end:
                break
            self.now = max(self.now, at)
            for node in tuple(self.nodes.values()):
                timeout = node.core.poll_timeout()
                if timeout is not None and timeout - node.skew_s <= self.now:
                    node.core.handle_timeout(max(timeout, self.now + node.skew_s))
            self.settle()
        else:
            raise AssertionError("a timer spins")
        self.now = end

    def inject(self, node: Node, data: bytes, source: str, channel: str = "") -> None:
        """Hands a node a datagram that no core has sent."""
        node.core.handle_datagram(data, Endpoint.parse(source), self.now + node.skew_s, channel)
        self.settle()

    def _move(self, sender: Node) -> bool:
        moved = False
        while (event := sender.core.poll_event()) is not None:
            sender.events.append(event)
            if isinstance(event, PairKeysWanted):
                agreed = agreements(sender.key, event.public_keys)
                refused = [Agreement(key, None, "no point") for key in event.public_keys]
                sender.core.set_pair_keys(agreed if self._agrees else refused, self.now + sender.skew_s)
            elif isinstance(event, DhtRequested) and isinstance(event.request, ReadRecord) and self.swarm is not None:
                name = event.request.name
                values = [self.swarm.records[name]] if name in self.swarm.records else []
                sender.core.handle_dht(RecordsRead(name, tuple(values)), self.now + sender.skew_s)
            elif isinstance(event, DhtRequested) and self.swarm is not None:
                for answer in self.swarm.ask(event.request, ipaddress.ip_address(sender.host)):
                    sender.core.handle_dht(answer, self.now + sender.skew_s)
        while (transmit := sender.core.poll_transmit()) is not None:
            moved = True
            sender.sent.append(transmit)
            self.carried.append((sender.address, transmit))
            assert len(transmit.data) <= 1232
            if not self.drop(sender, transmit):
                self._deliver(sender, transmit)
        return moved

    def _deliver(self, sender: Node, transmit: Transmit) -> None:
        for node in tuple(self.nodes.values()):
            now = self.now + node.skew_s
            if transmit.channel:
                host = f"fe80::{sender.key.raw[0]:x}" if transmit.channel == LAN_CHANNEL6 else sender.host
                node.core.handle_datagram(transmit.data, Endpoint.of(host, KEYS.lan_port), now, transmit.channel)
            elif transmit.to in node.addresses:
                node.core.handle_datagram(transmit.data, sender.address_beside(transmit.to), now)
            elif transmit.to == Endpoint(node.description.mesh_ipv4, node.port):
                source = Endpoint(sender.description.mesh_ipv4, sender.port)
                node.core.handle_datagram(transmit.data, source, now)


def describe(number: int, secret: Secret = SECRET) -> SelfDescription:
    """A node's description of itself; the key is its number, 32 times."""
    key, keys = PublicKey(bytes([number]) * 32), derive(secret)
    return SelfDescription(
        public_key=key,
        mesh_ipv4=derive_ipv4(key, secret, keys),
        mesh_ipv6=derive_ipv6(key, secret, keys),
        wireguard_port=51820,
        hostname=f"node-{number}",
    )


def prove(wire: Wire, node: Node, peer: Node) -> None:
    """Tells a node that its tunnel to a peer has just carried a handshake."""
    proofs = [PeerProof(peer.key, Endpoint.of(peer.host, 51820), wire.now)]
    node.core.set_self(node.description, proofs, wire.now)
    wire.settle()


def kind(transmit: Transmit) -> str:
    """The type of a message on the wire."""
    return str(json.loads(transmit.data)["type"])


def payload(wire: Wire, transmit: Transmit) -> Announcement:
    """What a HELLO, REPLY or ANNOUNCE says."""
    return decode_announcement(open_envelope(transmit.data, KEYS.gossip_key, wire.now).payload).announcement


def shared_by(wire: Wire, node: Node) -> set[PublicKey]:
    """The peers that a node has named in its REPLYs."""
    replies = [each for each in node.sent if kind(each) == "REPLY"]
    return {known.public_key for each in replies for known in payload(wire, each).known_peers}


def cached_peer(number: int, host: str) -> CachedPeer:
    """An entry of the peer cache."""
    description = describe(number)
    return CachedPeer(
        public_key=description.public_key,
        mesh_ipv4=description.mesh_ipv4,
        last_seen=0,
        hostname=description.hostname,
        endpoint=AdvertisedEndpoint.of(Endpoint.of(host, 51820)),
    )
