"""A member that lies about others. It knows the secret and has a working tunnel; its word changes nothing but its own.

The lies are told in every way that there is: from its own address, from its victim's, by multicast, through its tunnel.
"""

from __future__ import annotations

import ipaddress
import json
import os
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from support.lab.insider import NEWEST, Insider
from support.lab.meshes import CONNECTED
from support.lab.outsider import Outsider, Wiretap
from support.lab.pings import INTERVAL_S, RunningPing
from support.lab.witnesses import Way, wait_until_dealt_with
from support.waiting import PATIENCE_S
from wgmesh.core.addressing import derive_ipv4
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.probe import Probe, encode_probe
from wgmesh.core.wire.rendezvous import Offer, Start, encode_offer, encode_start, pair_id
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for
from wgmesh.discovery.exchange.transactions import PATIENCE_S as PATIENCE_OF_HELLO_S
from wgmesh.v1 import node_service_pb2 as node_pb2

LAN_PORT = 51830
SETTLE_PINGS = 25  # answered pings after all has been dealt with: half a second in which a lost tunnel would show
SITE = "192.168.66.0/24"
HARMLESS = "fdee:66:"  # how the networks begin that are nobody else's
PUBLIC = "44.200.0.0/16"  # outside the private networks, which is all that a node accepts by default
NOWHERE = "192.168.77.200"  # of the victims' subnet, so that nothing but membership forbids to speak to it
THIRD = "192.168.77.201"  # of it too, and no test gives it to anybody
RESOLVER, GATEWAY = "172.29.5.53", "172.28.5.1"  # of `a`, far away
WAITING = "Its tunnel is not proven yet."
_thirds = count(210)  # last bytes of addresses that nobody has


