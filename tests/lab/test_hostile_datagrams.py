"""An outsider on the LAN who sees every datagram and knows no secret. Nothing that he sends may change anything."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from support.lab.meshes import CONNECTED
from support.lab.outsider import Captured, Outsider, Wiretap
from support.lab.pings import RunningPing
from support.lab.witnesses import Way, wait_until_dealt_with
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for
from wgmesh.v1 import node_service_pb2 as node_pb2

TYPES = ("HELLO", "REPLY", "ANNOUNCE", "GOODBYE", "RENDEZVOUS_OFFER", "RENDEZVOUS_START", "NONSENSE")
LAN_PORT = 51830
SETTLE_PINGS = 25  # answered pings after all has been dealt with: half a second in which a lost tunnel would show
REPEATS = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """Two members, what was captured of them, and of a third who came and went."""

    a: MeshNode
    b: MeshNode
    outsider: Outsider
    outsider_address: str
    secret: str
    exchange_port: int
    captured: list[Captured]
    goodbye: Captured
    departed_key: bytes
    witnesses: set[bytes]
    """Keys of the members that spoke after an attack, to show that it was dealt with."""

    @property
    def members(self) -> list[str]:
        return [str(self.a.host.ipv4), str(self.b.host.ipv4)]

    def peers_of(self, node: MeshNode) -> list[node_pb2.PeerStatus]:
        """All but the witnesses."""
        return [peer for peer in node.peers() if peer.public_key not in self.witnesses]

    def state_of(self, node: MeshNode) -> list[tuple[bytes, str, str, int, str]]:
        """What an attack must not change: who is there, where, and how."""
        return sorted(
            (peer.public_key, peer.mesh_ipv4, peer.endpoint.host, peer.endpoint.port, peer.path)
            for peer in self.peers_of(node)
        )

    def wait_until_dealt_with(self) -> None:
        """Waits until both members have dealt with all that was sent to them."""
        group = str(derive(Secret(self.secret)).multicast_group)
        by_multicast = Way(lambda message: self.outsider.multicast(message, group, LAN_PORT), "ANNOUNCE")
        to_port_of = {
            node: Way(partial(self.outsider.send, destination=str(node.host.ipv4), port=self.exchange_port))
            for node in (self.a, self.b)
        }
        overhearing = {PublicKey(node.wait_until_ready().public_key): way for node, way in to_port_of.items()}
        for node, to_its_port in to_port_of.items():
            ways = (to_its_port, by_multicast)
            self.witnesses.update(wait_until_dealt_with(node, self.secret, ways, overhearing))

    def of_type(self, kind: str) -> list[Captured]:
        """At most three captured messages of a type, as an attacker would choose."""
        found = [seen for seen in self.captured if (seen.envelope or {}).get("type") == kind]
        assert found, f"no {kind} was captured"
        return found[:REPEATS]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Fabric() as fabric:
        hosts = fabric.add_hosts(["a", "b", "c", "outsider"])
        secret = new_secret()
        a, b, c = (MeshNode(host, secret) for host in hosts[:3])
        with Wiretap(a.host) as tap_a, Wiretap(c.host) as tap_c, Outsider(hosts[3]) as outsider:
            for node in (a, b, c):
                node.start()
            wait_for_full_mesh([a, b, c])
            departed_key = c.wait_until_ready().public_key
            for kind in ("HELLO", "REPLY", "ANNOUNCE"):
                wait_for(lambda kind=kind: tap_a.of_type(kind), PATIENCE_S, f"a {kind} passes")  # type: ignore[misc]
            c.running_process().stop()
            goodbye = wait_for(lambda: tap_c.of_type("GOODBYE"), PATIENCE_S, "a GOODBYE passes")[0]
            wait_for(lambda: len(a.peers()) == 1 and len(b.peers()) == 1, PATIENCE_S, "c is gone")
            c.start()  # a node that leaves may come back; his old farewell must not send him away again
            wait_for_full_mesh([a, b, c])
            yield Scene(
                a=a,
                b=b,
                outsider=outsider,
                outsider_address=str(hosts[3].ipv4),
                secret=secret,
                exchange_port=a.wait_until_ready().exchange_port,
                captured=tap_a.captured(),
                goodbye=goodbye,
                departed_key=departed_key,
                witnesses=set(),
            )


@pytest.fixture
def unchanged(scene: Scene, came_of: Callable[[str], None]) -> Iterator[None]:
    """Runs a test's attack beside a ping, and then finds members, tunnels and processes as they were."""
    for node in (scene.a, scene.b):
        wait_for(
            lambda node=node: [peer.state for peer in scene.peers_of(node)] == [CONNECTED] * 2,  # type: ignore[misc]
            PATIENCE_S,
            f"{node.name} sees two connected peers before the attack",
        )
    before = [(scene.state_of(node), node.service_pids()) for node in (scene.a, scene.b)]
    address = scene.b.wait_until_ready().mesh_ipv4
    with RunningPing(scene.a.host, address) as ping:
        yield
        scene.wait_until_dealt_with()
        answered = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > answered + SETTLE_PINGS, PATIENCE_S, "the tunnel carries on")
    assert ping.lost == []
    for node, (peers, services) in zip((scene.a, scene.b), before, strict=True):
        assert scene.state_of(node) == peers
        assert all(peer.state == CONNECTED for peer in scene.peers_of(node))
        assert node.service_pids() == services
        assert node.wait_until_ready().public_key not in {peer.public_key for peer in node.peers()}
    came_of("peers, addresses, tunnels and processes as before; no ping lost")


