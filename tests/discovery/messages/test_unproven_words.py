"""An unproven word costs nobody anything: invented names, words in the names of members, and times that are lies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, Node, Wire, kind, payload, prove
from support.discovery.go_peer import GoPeer, meet
from wgmesh.core.model import Endpoint, PeerProof, PublicKey
from wgmesh.core.wire.announcement import Extension, decode_announcement, encode_announcement
from wgmesh.core.wire.envelope import MessageType, seal
from wgmesh.discovery.events import PeerDisplaced, PeerLeft, PeerSighted
from wgmesh.discovery.members.evidence import CLAIMS_MAX, CLAIMS_PER_HOST_MAX, DIRECT_PER_HOST_MAX
from wgmesh.discovery.members.record import CLAIM_S

NAMES = 1100  # more than a table holds
GO, LIAR = GoPeer(9, "192.168.1.9"), GoPeer(66, "192.168.1.66")


def invented(number: int, host: str = LIAR.host) -> GoPeer:
    """A member that does not exist, said to be at a host."""
    peer = GoPeer(66, host, {"hostname": "invented"})
    peer.members["wg_pubkey"] = PublicKey((number + 1).to_bytes(32, "little")).text
    return peer


def invent(wire: Wire, node: Node, from_everywhere: bool = False) -> None:
    for number in range(NAMES):
        host = f"192.168.1.{100 + number % 150}" if from_everywhere else LIAR.host
        peer = invented(number, host)
        wire.inject(node, peer.hello(wire.now), peer.source)
        if number % 50 == 49:
            wire.advance(0.5)  # its source may say a hundred a second


def names_told(wire: Wire, node: Node) -> set[str]:
    """The host names of all that a node has told others since its list was cleared."""
    unicast = [each for each in node.sent if kind(each) in ("HELLO", "REPLY")]
    return {known.hostname for each in unicast for known in payload(wire, each).known_peers}


@pytest.mark.parametrize("from_everywhere", [False, True], ids=["one-host", "forged-sources"])
def test_invented_names_are_few_and_told_to_nobody_cached_nowhere_and_no_events(from_everywhere: bool) -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    meet(wire, one, GO)
    wire.advance(1.0)
    one.events.clear()
    one.sent.clear()
    invent(wire, one, from_everywhere)
    shown = [peer for peer in one.peers().values() if peer.hostname == "invented"]
    assert 0 < len(shown) <= (CLAIMS_MAX if from_everywhere else CLAIMS_PER_HOST_MAX)
    assert all(peer.direct_seen_at is None and peer.possession_at is None for peer in shown)
    for _ in range(12):
        prove(wire, one, two)
        prove(wire, two, one)
        wire.inject(one, GO.hello(wire.now), GO.source)
        wire.advance(5.0)
    assert names_told(wire, one) == {"node-2", "go-9"}  # so it does tell of others
    assert not [peer for peer in two.peers().values() if peer.hostname == "invented"]
    assert {each.public_key for each in one.core.cached_peers(wire.now)} == {two.key, GO.key}
    assert one.events_of(PeerSighted) == one.events_of(PeerLeft) == []
    assert bool(one.events_of(PeerDisplaced)) == from_everywhere
    wire.advance(CLAIM_S)
    assert not [peer for peer in one.peers().values() if peer.hostname == "invented"]


def test_a_newcomer_is_direct_within_its_first_announcements_however_many_names_are_invented() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    invent(wire, one, from_everywhere=True)
    late = wire.add("192.168.1.2")
    wire.advance(1.5)  # on a LAN newcomers are answered once a second
    assert one.peers()[late.key].possession_at is not None and late.peers()[one.key].possession_at is not None


def test_one_that_answers_in_every_name_at_its_own_address_is_few_direct_peers() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    for number in range(100):
        peer = invented(number)
        wire.inject(one, peer.hello(wire.now), peer.source)
        wire.inject(one, peer.reply(wire.now, str(one.address)), peer.source)
        wire.advance(0.1)
    assert len([peer for peer in one.peers().values() if peer.direct_seen_at is not None]) == DIRECT_PER_HOST_MAX


def test_a_mere_claim_tells_of_nobody() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.inject(one, GO.hello(wire.now, known_peers=[GoPeer(8, "198.51.100.8").known_peer()]), GO.source)
    assert list(one.peers()) == [GO.key]


def test_a_mere_claim_of_a_mesh_address_keeps_no_hearsay_of_another_out() -> None:
    wire = Wire()
    one, told = wire.add("192.168.1.1"), GoPeer(8, "198.51.100.8", {"mesh_ip": "10.214.1.1"})
    wire.inject(one, LIAR.hello(wire.now, mesh_ip="10.214.1.1"), LIAR.source)
    meet(wire, one, GO, known_peers=[told.known_peer()])
    assert told.key in one.peers()


@pytest.mark.attack("a member", "delay a newcomer with an invented time in its name")
@pytest.mark.parametrize("channel", ["", LAN_CHANNEL])
@pytest.mark.parametrize("run", [None, b"boot-own", b"boot-two"], ids=["go", "its-run", "a-run"])
def test_an_invented_time_in_the_name_of_a_newcomer_does_not_delay_it(channel: str, run: bytes | None) -> None:
    """The time is as far ahead as a message may be, and the count beyond all that it will ever reach."""
    wire = Wire()
    one = wire.add("192.168.1.1")
    forger = GoPeer(2, LIAR.host)
    message = forger.announcement(wire.now + 590)
    if run is not None:
        body = replace(decode_announcement(message).announcement, extension=Extension(run, 1 << 50))
        message = encode_announcement(body, int(wire.now + 590))
    sealed = "ANNOUNCE" if channel else "HELLO"
    wire.inject(one, seal(MessageType(sealed), message, KEYS.gossip_key, bytes(12)), LIAR.source, channel)
    two = wire.add("192.168.1.2")
    wire.advance(0.5)
    peer = one.peers()[two.key]
    assert peer.possession_at is not None and peer.hostname == "node-2" and peer.control_endpoint == two.address


def test_an_invented_time_in_the_name_of_a_go_node_does_not_delay_it() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.inject(one, GoPeer(9, LIAR.host).hello(wire.now + 590), LIAR.source)
    meet(wire, one, GO)
    peer = one.peers()[GO.key]
    assert peer.direct_seen_at == wire.now and str(peer.control_endpoint) == GO.source


def reached(wire: Wire, node: Node, peer: GoPeer) -> None:
    """Tells a node that WireGuard reaches a peer that has never given a proof of possession."""
    proof = PeerProof(peer.key, Endpoint.parse(f"{peer.host}:51820"), wire.now)
    node.core.set_self(node.description, [proof], wire.now)


@pytest.mark.attack("a member", "change what is known of a Go peer")
@pytest.mark.parametrize("is_reached", [False, True], ids=["answers", "tunnel"])
def test_no_word_from_elsewhere_changes_a_peer_that_has_no_proof_to_give(is_reached: bool) -> None:
    """By HELLO, by announcement, and by the REPLY of who answers at the address that its HELLO came from."""
    wire = Wire()
    one = wire.add("192.168.1.1", gossip=True)
    meet(wire, one, GO)
    if is_reached:
        reached(wire, one, GO)
    before = one.peers()[GO.key]
    lie = {"hostname": "lie", "mesh_ip": "10.214.6.6", "routable_networks": ["10.9.0.0/16"], "wg_endpoint": LIAR.source}
    forger = GoPeer(9, LIAR.host, lie)
    for source in (LIAR.source, GO.source):
        wire.inject(one, forger.hello(wire.now + 5), source)
        wire.inject(one, forger.announce(wire.now + 5), source, LAN_CHANNEL)
    wire.inject(one, forger.reply(wire.now + 5, str(one.address)), LIAR.source)
    after = one.peers()[GO.key]
    assert replace(after, discovery_methods=(), candidates=()) == replace(before, discovery_methods=(), candidates=())
    assert {each.endpoint for each in after.candidates} == {each.endpoint for each in before.candidates}


@pytest.mark.attack("a member", "speak for another through its own tunnel")
def test_a_member_does_not_speak_for_another_through_its_own_tunnel() -> None:
    """It names its own mesh address as that of its victim, so that the message comes from where its sender says."""
    wire = Wire()
    one = wire.add("192.168.1.1", gossip=True)
    for peer in (GO, LIAR):
        meet(wire, one, peer)
        reached(wire, one, peer)
    forger = GoPeer(9, LIAR.host, {"mesh_ip": LIAR.mesh_ip, "hostname": "lie"})
    one.events.clear()
    for make in (forger.announce, forger.hello):
        wire.inject(one, make(wire.now + 5), LIAR.tunnel_source)
    assert one.rejections() == ["unexpected"]
    known = one.peers()[GO.key]
    assert (known.hostname, str(known.mesh_ipv4)) == ("go-9", GO.mesh_ip)


def test_a_go_peer_that_says_something_new_is_asked_where_it_answers_and_then_believed() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    meet(wire, one, GO)
    one.sent.clear()
    wire.inject(one, GO.hello(wire.now + 1, hostname="new"), GO.source)
    assert GO.source in [str(each.to) for each in one.sent if kind(each) == "HELLO"]
    wire.inject(one, GO.reply(wire.now + 1, str(one.address), hostname="new"), GO.source)
    assert one.peers()[GO.key].hostname == "new"


def test_who_has_answered_and_is_not_asked_back_proves_itself_all_the_same() -> None:
    """The other side is busy with invented names, and its own HELLO does not come."""
    wire = Wire()
    one = wire.add("192.0.2.1", lan=False)
    wire.drop = lambda sender, transmit: sender is one and kind(transmit) == "HELLO"
    two = wire.add("198.51.100.2", lan=False)
    two.core.set_static([one.address], wire.now)
    wire.settle()
    wire.advance(1.0)
    assert one.peers()[two.key].possession_at is not None