@dataclass(frozen=True, slots=True)
class Scene:
    """Two honest members `a` and `b`, of whom `b` offers a network; `c`, who has left; and the liar, a member too."""

    a: MeshNode
    b: MeshNode
    liar: MeshNode
    secret: str
    key_a: PublicKey
    key_b: PublicKey
    key_c: PublicKey
    tunnels: dict[str, str]
    """Mesh addresses by name."""
    word: Insider
    """What the liar can seal and prove with the key of its tunnel."""
    stranger: Insider
    """The same with a key that nobody has met yet."""
    wire: Outsider

    @property
    def exchange_port(self) -> int:
        return self.word.keys.gossip_port

    def tell(self, make: Callable[[], bytes]) -> None:
        """Tells `a` in every way there is, each time in a message of its own: a second copy would be a replay."""
        here, port = str(self.a.host.ipv4), self.exchange_port
        self.wire.send(make(), here, port)
        self.wire.send_as(str(self.b.host.ipv4), port, make(), here, port)
        self.wire.multicast(make(), str(self.word.keys.multicast_group), LAN_PORT)
        self.wire.send_as(self.tunnels["liar"], port, make(), self.tunnels["a"], port)

    def wait_until_dealt_with(self) -> None:
        """Waits until `a` has dealt with all that it was told in any of these ways."""
        here, port, group = str(self.a.host.ipv4), self.exchange_port, str(self.word.keys.multicast_group)
        ways = (
            Way(lambda message: self.wire.send(message, here, port)),
            Way(lambda message: self.wire.multicast(message, group, LAN_PORT), "ANNOUNCE"),
            Way(lambda message: self.wire.send_as(self.tunnels["liar"], port, message, self.tunnels["a"], port)),
        )
        wait_until_dealt_with(self.a, self.secret, ways)

    @contextmanager
    def silent_b(self) -> Iterator[None]:
        """Meanwhile `b` says nothing but through WireGuard: it would put a lie right before anybody could see it."""
        ports = f"{{ {self.exchange_port}, {LAN_PORT} }}"
        self.b.host.nft(
            "table inet silent {\n"
            f"chain heard {{ type filter hook input priority 0; udp dport {ports} drop\n}}\n"
            f"chain said {{ type filter hook output priority 0; udp sport {ports} drop\n}}\n}}\n"
        )
        yield
        self.b.host.nft("delete table inet silent\n")

    @contextmanager
    def deaf_liar(self) -> Iterator[None]:
        """Meanwhile the liar's own node hears nothing but WireGuard: it would put right what is said in its name."""
        ports = f"{{ {self.exchange_port}, {LAN_PORT} }}"
        self.liar.host.nft(
            f"table inet deaf {{\nchain heard {{ type filter hook input priority 0; udp dport {ports} drop\n}}\n}}\n"
        )
        yield
        self.liar.host.nft("delete table inet deaf\n")

    def elsewhere(self, key: PublicKey, **members: Any) -> dict[str, Any]:
        """A description of `key` that would lead its traffic to the liar."""
        return self.word.describe(key, wg_endpoint=f"{self.liar.host.ipv4}:51820", **members)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Fabric() as fabric:
        hosts = fabric.add_hosts(["a", "b", "c", "liar"])
        secret = new_secret()
        flags = {"a": ("--accept-routes", "all"), "b": ("--advertise-routes", SITE)}
        a, b, c, liar = (MeshNode(host, secret, "--no-stun", "--no-dht", *flags.get(host.name, ())) for host in hosts)
        with Outsider(liar.host) as wire:
            a.host.write_resolver(f"nameserver {RESOLVER}\n")
            a.host.ip("route", "add", "203.0.113.0/24", "via", GATEWAY, "dev", a.host.interface, "onlink")
            for node in (a, b, c, liar):
                node.start()
            tunnels = wait_for_full_mesh([a, b, c, liar])
            keys = [PublicKey(node.wait_until_ready().public_key) for node in (a, b, c)]
            c.running_process().stop()
            wait_for(lambda: len(a.peers()) == 2 and len(b.peers()) == 2, PATIENCE_S, "c is gone")
            wait_for(lambda: peer_of(a, keys[1]).routable_networks, PATIENCE_S, "the network of b is known")
            private = PrivateKey(b64decode(json.loads(liar.state_file.read_text())["wg_private_key"]))
            word, stranger = Insider(Secret(secret), private), Insider(Secret(secret))
            yield Scene(a, b, liar, secret, keys[0], keys[1], keys[2], tunnels, word, stranger, wire)


def peer_of(node: MeshNode, key: PublicKey) -> node_pb2.PeerStatus:
    return next(peer for peer in node.peers() if peer.public_key == key.raw)


def keys_of(node: MeshNode) -> set[bytes]:
    return {peer.public_key for peer in node.peers()}


def held(scene: Scene) -> object:
    """What `a` believes of `b`, and what its device does for it."""
    peer = peer_of(scene.a, scene.key_b)
    shown = scene.a.host.exec("wg", "show", "wg0", "allowed-ips").splitlines()
    routed = next(line for line in shown if line.startswith(scene.key_b.text))
    endpoint = (peer.endpoint.host, peer.endpoint.port)
    return peer.mesh_ipv4, peer.mesh_ipv6, peer.hostname, endpoint, peer.path, sorted(routed.split()[1:])


@pytest.fixture
def unchanged(scene: Scene, came_of: Callable[[str], None]) -> Iterator[None]:
    """Runs a lie beside a ping from `a` to `b`, and finds `b`, its tunnel and the processes of `a` as they were."""
    wait_for(lambda: peer_of(scene.a, scene.key_b).state == CONNECTED, PATIENCE_S, "a and b are connected")
    before, services = held(scene), scene.a.service_pids()
    with RunningPing(scene.a.host, scene.tunnels["b"]) as ping, scene.silent_b():
        yield
        scene.wait_until_dealt_with()
        answered = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > answered + SETTLE_PINGS, PATIENCE_S, "the tunnel carries on")
        assert held(scene) == before
    assert ping.lost == []
    assert scene.a.service_pids() == services
    assert scene.key_c.raw not in keys_of(scene.a)
    came_of("peers, addresses, routes and processes as before; no ping lost")


