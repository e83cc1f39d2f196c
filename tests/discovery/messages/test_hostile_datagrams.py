"""What an outsider may send, and an insider that lies: the peer table stays as it is.

The core knows one Go neighbour and one of our own nodes, both with a working tunnel.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, Node, Wire
from support.discovery.go_peer import GoPeer, relabel, seal
from wgmesh.core.model import Endpoint, PeerProof, PeersSnapshot
from wgmesh.discovery.messages.rate_limits import STRANGERS_BURST

GO = GoPeer(9, "192.168.1.9")
STRANGER = "192.168.1.66:4444"
FAR_STRANGER = "198.51.100.66:4444"
OTHER_TYPES = ["REPLY", "ANNOUNCE", "GOODBYE", "RENDEZVOUS_OFFER", "RENDEZVOUS_START", "PROBE", "PROBE_REPLY", "FUTURE"]


@dataclass
class Scene:
    """A core that knows two peers, and what it was told by them."""

    wire: Wire
    core: Node
    native: Node
    go_hello: bytes
    native_hello: bytes

    def attack(self, data: bytes, source: str = FAR_STRANGER, channel: str = "") -> None:
        """Sends it, waits for what may come of it, and expects that nothing has."""
        before = known(self.core)
        self.wire.inject(self.core, data, source, channel)
        self.wire.advance(5.0)
        assert known(self.core) == before


def known(node: Node) -> object:
    """The table without ages."""
    snapshot: PeersSnapshot = node.core.snapshot()
    return (
        [
            (
                peer.public_key,
                peer.mesh_ipv4,
                peer.hostname,
                peer.routable_networks,
                peer.discovery_methods,
                peer.control_endpoint,
                sorted((str(each.endpoint), each.source.value) for each in peer.candidates if each.proven_at),
            )
            for peer in snapshot.peers
        ],
        snapshot.description,
        snapshot.observed_endpoints,
    )


@pytest.fixture
def scene() -> Scene:
    wire = Wire()
    core, native = wire.add("192.168.1.1", gossip=True), wire.add("192.168.1.2")
    go_hello = GO.hello(wire.now)
    wire.inject(core, go_hello, GO.source)
    wire.inject(core, GO.reply(wire.now, str(core.address)), GO.source)
    proofs = [
        PeerProof(GO.key, Endpoint.parse("192.168.1.9:51820"), wire.now),
        PeerProof(native.key, Endpoint.parse("192.168.1.2:51820"), wire.now),
    ]
    core.core.set_self(core.description, proofs, wire.now)
    wire.settle()
    assert set(core.peers()) == {GO.key, native.key}
    native_hello = next(t.data for t in native.sent if json.loads(t.data)["type"] == "HELLO")
    wire.advance(1.0)
    return Scene(wire, core, native, go_hello, native_hello)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"\x00" * 1200,
        b"d1:ad2:id20:" + b"x" * 90,
        b'{"type":"HELLO"}' + b" " * 100,
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b"{" * 30_000,
        b'{"type":"HELLO","nonce":"AAAAAAAAAAAAAAAA","ciphertext":"' + b"A" * 400 + b'"}',
        b'{"type":"HELLO","nonce":"AAAA","ciphertext":"' + b"A" * 400 + b'"}',
        b'{"type":5,"nonce":[],"ciphertext":{}}' + b" " * 90,
        b'{"type":"HELLO","nonce":"' + b"A" * 70_000 + b'"}',
    ],
    ids=["empty", "brace", "object", "zeros", "krpc", "only a type", "30,000 deep", "30,000 braces", "forged",
         "short nonce", "wrong types", "oversized"],
)  # fmt: skip
@pytest.mark.parametrize("channel", ["", LAN_CHANNEL])
def test_garbage_changes_nothing_and_is_counted(scene: Scene, data: bytes, channel: str) -> None:
    scene.core.events.clear()
    scene.attack(data, STRANGER, channel)
    assert len(scene.core.rejections()) == 1


def test_every_truncation_of_a_genuine_hello_changes_nothing(scene: Scene) -> None:
    fresh = GO.hello(scene.wire.now + 1, hostname="truncated")
    for length in range(0, len(fresh), 7):
        scene.wire.inject(scene.core, fresh[:length], FAR_STRANGER)
    assert scene.core.peers()[GO.key].hostname == "go-9"


@pytest.mark.parametrize("which", ["go_hello", "native_hello"])
@pytest.mark.parametrize("source", [GO.source, "192.168.1.2:52527", STRANGER, FAR_STRANGER])
def test_a_replayed_hello_changes_nothing(scene: Scene, which: str, source: str) -> None:
    scene.attack(getattr(scene, which), source)


def test_a_hello_replayed_from_its_own_address_is_answered_and_from_elsewhere_is_not(scene: Scene) -> None:
    for source, answers in ((GO.source, 1), (FAR_STRANGER, 0)):
        scene.core.sent.clear()
        scene.wire.inject(scene.core, scene.go_hello, source)
        assert len([each for each in scene.core.sent if not each.channel]) == answers


@pytest.mark.parametrize("which", ["go_hello", "native_hello"])
@pytest.mark.parametrize("message_type", OTHER_TYPES)
@pytest.mark.parametrize("channel", ["", LAN_CHANNEL])
def test_a_known_hello_under_another_name_changes_nothing(
    scene: Scene, which: str, message_type: str, channel: str
) -> None:
    scene.attack(relabel(getattr(scene, which), message_type), STRANGER, channel)


@pytest.mark.parametrize("message_type", OTHER_TYPES)
def test_a_hello_meant_for_somebody_else_under_another_name_changes_nothing(scene: Scene, message_type: str) -> None:
    """The lure: an announcement in the DHT attracts HELLOs that the victims have not seen."""
    lured = GO.hello(scene.wire.now, hostname="lured", wg_endpoint="192.0.2.99:51820")
    for source in (STRANGER, FAR_STRANGER, GO.source):
        scene.attack(relabel(lured, message_type), source)


def test_a_lured_announcement_by_unicast_or_from_off_the_link_changes_nothing(scene: Scene) -> None:
    lured = relabel(GO.hello(scene.wire.now, hostname="lured"), "ANNOUNCE")
    scene.attack(lured, FAR_STRANGER, LAN_CHANNEL)
    scene.attack(lured, "10.9.9.9:51830", LAN_CHANNEL)


def test_our_own_hello_bounced_back_as_reply_changes_nothing(scene: Scene) -> None:
    own = [each.data for each in scene.core.sent if not each.channel]
    assert own
    for data in own:
        for message_type in ("HELLO", "REPLY", "ANNOUNCE", "GOODBYE"):
            scene.attack(relabel(data, message_type), FAR_STRANGER)
            scene.attack(relabel(data, message_type), STRANGER, LAN_CHANNEL)
    assert not [each for each in scene.core.sent if str(each.to) in (FAR_STRANGER, STRANGER)]


def test_an_unsolicited_reply_changes_nothing(scene: Scene) -> None:
    scene.attack(GO.reply(scene.wire.now, "203.0.113.99:1"), FAR_STRANGER)
    scene.attack(GO.reply(scene.wire.now, "203.0.113.99:1"), GO.source)
    scene.attack(GoPeer(8, "192.0.2.8").reply(scene.wire.now, "203.0.113.99:1"), "192.0.2.8:52527")


def test_a_reply_from_elsewhere_to_a_hello_of_ours_is_no_witness(scene: Scene) -> None:
    scene.core.sent.clear()
    while not any(str(each.to) == GO.tunnel_source and b'"HELLO"' in each.data for each in scene.core.sent):
        scene.wire.advance(0.5)
    scene.attack(GO.reply(scene.wire.now, "203.0.113.99:1"), FAR_STRANGER)
    assert "unsolicited" not in scene.core.rejections()


def test_a_repeated_hello_does_not_make_its_sender_look_alive(scene: Scene) -> None:
    seen_at = scene.core.peers()[GO.key].direct_seen_at
    scene.wire.advance(30.0)
    scene.wire.inject(scene.core, scene.go_hello, GO.source)
    assert scene.core.peers()[GO.key].direct_seen_at == seen_at


@pytest.mark.parametrize("age_s", [5.0, 30.0, 59.0, 61.0, 500.0])
def test_an_old_genuine_goodbye_changes_nothing(scene: Scene, age_s: float) -> None:
    """The peer left, came back, and has spoken since."""
    goodbye = GO.goodbye(scene.wire.now - age_s)
    scene.attack(goodbye, GO.source)
    scene.attack(goodbye, FAR_STRANGER)


def test_a_goodbye_from_an_address_that_is_not_the_peers_changes_nothing(scene: Scene) -> None:
    scene.attack(GO.goodbye(scene.wire.now), FAR_STRANGER)
    scene.attack(GoPeer(2, "192.168.1.2").goodbye(scene.wire.now), STRANGER)


@pytest.mark.parametrize("offset_s", [-61.0, 61.0])
def test_a_goodbye_out_of_time_changes_nothing(scene: Scene, offset_s: float) -> None:
    scene.attack(GO.goodbye(scene.wire.now + offset_s), GO.source)


@pytest.mark.parametrize("member", ["mesh_ip", "wg_endpoint", "known_peers"])
def test_a_goodbye_with_the_members_of_a_hello_changes_nothing(scene: Scene, member: str) -> None:
    scene.attack(GO.goodbye(scene.wire.now, **{member: ""}), GO.source)


def test_a_forged_goodbye_does_not_remove_a_peer_that_answers(scene: Scene) -> None:
    """A forgery by a member, from the peer's own address: the tunnel is proven, so the peer is asked."""
    before = known(scene.core)
    forged = GoPeer(2, "192.168.1.2").goodbye(scene.wire.now + 1)
    scene.wire.inject(scene.core, forged, "192.168.1.2:52527")
    assert known(scene.core) == before
    scene.wire.advance(5.0)
    assert scene.native.key in scene.core.peers()


