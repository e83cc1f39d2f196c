"""A member that lies about others. It knows the secret and has a working tunnel; its word changes nothing but its own.

The lies are told in every way that there is: from its own address, from its victim's, by multicast, through its tunnel.
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.insider import NEWEST, Insider
from support.meshes import CONNECTED
from support.outsider import Outsider, Wiretap
from support.pings import RunningPing
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.private_key import PrivateKey
from wgmesh.core.rendezvous import Offer, Start, encode_offer, encode_start, pair_id
from wgmesh.core.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for
from wgmesh.v1 import node_service_pb2 as node_pb2

LAN_PORT = 51830
SETTLE_PINGS = 50  # answered pings after an attack: a second in which an effect would show
SITE = "10.66.0.0/24"
NOWHERE = "192.168.77.200"  # of the victims' subnet, so that nothing but membership forbids to speak to it
INVENTED_MAX = 1000  # peers of a table


@dataclass(frozen=True, slots=True)
class Scene:
    """Two honest members `a` and `b`, of whom `b` offers a network; `c`, who has left; and the liar, a member too."""

    a: MeshNode
    b: MeshNode
    liar: MeshNode
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

    def tell(self, message: bytes) -> None:
        """Tells `a` in every way there is."""
        here, port = str(self.a.host.ipv4), self.exchange_port
        self.wire.send(message, here, port)
        self.wire.send_as(str(self.b.host.ipv4), port, message, here, port)
        self.wire.multicast(message, str(self.word.keys.multicast_group), LAN_PORT)
        self.wire.send_as(self.tunnels["liar"], port, message, self.tunnels["a"], port)

    def elsewhere(self, key: PublicKey, **members: Any) -> dict[str, Any]:
        """A description of `key` that would lead its traffic to the liar."""
        return self.word.describe(key, wg_endpoint=f"{self.liar.host.ipv4}:51820", **members)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Fabric() as fabric:
        hosts = fabric.add_hosts(["a", "b", "c", "liar"])
        secret = new_secret()
        a, b, c, liar = (
            MeshNode(host, secret, "--no-stun", "--no-dht", *(("--advertise-routes", SITE) if host.name == "b" else ()))
            for host in hosts
        )
        with Outsider(liar.host) as wire:
            for node in (a, b, c, liar):
                node.start()
            tunnels = wait_for_full_mesh([a, b, c, liar])
            keys = [PublicKey(node.wait_until_ready().public_key) for node in (a, b, c)]
            c.running_process().stop()
            wait_for(lambda: len(a.peers()) == 2 and len(b.peers()) == 2, 5.0, "c is gone")
            wait_for(lambda: peer_of(a, keys[1]).routable_networks, 5.0, "the network of b is known")
            private = PrivateKey(b64decode(json.loads(liar.state_file.read_text())["wg_private_key"]))
            word, stranger = Insider(Secret(secret), private), Insider(Secret(secret))
            yield Scene(a, b, liar, keys[0], keys[1], keys[2], tunnels, word, stranger, wire)


def peer_of(node: MeshNode, key: PublicKey) -> node_pb2.PeerStatus:
    return next(peer for peer in node.peers() if peer.public_key == key.raw)


def held(scene: Scene) -> object:
    """What `a` believes of `b`, and what its device does for it."""
    peer = peer_of(scene.a, scene.key_b)
    shown = scene.a.host.exec("wg", "show", "wg0", "allowed-ips").splitlines()
    routed = next(line for line in shown if line.startswith(scene.key_b.text))
    endpoint = (peer.endpoint.host, peer.endpoint.port)
    return peer.mesh_ipv4, peer.mesh_ipv6, peer.hostname, endpoint, peer.path, sorted(routed.split()[1:])


@pytest.fixture
def unchanged(scene: Scene) -> Iterator[None]:
    """Runs a lie beside a ping from `a` to `b`, and finds `b`, its tunnel and the processes of `a` as they were."""
    wait_for(lambda: peer_of(scene.a, scene.key_b).state == CONNECTED, 10.0, "a and b are connected")
    before, services = held(scene), scene.a.service_pids()
    with RunningPing(scene.a.host, scene.tunnels["b"]) as ping:
        yield
        answered = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > answered + SETTLE_PINGS, 10.0, "the tunnel carries on")
    assert ping.lost == []
    assert held(scene) == before
    assert scene.a.service_pids() == services
    assert scene.key_c.raw not in {peer.public_key for peer in scene.a.peers()}


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
        3.0,
        "a knows the stranger",
    )


def test_nobody_sends_another_away(scene: Scene, unchanged: None) -> None:
    payload = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": scene.key_b.text}
    scene.tell(scene.word.seal("GOODBYE", payload))
    scene.tell(scene.word.seal("GOODBYE", scene.word.extended(payload)))
    scene.tell(scene.word.seal_to(scene.key_a, "GOODBYE", scene.word.extended(payload)))


@pytest.mark.parametrize("kind", ["HELLO", "ANNOUNCE", "REPLY"])
def test_nobody_speaks_for_another(scene: Scene, unchanged: None, kind: str) -> None:
    observed = {"observed_endpoint": f"{NOWHERE}:1"} if kind == "REPLY" else {}
    payload = scene.elsewhere(scene.key_b, **observed)
    scene.tell(scene.word.seal(kind, payload))
    scene.tell(scene.word.seal(kind, scene.word.extended(payload, candidates=[f"{scene.liar.host.ipv4}:51820"])))
    scene.tell(scene.word.seal_to(scene.key_a, kind, scene.word.extended(payload)))


@pytest.mark.parametrize("kind", ["HELLO", "ANNOUNCE"])
def test_nobody_moves_another_by_telling_of_it(scene: Scene, unchanged: None, kind: str) -> None:
    told = _told(scene.elsewhere(scene.key_b))
    wrong = told | {"mesh_ip": str(scene.word.keys.default_ipv4_network[7])}
    lie = scene.word.extended(scene.word.describe(scene.stranger.public_key, known_peers=[told, wrong]))
    scene.tell(scene.stranger.seal_to(scene.key_a, kind, lie))
    scene.tell(scene.word.seal(kind, scene.word.describe(scene.stranger.public_key, known_peers=[told, wrong])))


def test_gossip_moves_nobody_and_brings_nobody_back(scene: Scene, unchanged: None) -> None:
    """The liar may gossip: its tunnel works, and its proof is good. What it says of `b` and `c` is newer than all."""
    records = [
        _told(scene.elsewhere(key)) | {"rev": NEWEST, "age": 0, "candidates": [f"{NOWHERE}:51820"], "exchange_port": 9}
        for key in (scene.key_b, scene.key_c)
    ]
    for speaker in (scene.word.public_key, scene.key_b):
        bare = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": speaker.text, "records": records}
        message = scene.word.seal_to(scene.key_a, "GOSSIP", scene.word.extended(bare))
        scene.tell(message)


def test_nobody_takes_the_mesh_address_of_another(scene: Scene, unchanged: None) -> None:
    peer = peer_of(scene.a, scene.key_b)
    claim = scene.elsewhere(scene.stranger.public_key, mesh_ip=peer.mesh_ipv4, mesh_ipv6=peer.mesh_ipv6)
    scene.tell(scene.stranger.seal_to(scene.key_a, "HELLO", scene.word.extended(claim)))
    scene.tell(scene.word.seal("HELLO", claim))


def test_nobody_takes_the_mesh_address_of_another_by_inventing_a_key_that_it_follows_from(
    scene: Scene, unchanged: None
) -> None:
    """The key is smaller too, so that upstream's rule would give it the address."""
    address = peer_of(scene.a, scene.key_b).mesh_ipv4
    keys = (PublicKey(bytes(2) + number.to_bytes(30, "big")) for number in range(1 << 24))
    invented = next(key for key in keys if scene.word.describe(key)["mesh_ip"] == address)
    told = _told(scene.elsewhere(invented))
    scene.tell(scene.word.seal("HELLO", scene.elsewhere(invented)))
    scene.tell(scene.word.seal("HELLO", scene.word.describe(scene.stranger.public_key, known_peers=[told])))
    bare = {"protocol": "wgmesh-v1", "timestamp": int(time.time()), "wg_pubkey": scene.word.public_key.text}
    scene.tell(scene.word.seal_to(scene.key_a, "GOSSIP", scene.word.extended(bare | {"records": [told]})))
    wait_for(lambda: invented.raw in {peer.public_key for peer in scene.a.peers()}, 3.0, "the invention is heard")