def test_what_the_liar_says_of_itself_is_heard(scene: Scene) -> None:
    """The messages of this module are good ones: only what they say of others is refused."""
    payload = scene.word.extended(scene.word.describe(scene.stranger.public_key, hostname="stranger", wg_endpoint=""))
    message = scene.stranger.seal_to(scene.key_a, "HELLO", payload)
    scene.wire.send(message, str(scene.a.host.ipv4), scene.exchange_port)
    wait_for(
        lambda: (
            peer_of(scene.a, scene.stranger.public_key).hostname == "stranger"
            if scene.stranger.public_key.raw in {peer.public_key for peer in scene.a.peers()}
            else None
        ),
        PATIENCE_S,
        "a knows the stranger",
    )


@pytest.mark.attack("a member", "send another away with a GOODBYE")
def test_nobody_sends_another_away(scene: Scene, unchanged: None) -> None:
    payload = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": scene.key_b.text}
    scene.tell(lambda: scene.word.seal("GOODBYE", payload))
    scene.tell(lambda: scene.word.seal("GOODBYE", scene.word.extended(payload)))
    scene.tell(lambda: scene.word.seal_to(scene.key_a, "GOODBYE", scene.word.extended(payload)))


@pytest.mark.attack("a member", "speak in the name of another")
@pytest.mark.parametrize("kind", ["HELLO", "ANNOUNCE", "REPLY"])
def test_nobody_speaks_for_another(scene: Scene, unchanged: None, kind: str) -> None:
    observed = {"observed_endpoint": f"{NOWHERE}:1"} if kind == "REPLY" else {}
    payload = scene.elsewhere(scene.key_b, **observed)
    candidates = [f"{scene.liar.host.ipv4}:51820"]
    scene.tell(lambda: scene.word.seal(kind, payload))
    scene.tell(lambda: scene.word.seal(kind, scene.word.extended(payload, candidates=candidates)))
    scene.tell(lambda: scene.word.seal_to(scene.key_a, kind, scene.word.extended(payload)))


@pytest.mark.attack("a member", "move another by telling of it")
@pytest.mark.parametrize("kind", ["HELLO", "ANNOUNCE"])
def test_nobody_moves_another_by_telling_of_it(scene: Scene, unchanged: None, kind: str) -> None:
    told = _told(scene.elsewhere(scene.key_b))
    wrong = told | {"mesh_ip": str(scene.word.keys.default_ipv4_network[7])}
    lie = scene.word.describe(scene.stranger.public_key, known_peers=[told, wrong])
    scene.tell(lambda: scene.stranger.seal_to(scene.key_a, kind, scene.word.extended(lie)))
    scene.tell(lambda: scene.word.seal(kind, lie))


@pytest.mark.attack("a member", "move another, or bring back who has left, by gossip")
def test_gossip_moves_nobody_and_brings_nobody_back(scene: Scene, unchanged: None) -> None:
    """The liar may gossip: its tunnel works, and its proof is good. What it says of `b` and `c` is newer than all."""
    records = [
        _told(scene.elsewhere(key)) | {"rev": NEWEST, "age": 0, "candidates": [f"{NOWHERE}:51820"], "exchange_port": 9}
        for key in (scene.key_b, scene.key_c)
    ]
    for speaker in (scene.word.public_key, scene.key_b):
        bare = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": speaker.text, "records": records}
        scene.tell(lambda bare=bare: scene.word.seal_to(scene.key_a, "GOSSIP", scene.word.extended(bare)))  # type: ignore[misc]


