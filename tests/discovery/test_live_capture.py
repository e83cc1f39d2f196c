"""Two upstream daemons, captured on the wire: our core in the place of one of them."""

from __future__ import annotations

import base64
import ipaddress
import json
import random
from pathlib import Path
from typing import Any

import pytest
from support.vectors import load_vectors
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, Peer, PeerProof, PublicKey, SelfDescription
from wgmesh.core.wire.announcement import decode_announcement, decode_goodbye
from wgmesh.core.wire.envelope import open_envelope
from wgmesh.discovery.assembly import Randomness
from wgmesh.discovery.core import DiscoveryCore
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.settings import DiscoverySettings

LIVE = load_vectors("live_two_nodes")
SECRET = Secret.parse(LIVE["secret"])
KEYS = derive(SECRET)
PACKETS = [packet for packet in LIVE["packets"] if packet["kind"].startswith("wgmesh ")]
BEGUN_AT = PACKETS[0]["t"]
CLOCK_AT_BEGIN = json.loads(PACKETS[0]["payload"])["timestamp"]
# Go's rules for what it reads (protocol notes, 6.1): name, type, and whether it may be left out
GO_MEMBERS = {"protocol", "wg_pubkey", "mesh_ip", "wg_endpoint", "timestamp"}


def test_the_capture_holds_every_kind_of_message() -> None:
    assert {packet["kind"] for packet in PACKETS} == {
        "wgmesh ANNOUNCE",
        "wgmesh HELLO",
        "wgmesh REPLY",
        "wgmesh GOODBYE",
    }


@pytest.mark.parametrize("packet", PACKETS, ids=lambda packet: f"{packet['t']}-{packet['kind'].split()[1]}")
def test_every_captured_message_decodes(packet: dict[str, Any]) -> None:
    opened = open_envelope(bytes.fromhex(packet["hex"]), KEYS.gossip_key, clock(packet))
    assert dict(opened.payload) == json.loads(packet["payload"])
    if opened.type == "GOODBYE":
        assert decode_goodbye(opened.payload).public_key.text == LIVE["node_b"]["wg_pubkey"]
    else:
        assert decode_announcement(opened.payload).dropped == ()


def test_in_the_place_of_b_the_core_learns_a() -> None:
    core = core_as("node_b", "10.88.0.2")
    for packet in sent_by("10.88.0.1"):
        if not packet["src"].startswith("10.88.0.1:"):  # it comes through the tunnel, so that works
            reach(core, only_peer(core).public_key, "10.88.0.1")
        feed(core, packet)
    peer = only_peer(core)
    assert peer.public_key.text == LIVE["node_a"]["wg_pubkey"]
    assert str(peer.mesh_ipv4) == LIVE["node_a"]["mesh_ip"]
    assert str(peer.mesh_ipv6) == LIVE["node_a"]["mesh_ipv6"]
    assert peer.routable_networks == (ipaddress.ip_network("192.168.77.0/24"),)
    assert peer.hostname == "vm" and peer.nat_type == "cone" and not peer.native
    assert peer.candidates[0].endpoint == Endpoint.parse("10.88.0.1:51820")
    assert {candidate.endpoint for candidate in peer.candidates} == {Endpoint.parse("10.88.0.1:51820")}
    assert set(peer.discovery_methods) == {"lan", "exchange", "gossip"}


def test_in_the_place_of_a_the_core_learns_b_and_lets_it_go() -> None:
    core = core_as("node_a", "10.88.0.1")
    seen_before_goodbye = 0
    for packet in sent_by("10.88.0.2"):
        seen_before_goodbye = max(seen_before_goodbye, len(core.snapshot().peers))
        feed(core, packet)
    assert PACKETS[-1]["kind"] == "wgmesh GOODBYE"
    assert seen_before_goodbye == 1
    assert core.snapshot().peers == ()