@pytest.mark.parametrize("network", [SITE, "10.66.0.0/25", "0.0.0.0/0", "0.0.0.0/1", "192.168.77.0/24", "::/0"])
def test_nobody_takes_the_routes_of_another_or_of_the_host(scene: Scene, unchanged: None, network: str) -> None:
    before = scene.a.host.ip("route", "show", "table", "all")
    claim = scene.elsewhere(scene.stranger.public_key, routable_networks=[network])
    scene.tell(scene.stranger.seal_to(scene.key_a, "HELLO", scene.word.extended(claim)))
    for line in scene.a.host.exec("wg", "show", "wg0", "allowed-ips").splitlines():
        assert network not in line.split()[1:] or line.startswith(scene.key_b.text)
    new = set(scene.a.host.ip("route", "show", "table", "all").splitlines()) - set(before.splitlines())
    assert not any(network in line for line in new)


def test_nobody_lets_us_shoot_at_a_third(scene: Scene, unchanged: None) -> None:
    """A START from whom we did not ask, and an OFFER, which only introducers take."""
    victims = tuple(Endpoint.parse(f"{NOWHERE}:{port}") for port in range(1, 17))
    now = int(time.time())
    moment = now * 1000 + 500
    start = Start(pair_id(scene.key_a, scene.key_c), scene.key_c, victims, moment, scene.word.public_key)
    offer = Offer(scene.key_c, scene.key_b, victims)
    with Wiretap(scene.a.host) as tap:
        scene.tell(scene.word.seal("RENDEZVOUS_START", encode_start(start, now)))
        scene.tell(scene.word.seal("RENDEZVOUS_OFFER", encode_offer(offer, now)))
        wait_for(lambda: time.time() * 1000 > moment + 1000, 3.0, "the moment of the START has passed")
        assert NOWHERE not in {seen.destination for seen in tap.captured()}


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