@pytest.mark.attack("a member", "take the mesh address of another by a claim")
def test_nobody_takes_the_mesh_address_of_another(scene: Scene, unchanged: None) -> None:
    peer = peer_of(scene.a, scene.key_b)
    claimant = smaller_than(scene.key_b, scene.word)
    claim = scene.elsewhere(claimant.public_key, mesh_ip=peer.mesh_ipv4, mesh_ipv6=peer.mesh_ipv6)
    scene.tell(lambda: claimant.seal_to(scene.key_a, "HELLO", claimant.extended(claim)))
    scene.tell(lambda: scene.word.seal("HELLO", claim))


@pytest.mark.attack("a member", "take the mesh address of another with a key that it follows from")
def test_nobody_takes_the_mesh_address_of_another_by_inventing_a_key_that_it_follows_from(
    scene: Scene, unchanged: None
) -> None:
    """The key is smaller too, so that upstream's rule would give it the address."""
    address = ipaddress.IPv4Address(peer_of(scene.a, scene.key_b).mesh_ipv4)
    keys = (PublicKey(bytes(2) + number.to_bytes(30, "big")) for number in range(1 << 24))
    invented = next(key for key in keys if derive_ipv4(key, scene.word.secret, scene.word.keys) == address)
    told = _told(scene.elsewhere(invented))
    scene.tell(lambda: scene.word.seal("HELLO", scene.elsewhere(invented)))
    scene.tell(lambda: scene.word.seal("HELLO", scene.word.describe(scene.stranger.public_key, known_peers=[told])))
    bare = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": scene.word.public_key.text}
    scene.tell(lambda: scene.word.seal_to(scene.key_a, "GOSSIP", scene.word.extended(bare | {"records": [told]})))
    wait_for(lambda: invented.raw in keys_of(scene.a), PATIENCE_S, "the invention is heard")


@pytest.mark.attack("a member", "have networks routed without a tunnel")
@pytest.mark.parametrize(
    "network",
    [SITE, "192.168.66.0/25", "172.16.0.0/12", "100.64.0.0/10", "fd00::/16", f"{RESOLVER}/32", "0.0.0.0/0", "::/0"],
)
def test_a_claim_without_a_tunnel_routes_nothing_not_even_what_is_harmless(
    scene: Scene, unchanged: None, network: str
) -> None:
    """`a` takes networks of all kinds. It has heard the claim, and says what it waits for."""
    claimant, witness = smaller_than(scene.key_b, scene.word), harmless()
    claim = scene.elsewhere(claimant.public_key, routable_networks=[network, witness])
    before = routes_of(scene.a)

    scene.tell(lambda: claimant.seal_to(scene.key_a, "HELLO", claimant.extended(claim)))

    wait_for(lambda: reason_against(scene.a, claimant, witness), PATIENCE_S, "the claim is heard")
    scene.wait_until_dealt_with()
    assert reason_against(scene.a, claimant, witness) == WAITING
    assert routes_of(scene.a) - before == set()
    assert {each for each in given_to(scene.a, claimant) if ipaddress.ip_network(each).num_addresses > 1} == set()


@pytest.mark.attack("a member", "take the resolver, a gateway, the LAN or a default route, with a tunnel")
@pytest.mark.parametrize(
    "network",
    [
        *("0.0.0.0/0", "0.0.0.0/1", "64.0.0.0/2", "fc00::/8", "::/0", "192.168.77.0/24"),
        *(f"{RESOLVER}/32", "172.29.0.0/16", f"{GATEWAY}/32", "172.28.0.0/16"),
    ],
)
def test_a_member_with_a_tunnel_takes_nothing_that_the_host_lives_by(
    scene: Scene, unchanged: None, network: str
) -> None:
    """A harmless network in the same claim is routed, after all others."""
    witness = harmless()
    before = routes_of(scene.a)
    claim = scene.elsewhere(scene.word.public_key, routable_networks=[network, witness])

    with scene.deaf_liar():
        scene.tell(lambda: scene.word.seal_to(scene.key_a, "HELLO", scene.word.extended(claim)))

        wait_for(lambda: is_routed(scene.a, scene.word, witness), PATIENCE_S, "the harmless one is routed")
        assert network not in given_to(scene.a, scene.word)
        assert [line for line in routes_of(scene.a) - before if not line.startswith(HARMLESS)] == []
        assert wait_for(lambda: reason_against(scene.a, scene.word, network), PATIENCE_S, "it is said why") != WAITING