@pytest.mark.parametrize(
    "members",
    [
        {"wg_pubkey": "x"},
        {"wg_pubkey": "test-pubkey", "mesh_ip": "10.0.0.1"},
        {"mesh_ip": "nonsense"},
        {"mesh_ip": "0.0.0.0"},
        {"hostname": "a\x1b[2J"},
        {"hostname": "h" * 254},
        {"wg_endpoint": "nonsense"},
        {"wg_endpoint": "192.0.2.1:0"},
        {"timestamp": 1.5},
        {"timestamp": 0},
        {"protocol": "wgmesh-v2"},
    ],
    ids=str,
)
def test_a_malformed_announcement_of_a_member_changes_nothing(scene: Scene, members: dict[str, object]) -> None:
    scene.attack(seal("HELLO", GO.announcement(scene.wire.now + 1) | members), GO.source)


def test_one_bad_known_peer_harms_neither_its_sender_nor_its_neighbours(scene: Scene) -> None:
    good = GoPeer(8, "192.0.2.8").known_peer()
    bad: list[object] = [{"wg_pubkey": "x"}, 5, None, good | {"mesh_ip": "nonsense"}, good | {"wg_pubkey": ""}]
    scene.wire.inject(scene.core, GO.hello(scene.wire.now + 1, known_peers=[*bad, good]), GO.tunnel_source)
    assert set(scene.core.peers()) == {GO.key, scene.native.key, GoPeer(8, "").key}