def test_the_reply_to_a_captured_hello_is_one_that_go_accepts() -> None:
    core = core_as("node_b", "10.88.0.2")
    hello = next(packet for packet in sent_by("10.88.0.1") if packet["kind"] == "wgmesh HELLO")
    drain(core)
    feed(core, hello)
    replies = [transmit for transmit in drain(core) if json.loads(transmit.data)["type"] == "REPLY"]
    assert [str(reply.to) for reply in replies] == [hello["src"]]
    envelope = json.loads(replies[0].data)
    assert len(replies[0].data) <= 1232
    assert set(envelope) == {"type", "nonce", "ciphertext"}
    assert len(base64.b64decode(envelope["nonce"], validate=True)) == 12
    assert len(envelope["ciphertext"]) % 4 == 0 and base64.b64decode(envelope["ciphertext"], validate=True)
    payload = open_envelope(replies[0].data, KEYS.gossip_key, clock(hello)).payload
    assert set(payload) >= GO_MEMBERS
    assert payload["protocol"] == "wgmesh-v1"
    assert type(payload["timestamp"]) is int
    assert payload["observed_endpoint"] == hello["src"]
    assert payload["wg_pubkey"] == LIVE["node_b"]["wg_pubkey"]
    assert payload["wg_endpoint"] == "10.88.0.2:51820"
    assert payload["mesh_ip"] == LIVE["node_b"]["mesh_ip"]


def test_what_the_core_says_on_the_lan_is_what_a_go_node_says_there() -> None:
    core = core_as("node_b", "10.88.0.2")
    captured = next(packet for packet in sent_by("10.88.0.2") if packet["dst"].startswith("239."))
    announcement = next(transmit for transmit in drain(core) if transmit.channel)
    assert str(announcement.to) == captured["dst"]
    payload = dict(open_envelope(announcement.data, KEYS.gossip_key, CLOCK_AT_BEGIN).payload)
    theirs = json.loads(captured["payload"])
    assert {name: payload.get(name) for name in theirs} | {"timestamp": 0} == theirs | {"timestamp": 0}
    assert "known_peers" not in payload and "observed_endpoint" not in payload
    assert len(announcement.data) < 4096


def test_every_repeat_of_a_captured_hello_is_answered_and_changes_nothing() -> None:
    core = core_as("node_b", "10.88.0.2")
    hello = next(packet for packet in sent_by("10.88.0.1") if packet["kind"] == "wgmesh HELLO")
    feed(core, hello)
    drain(core)
    before = core.snapshot()
    for _ in range(39):
        feed(core, hello)
        answers = [transmit for transmit in drain(core) if not transmit.channel]
        assert [json.loads(answer.data)["type"] for answer in answers] == ["REPLY"]
    assert core.snapshot() == before


def core_as(name: str, host: str) -> DiscoveryCore:
    rng = random.Random(7)
    settings = DiscoverySettings(SECRET, "wg0", Path("/nonexistent"), "vm", gossip=True)
    core = DiscoveryCore(settings, Randomness(rng.randbytes, rng.random), rng.randbytes(8))
    core.set_interfaces([LanInterface("eth0", 2, (ipaddress.ip_interface(f"{host}/24"),))], CLOCK_AT_BEGIN)
    node = LIVE[name]
    description = SelfDescription(
        public_key=PublicKey.parse(node["wg_pubkey"]),
        mesh_ipv4=ipaddress.IPv4Address(node["mesh_ip"]),
        mesh_ipv6=ipaddress.IPv6Address(node["mesh_ipv6"]),
        wireguard_port=51820,
        hostname="vm",
        nat_type="cone",
    )
    core.set_self(description, (), CLOCK_AT_BEGIN)
    return core


def reach(core: DiscoveryCore, peer: PublicKey, host: str) -> None:
    """Tells a core that WireGuard has reached its peer."""
    description = core.snapshot().description
    assert description is not None
    core.set_self(description, [PeerProof(peer, Endpoint.of(host, 51820), CLOCK_AT_BEGIN)], CLOCK_AT_BEGIN)


def sent_by(host: str) -> list[dict[str, Any]]:
    mesh_ip = LIVE["node_a" if host == "10.88.0.1" else "node_b"]["mesh_ip"]
    return [packet for packet in PACKETS if packet["src"].rpartition(":")[0] in (host, mesh_ip)]


def feed(core: DiscoveryCore, packet: dict[str, Any]) -> None:
    channel = "lan:eth0" if packet["dst"].startswith("239.") else ""
    core.handle_datagram(bytes.fromhex(packet["hex"]), Endpoint.parse(packet["src"]), clock(packet), channel)


def clock(packet: dict[str, Any]) -> float:
    return float(CLOCK_AT_BEGIN + packet["t"] - BEGUN_AT)


def drain(core: DiscoveryCore) -> list[Any]:
    return list(iter(core.poll_transmit, None))


def only_peer(core: DiscoveryCore) -> Peer:
    (peer,) = core.snapshot().peers
    return peer