@pytest.mark.attack("a member", "have a network routed that the operator does not accept")
def test_a_network_that_the_operator_does_not_accept_is_not_routed(scene: Scene) -> None:
    """`b` accepts private networks only, the default. `a`, which accepts all, shows that the claim is good."""
    witness = harmless()
    claim = scene.elsewhere(scene.word.public_key, routable_networks=[PUBLIC, witness])
    with scene.deaf_liar():
        for node, key in ((scene.a, scene.key_a), (scene.b, scene.key_b)):
            message = scene.word.seal_to(key, "HELLO", scene.word.extended(claim))
            scene.wire.send(message, str(node.host.ipv4), scene.exchange_port)
            wait_for(
                lambda node=node: is_routed(node, scene.word, witness),  # type: ignore[misc]
                PATIENCE_S,
                f"{node.name} routes",
            )
        assert PUBLIC in given_to(scene.a, scene.word)
        assert PUBLIC not in given_to(scene.b, scene.word)


@pytest.mark.attack("a member", "block the route of another by naming an address inside it")
def test_nobody_blocks_the_route_of_another_by_naming_an_address_inside_it(scene: Scene, unchanged: None) -> None:
    """Each liar proves its key, and says that its tunnel ends inside the network that `b` offers."""
    for _ in range(3):
        liar = Insider(scene.word.secret)
        claim = scene.word.describe(liar.public_key, wg_endpoint="192.168.66.9:51820")
        candidates = ["192.168.66.9:51820", "192.168.66.10:51820"]
        scene.tell(
            lambda liar=liar, claim=claim, candidates=candidates: liar.seal_to(  # type: ignore[misc]
                scene.key_a, "HELLO", liar.extended(claim, candidates=candidates)
            )
        )
        wait_for(lambda liar=liar: liar.public_key.raw in keys_of(scene.a), PATIENCE_S, "the liar is heard")  # type: ignore[misc]
    assert f"{SITE} dev wg0" in scene.a.host.ip("route", "show", SITE)


@pytest.mark.attack("a member", "aim WireGuard at a third with 24 invented peers")
def test_a_crowd_that_is_said_to_be_at_one_address_makes_wireguard_knock_there_twice(
    scene: Scene, unchanged: None, came_of: Callable[[str], None]
) -> None:
    """Half of the crowd proves its keys, half is only told of. WireGuard itself would repeat after five seconds."""
    crowd = [Insider(scene.word.secret) for _ in range(24)]
    third = f"192.168.77.{next(_thirds)}"
    # Without its hardware address the kernel would keep what is sent there.
    scene.a.host.ip("neigh", "replace", third, "lladdr", "02:00:00:00:00:01", "dev", scene.a.host.interface)
    port = scene.a.wait_until_ready().listen_port
    with Wiretap(scene.a.host) as tap, RunningPing(scene.a.host, scene.tunnels["b"]) as ping:
        described = [scene.word.describe(each.public_key, wg_endpoint=f"{third}:51820") for each in crowd]
        for number, (each, claim) in enumerate(zip(crowd[:12], described[:12], strict=True)):
            message = each.seal_to(scene.key_a, "HELLO", each.extended(claim))
            # Each from a source of its own, since one host has places for few.
            source, here = f"192.168.77.{130 + number}", str(scene.a.host.ipv4)
            scene.wire.send_as(source, scene.exchange_port, message, here, scene.exchange_port)
        for at in range(12, 24, 3):  # as many as fit one packet
            told = scene.word.describe(scene.word.public_key, known_peers=list(map(_told, described[at : at + 3])))
            message = scene.word.seal_to(scene.key_a, "HELLO", scene.word.extended(told))
            scene.wire.send(message, str(scene.a.host.ipv4), scene.exchange_port)
        # Half of them have keys above that of `a`, which waits a second and a half for those to begin.
        wait_for(lambda: {each.public_key.raw for each in crowd} <= keys_of(scene.a), PATIENCE_S, "all are heard of")
        answered = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > answered + 12 / INTERVAL_S, PATIENCE_S, "twelve seconds pass")
        knocks = [each for each in tap.captured() if each.destination == third and each.source_port == port]
    assert 1 <= len(knocks) <= 2
    came_of(f"{len(knocks)} handshake initiations in 12 s")