@pytest.mark.parametrize(
    "endpoint",
    ["0.0.0.0:51820", "224.0.0.1:51820", "255.255.255.255:51820", "127.0.0.1:51820", "10.214.9.9:51820",
     "[fd61:b957:378d:4e94::9]:51820", "[fe80::1]:51820", "[::]:51820", "[ff02::1]:51820"],
)  # fmt: skip
def test_addresses_that_cannot_be_an_endpoint_never_become_candidates(scene: Scene, endpoint: str) -> None:
    told = GoPeer(8, "192.0.2.8").known_peer() | {"wg_endpoint": endpoint}
    hello = GO.hello(scene.wire.now + 1, wg_endpoint=endpoint, known_peers=[told])
    scene.wire.inject(scene.core, hello, GO.tunnel_source)
    peers = scene.core.peers()
    addresses = {str(each.endpoint) for peer in peers.values() for each in peer.candidates}
    assert endpoint not in addresses
    assert peers[GoPeer(8, "").key].candidates == ()


def test_gossip_is_believed_only_from_inside_the_tunnel(scene: Scene) -> None:
    gossip = GO.announce(scene.wire.now + 1, hostname="renamed")
    scene.attack(gossip, GO.source)
    scene.attack(gossip, "10.214.9.9:52527")
    later = GO.announce(scene.wire.now + 2, hostname="renamed")
    scene.wire.inject(scene.core, later, GO.tunnel_source)
    assert scene.core.peers()[GO.key].hostname == "renamed"


def test_a_flood_from_one_source_is_cut_off_and_others_still_get_through(scene: Scene) -> None:
    scene.core.events.clear()
    junk = b'{"type":"HELLO","nonce":"AAAAAAAAAAAAAAAA","ciphertext":"' + b"A" * 400 + b'"}'
    for _ in range(1000):
        scene.core.core.handle_datagram(junk, Endpoint.parse(FAR_STRANGER), scene.wire.now)
    scene.wire.settle()
    rejections = scene.core.rejections()
    assert rejections.count("rate-limited") == 800 and rejections.count("undecryptable") == 200
    scene.core.sent.clear()
    scene.wire.inject(scene.core, GO.hello(scene.wire.now + 1), GO.source)
    assert any(str(each.to) == GO.source for each in scene.core.sent)