def test_a_member_that_invents_thousands_fills_nothing_and_keeps_nobody_out(fabric: Fabric) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b", "late", "liar"])
    a, b, late = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in hosts[:3])
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    address = str(a.host.ipv4)
    key_a = PublicKey(a.wait_until_ready().public_key)
    with Outsider(hosts[3]) as wire, RunningPing(a.host, b.wait_until_ready().mesh_ipv4) as ping:
        _invent(wire, Secret(secret), key_a, address, liars=20)
        wait_for(lambda: len(a.peers()) > INVENTED_MAX / 2, 20.0, "the inventions are heard")
        full = _memory_mb(a)
        _invent(wire, Secret(secret), key_a, address, liars=40)
        answered = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > answered + SETTLE_PINGS, 10.0, "the tunnel carries on")
        assert len(a.peers()) <= INVENTED_MAX
        assert _memory_mb(a) - full < 20.0
        late.start()
        wait_for_full_mesh([a, b, late], 30.0)
    assert ping.lost == []


def _invent(wire: Outsider, secret: Secret, key_a: PublicKey, address: str, liars: int) -> None:
    """Each liar has a new key and names five hundred others, of whom nobody exists."""
    for _ in range(liars):
        liar = Insider(secret)
        for _ in range(10):
            crowd = [liar.describe(PublicKey(os.urandom(32)), wg_endpoint="198.18.0.9:51820") for _ in range(50)]
            told = [
                {name: each[name] for name in ("wg_pubkey", "hostname", "mesh_ip", "wg_endpoint")} for each in crowd
            ]
            payload = liar.extended(liar.describe(liar.public_key, wg_endpoint="", known_peers=told))
            wire.send(liar.seal_to(key_a, "HELLO", payload), address, liar.keys.gossip_port)
        time.sleep(0.1)  # at the pace that the gate lets through, or most of it would be dropped before it is read


def _told(description: dict[str, Any]) -> dict[str, Any]:
    """What one member says of another."""
    return {name: description[name] for name in ("wg_pubkey", "hostname", "mesh_ip", "wg_endpoint")}


def _memory_mb(node: MeshNode) -> float:
    lines = Path(f"/proc/{node.service_pids()['discovery']}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024