def test_what_the_outsider_sends_does_arrive(scene: Scene) -> None:
    with Wiretap(scene.a.host) as tap:
        address = str(scene.a.host.ipv4)
        scene.outsider.send(b"plain", address, scene.exchange_port)
        scene.outsider.send_as("192.168.77.99", 4711, b"forged", address, scene.exchange_port)
        arrived = wait_for(
            lambda: (
                found
                if len(found := [seen for seen in tap.captured() if seen.payload in (b"plain", b"forged")]) == 2
                else None
            ),
            PATIENCE_S,
            "both datagrams arrive",
        )
    assert {(seen.source, seen.payload) for seen in arrived} == {
        (scene.outsider_address, b"plain"),
        ("192.168.77.99", b"forged"),
    }


def flood(scene: Scene, payload: bytes) -> None:
    """The same datagram to both ports of both members."""
    for address in scene.members:
        for port in (scene.exchange_port, LAN_PORT):
            scene.outsider.send(payload, address, port)


@pytest.mark.attack("somebody without the secret", "confuse a node with garbage on every port")
@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 1200, id="zeros"),
        pytest.param(os.urandom(1200), id="random"),
        pytest.param(b"{" * 1200, id="braces"),
        pytest.param(b"\xff\xfe{}", id="not-utf8"),
        pytest.param(b"[" * 30_000, id="json-30000-deep"),
        pytest.param(b'{"type":' * 8_000, id="objects-8000-deep"),
        pytest.param(b'{"type":"HELLO","nonce":"' + b"A" * 65_000 + b'"}', id="oversized"),
        pytest.param(json.dumps({"type": "HELLO", "nonce": "!", "ciphertext": 7}).encode(), id="wrong-types"),
        pytest.param(json.dumps({"type": ["HELLO"], "nonce": None, "ciphertext": {}}).encode(), id="wrong-shapes"),
        pytest.param(b"d1:ad2:id20:" + b"x" * 20 + b"e1:q4:ping1:t2:aa1:y1:qe", id="dht"),
        pytest.param(b"\x01\x01\x00\x08\x21\x12\xa4\x42" + b"x" * 12 + b"\x00\x20\x00\xff", id="stun"),
    ],
)
def test_garbage_changes_nothing(scene: Scene, unchanged: None, payload: bytes) -> None:
    for _ in range(REPEATS):
        flood(scene, payload)