def smaller_than(key: PublicKey, like: Insider) -> Insider:
    """A new member with a smaller key, which wins where nothing else decides."""
    return next(each for each in (Insider(like.secret) for _ in count()) if each.public_key < key)


def harmless() -> str:
    """A network that is nobody else's. Routes are installed in the order of the networks, so it comes last."""
    first, second = os.urandom(2)
    return str(ipaddress.ip_network(f"{HARMLESS}{first:x}:{second:x}::/64"))


def routes_of(node: MeshNode) -> set[str]:
    return set(node.host.ip("route", "show", "table", "all").splitlines()) | set(
        node.host.ip("-6", "route", "show", "table", "all").splitlines()
    )


def given_to(node: MeshNode, claimant: Insider) -> set[str]:
    """What the device of a node gives to a peer."""
    shown = node.host.exec("wg", "show", "wg0", "allowed-ips").splitlines()
    return next((set(line.split()[1:]) for line in shown if line.startswith(claimant.public_key.text)), set())


def is_routed(node: MeshNode, claimant: Insider, network: str) -> bool:
    return network in given_to(node, claimant) and any(
        line.startswith(f"{network} dev wg0") for line in routes_of(node)
    )


def reason_against(node: MeshNode, claimant: Insider, network: str) -> str:
    """What a node says of a network that it does not route; empty where it says nothing."""
    refused = node.wait_until_ready().refused_routes
    key = claimant.public_key.raw
    return next((each.reason for each in refused if each.network == network and each.public_key == key), "")


@pytest.mark.attack("a member", "make a node punch towards a third with START and OFFER")
def test_nobody_lets_us_shoot_at_a_third(scene: Scene, unchanged: None) -> None:
    """A START from whom we did not ask, and an OFFER, which only introducers take."""
    victims = tuple(Endpoint.parse(f"{THIRD}:{port}") for port in range(1, 17))
    now = int(time.time())
    moment = now * 1000 + 500
    start = Start(pair_id(scene.key_a, scene.key_c), scene.key_c, victims, moment, scene.word.public_key)
    offer = Offer(scene.key_c, scene.key_b, victims)
    # Without its hardware address the kernel would keep what is sent there.
    scene.a.host.ip("neigh", "replace", THIRD, "lladdr", "02:00:00:00:00:01", "dev", scene.a.host.interface)
    with Wiretap(scene.a.host) as tap:
        scene.tell(lambda: scene.word.seal("RENDEZVOUS_START", encode_start(start, now)))
        scene.tell(lambda: scene.word.seal("RENDEZVOUS_OFFER", encode_offer(offer, now)))
        wait_for(lambda: time.time() * 1000 > moment + 1000, PATIENCE_S, "the moment of the START has passed")
        scene.wait_until_dealt_with()
        assert THIRD not in {seen.destination for seen in tap.captured()}