@pytest.mark.parametrize("source", [GO.source, GO.tunnel_source])
def test_a_peer_with_a_working_tunnel_gets_through_a_flood_of_forged_sources(scene: Scene, source: str) -> None:
    _flood(scene, b'{"type":"HELLO","nonce":"AAAAAAAAAAAAAAAA","ciphertext":"' + b"A" * 400 + b'"}')
    newcomer = GoPeer(8, "192.0.2.8")
    scene.wire.inject(scene.core, newcomer.hello(scene.wire.now + 1), newcomer.source)
    assert newcomer.key not in scene.core.peers(), "the flood is no flood"
    scene.core.sent.clear()
    scene.wire.inject(scene.core, GO.hello(scene.wire.now + 1), source)
    assert any(str(each.to) == source for each in scene.core.sent)


def test_after_a_flood_a_newcomer_is_heard_within_a_second(scene: Scene) -> None:
    _flood(scene, b"{" + b"x" * 300)
    newcomer = GoPeer(8, "192.0.2.8")
    scene.wire.advance(1.0)
    scene.wire.inject(scene.core, newcomer.hello(scene.wire.now), newcomer.source)
    assert newcomer.key in scene.core.peers()


def test_a_node_that_repeats_a_captured_hello_without_end_does_not_silence_its_sender(scene: Scene) -> None:
    for number in range(3000):
        source = GO.source if number % 2 else f"198.51.100.{number % 200 + 1}:4444"
        scene.core.core.handle_datagram(scene.go_hello, Endpoint.parse(source), scene.wire.now)
    scene.wire.settle()
    scene.core.sent.clear()
    scene.wire.advance(0.5)
    scene.wire.inject(scene.core, GO.hello(scene.wire.now + 1, hostname="renamed"), GO.tunnel_source)
    assert scene.core.peers()[GO.key].hostname == "renamed"
    assert any(str(each.to) == GO.tunnel_source for each in scene.core.sent)


def test_a_member_that_names_thousands_makes_us_ask_few_at_a_time(scene: Scene) -> None:
    crowd = []
    for number in range(2000):
        base = GoPeer(100, f"198.18.{number // 250}.{number % 250 + 1}").known_peer()
        key = number.to_bytes(32, "little")
        crowd.append(base | {"wg_pubkey": _base64(key), "mesh_ip": f"10.214.{number // 250}.{number % 250 + 1}"})
    scene.core.sent.clear()
    for start in range(0, 2000, 100):
        hello = GO.hello(scene.wire.now + 1, known_peers=crowd[start : start + 100])
        scene.wire.inject(scene.core, hello, GO.tunnel_source)
    assert len(scene.core.peers()) <= 500 + 2  # half a table
    asked = {str(each.to) for each in scene.core.sent if str(each.to.host).startswith("198.18.")}
    assert 0 < len(asked) <= 8


def test_a_member_does_not_get_past_its_own_rate(scene: Scene) -> None:
    scene.core.events.clear()
    for _ in range(150):
        scene.core.core.handle_datagram(GO.hello(scene.wire.now), Endpoint.parse(GO.source), scene.wire.now)
    scene.wire.settle()
    assert scene.core.rejections().count("rate-limited") >= 80


@given(data=st.binary(max_size=2000), channel=st.sampled_from(["", LAN_CHANNEL, "lan:nowhere"]))
@settings(max_examples=100, deadline=None)
def test_no_bytes_disturb_the_core(data: bytes, channel: str) -> None:
    wire = Wire()
    core = wire.add("192.168.1.1")
    wire.inject(core, data, STRANGER, channel)
    assert core.peers() == {}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=10,
)


@given(
    message_type=st.sampled_from(["HELLO", "REPLY", "ANNOUNCE", "GOODBYE", "FUTURE"]),
    changes=st.dictionaries(
        st.sampled_from(
            ["wg_pubkey", "mesh_ip", "mesh_ipv6", "wg_endpoint", "hostname", "routable_networks", "known_peers",
             "observed_endpoint", "nat_type", "introducer", "timestamp", "wgmesh", "msg_type"]
        ),
        _JSON,
        max_size=4,
    ),
    channel=st.sampled_from(["", LAN_CHANNEL]),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_no_sealed_json_disturbs_the_core(message_type: str, changes: dict[str, object], channel: str) -> None:
    wire = Wire()
    core = wire.add("192.168.1.1", gossip=True)
    wire.inject(core, seal(message_type, GO.announcement(wire.now) | changes), GO.source, channel)
    wire.advance(1.0)
    assert len(core.peers()) <= 5
    assert KEYS.gossip_port == core.address.port


def _flood(scene: Scene, junk: bytes) -> None:
    """More than all strangers together may cost us at once, each from another address."""
    for number in range(STRANGERS_BURST + 1000):
        source = Endpoint(IPv4Address(0x0C000000 + number), 4444)
        scene.core.core.handle_datagram(junk, source, scene.wire.now)
    scene.wire.settle()
    scene.core.sent.clear()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