@pytest.mark.attack("somebody without the secret", "flood a node with 3,000 datagrams of garbage")
def test_a_flood_of_garbage_changes_nothing(scene: Scene, unchanged: None) -> None:
    for number in range(3000):
        scene.outsider.send(b"{%d" % number, scene.members[number % 2], scene.exchange_port)


@pytest.mark.attack("somebody without the secret", "confuse a node with messages that are cut off")
def test_truncated_messages_change_nothing(scene: Scene, unchanged: None) -> None:
    for seen in scene.of_type("HELLO") + scene.of_type("ANNOUNCE"):
        for length in (1, len(seen.payload) // 2, len(seen.payload) - 1):
            flood(scene, seen.payload[:length])


@pytest.mark.attack("somebody without the secret", "move a peer by sending what it said again from elsewhere")
def test_messages_replayed_from_another_address_change_nothing(scene: Scene, unchanged: None) -> None:
    for kind in ("HELLO", "REPLY", "ANNOUNCE"):
        for seen in scene.of_type(kind):
            flood(scene, seen.payload)


@pytest.mark.attack("somebody without the secret", "change anything by sending what a peer said again from its address")
def test_messages_replayed_from_the_same_address_change_nothing(scene: Scene, unchanged: None) -> None:
    for kind in ("HELLO", "REPLY", "ANNOUNCE"):
        for seen in scene.of_type(kind):
            for address in scene.members:
                for port in (scene.exchange_port, LAN_PORT):
                    scene.outsider.send_as(seen.source, seen.source_port, seen.payload, address, port)


@pytest.mark.attack("somebody without the secret", "pass a captured HELLO off as another message")
@pytest.mark.parametrize("label", TYPES)
def test_a_hello_under_another_name_changes_nothing(scene: Scene, unchanged: None, label: str) -> None:
    for seen in scene.of_type("HELLO"):
        forged = seen.relabelled(label)
        flood(scene, forged)
        for address in scene.members:
            scene.outsider.send_as(seen.source, seen.source_port, forged, address, scene.exchange_port)


@pytest.mark.attack("somebody without the secret", "answer a node with its own words")
def test_an_own_hello_bounced_as_a_reply_changes_nothing(scene: Scene, unchanged: None) -> None:
    for seen in scene.of_type("HELLO"):
        bounced = seen.relabelled("REPLY")
        scene.outsider.send(bounced, seen.source, scene.exchange_port)
        scene.outsider.send_as(seen.destination, seen.destination_port, bounced, seen.source, scene.exchange_port)


@pytest.mark.attack("somebody without the secret", "move a peer by sending its multicast announcement from elsewhere")
def test_an_announcement_sent_to_the_lan_port_does_not_move_a_peer(scene: Scene, unchanged: None) -> None:
    for seen in scene.of_type("ANNOUNCE"):
        for address in scene.members:
            scene.outsider.send(seen.payload, address, LAN_PORT)
            scene.outsider.send_as("192.168.77.99", LAN_PORT, seen.payload, address, LAN_PORT)


@pytest.mark.attack("somebody without the secret", "remove a peer with the GOODBYE of its life before")
def test_an_old_genuine_goodbye_does_not_remove_who_came_back(scene: Scene, unchanged: None) -> None:
    assert scene.departed_key in {peer.public_key for peer in scene.a.peers()}
    for _ in range(REPEATS):
        flood(scene, scene.goodbye.payload)
        for address in scene.members:
            scene.outsider.send_as(
                scene.goodbye.source, scene.goodbye.source_port, scene.goodbye.payload, address, scene.exchange_port
            )


def test_the_outsider_never_becomes_a_peer(scene: Scene) -> None:
    scene.wait_until_dealt_with()
    for node in (scene.a, scene.b):
        assert scene.outsider_address not in {peer.endpoint.host for peer in scene.peers_of(node)}
    the_known = {peer.public_key for peer in scene.peers_of(scene.a)}
    assert the_known == {scene.departed_key, scene.b.wait_until_ready().public_key}