@pytest.mark.attack("a member", "have a third sent more than was said")
@pytest.mark.parametrize("kind", ["HELLO from there", "HELLO", "ANNOUNCE", "GOSSIP", "RENDEZVOUS_START", "PROBE"])
def test_what_is_said_once_brings_less_than_three_times_its_bytes_to_a_third(
    scene: Scene, came_of: Callable[[str], None], kind: str
) -> None:
    """The third never answers. A witness that does not answer either shows that all has been sent by then."""
    third, witness = (f"192.168.77.{next(_thirds)}" for _ in range(2))
    for address in (third, witness):
        scene.a.host.ip("neigh", "replace", address, "lladdr", "02:00:00:00:00:01", "dev", scene.a.host.interface)
    with Wiretap(scene.a.host) as tap:
        said, began_at = _aim(scene, kind, third), time.time()
        wait_for(lambda: time.time() > began_at + PATIENCE_OF_HELLO_S + 1.0, PATIENCE_S, "all repeats are over")
        _aim(scene, "HELLO from there", witness)
        wait_for(lambda: _sent_to(tap, witness), PATIENCE_S, "the witness is answered")
        sent = _sent_to(tap, third)
    assert sum(map(len, sent)) < 3 * len(said)
    assert len(sent) <= 2
    came_of(f"{kind}: {sum(map(len, sent)) / len(said):.2f} times its bytes, in {len(sent)} datagrams")
    assert sent or kind not in ("HELLO from there", "PROBE")


def _aim(scene: Scene, kind: str, third: str) -> bytes:
    """Says something to `a` that points at a third, and returns it."""
    liar, here, port = Insider(scene.word.secret), str(scene.a.host.ipv4), scene.exchange_port
    told = [_told(liar.describe(Insider(scene.word.secret).public_key, wg_endpoint=f"{third}:51820"))]
    now = int(time.time())
    bare = {"protocol": "wgmesh-v1", "timestamp": now, "wg_pubkey": scene.word.public_key.text}
    aimed = liar.describe(liar.public_key, wg_endpoint="", known_peers=told)
    match kind:
        case "HELLO from there":
            message = liar.seal("HELLO", liar.describe(liar.public_key, wg_endpoint=""))
        case "GOSSIP":
            message = scene.word.seal_to(scene.key_a, "GOSSIP", scene.word.extended(bare | {"records": told}))
        case "RENDEZVOUS_START":
            places = tuple(Endpoint.parse(f"{third}:{number}") for number in range(1, 17))
            start = Start(pair_id(scene.key_a, liar.public_key), liar.public_key, places, now * 1000 + 200)
            message = scene.word.seal(kind, encode_start(start, now))
        case "PROBE":
            message = liar.seal(kind, encode_probe(Probe(os.urandom(16)), now))
        case _:  # with a proof, since a mere claim tells of nobody
            message = liar.seal_to(scene.key_a, kind, liar.extended(aimed))
    if kind in ("HELLO from there", "PROBE"):
        scene.wire.send_as(third, port, message, here, port)
    elif kind == "GOSSIP":
        scene.wire.send_as(scene.tunnels["liar"], port, message, scene.tunnels["a"], port)
    else:
        scene.wire.send(message, here, port)
    return message


def _sent_to(tap: Wiretap, address: str) -> list[bytes]:
    return [seen.payload for seen in tap.captured() if seen.destination == address and seen.envelope]


@pytest.mark.attack("a member", "change a proven message on its way")
def test_any_byte_of_a_proven_message_matters(scene: Scene, unchanged: None) -> None:
    """No part of a sealed GOODBYE can be changed into one that is believed."""
    bare = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": scene.key_b.text}
    payload = scene.word.extended(bare)
    good = json.loads(scene.word.seal_to(scene.key_a, "GOODBYE", payload))
    for name in ("nonce", "ciphertext"):
        text = good[name]
        for at in range(0, len(text) - 4, 7):
            flipped = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
            scene.wire.send_as(
                str(scene.b.host.ipv4),
                scene.exchange_port,
                json.dumps(good | {name: flipped}).encode(),
                str(scene.a.host.ipv4),
                scene.exchange_port,
            )


def _told(description: dict[str, Any]) -> dict[str, Any]:
    """What one member says of another."""
    return {name: description[name] for name in ("wg_pubkey", "hostname", "mesh_ip", "wg_endpoint")}
