"""Nobody makes us send much to an address that never answered us, in whatever way it was pointed at."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.discovery.aimed import INTRODUCER, PORT, Aimed, kinds, minimal
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, Wire, cached_peer, describe, kind
from support.discovery.go_peer import GoPeer
from wgmesh.core.model import Endpoint, PeerProof, PublicKey
from wgmesh.core.wire.envelope import MessageType, open_envelope
from wgmesh.core.wire.rendezvous import decode_start
from wgmesh.discovery.dht import LookUp, PeersFound
from wgmesh.discovery.events import DhtRequested
from wgmesh.discovery.exchange.unanswered import AMPLIFICATION

THIRD, OTHER = (ipaddress.IPv4Address(host) for host in ("44.199.0.1", "44.199.0.2"))
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a mesh takes too long for hundreds of attempts to shrink it
LATER_S = 700.0  # by then a ghost is forgotten, after all its turns
GHOST = PublicKey(bytes([222]) * 32)


@pytest.mark.attack("a member", "aim a node at a third by a message of any type")
@pytest.mark.parametrize("key", [None, GHOST], ids=["in its own name", "in the name of nobody"])
@pytest.mark.parametrize("forged", [False, True], ids=["named", "forged source"])
@pytest.mark.parametrize("message", MessageType)
def test_a_message_of_any_type_brings_less_than_three_times_its_bytes_to_a_third(
    message: MessageType, forged: bool, key: PublicKey | None
) -> None:
    aimed = Aimed()
    data = aimed.say(message, THIRD, forged=forged, key=key)
    aimed.wire.advance(LATER_S)
    sent = aimed.sent_to(THIRD)
    assert sum(map(len, sent)) < AMPLIFICATION * len(data)
    assert len(sent) <= (4 if message is MessageType.RENDEZVOUS_START else 2)


@pytest.mark.parametrize("message", [MessageType.HELLO, MessageType.GOSSIP, MessageType.RENDEZVOUS_START])
def test_what_is_pointed_at_a_third_does_reach_it_once(message: MessageType) -> None:
    """The messages of this module are good ones: it is their number and their bytes that are bounded."""
    aimed = Aimed()
    aimed.say(message, THIRD, forged=False, key=None if message is not MessageType.HELLO else GHOST)
    aimed.wire.advance(10.0)
    assert "HELLO" in kinds(aimed.victim, THIRD)


@pytest.mark.parametrize("message", MessageType)
def test_the_same_bytes_again_and_again_bring_no_more_than_three_times_as_many(message: MessageType) -> None:
    aimed = Aimed()
    data = aimed.say(message, THIRD, forged=True, key=GHOST)
    for _ in range(40):  # as upstream's nodes do that are not answered
        aimed.wire.advance(0.1)
        aimed.repeat(data, message, THIRD, forged=True)
    aimed.wire.advance(LATER_S)
    assert sum(map(len, aimed.sent_to(THIRD))) < AMPLIFICATION * aimed.came[THIRD]


def test_the_shortest_hello_is_answered_within_its_share() -> None:
    aimed = Aimed()
    data = minimal(aimed, GHOST)
    aimed.wire.inject(aimed.victim, data, str(Endpoint(THIRD, PORT)))
    aimed.wire.advance(LATER_S)
    assert kinds(aimed.victim, THIRD)[0] == "REPLY"
    assert sum(map(len, aimed.sent_to(THIRD))) < AMPLIFICATION * len(data)


@settings(max_examples=40, deadline=None, phases=PHASES)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(MessageType)),
            st.sampled_from([THIRD, OTHER]),
            st.booleans(),
            st.sampled_from([None, GHOST, PublicKey(bytes([223]) * 32)]),
            st.sampled_from([0.0, 0.3, 2.0, 45.0]),
            st.integers(0, 2),
        ),
        max_size=25,
    )
)
def test_whatever_comes_no_host_that_never_answered_gets_three_times_what_came_for_it(
    steps: list[tuple[MessageType, ipaddress.IPv4Address, bool, PublicKey | None, float, int]],
) -> None:
    """There is no constant: nothing is sent on credit. Addresses of the cache and the DHTs, which cost nobody a
    datagram to name, have rounds of their own (test_unanswered.py)."""
    aimed = Aimed()
    for message, target, forged, key, pause_s, repeats in steps:
        data = aimed.say(message, target, forged=forged, key=key)
        for _ in range(repeats):
            aimed.repeat(data, message, target, forged=forged)
        aimed.wire.advance(pause_s)
        for host in (THIRD, OTHER):
            assert sum(map(len, aimed.sent_to(host))) <= AMPLIFICATION * aimed.came.get(host, 0)
    aimed.wire.advance(30.0)
    for each, came in aimed.came.items():
        assert sum(map(len, aimed.sent_to(each))) < AMPLIFICATION * came


@pytest.mark.attack("a member", "open the way to a third with a forged REPLY")
def test_a_reply_with_a_forged_source_does_not_open_the_way_there() -> None:
    """The liar knows that a HELLO is under way, and not what is in it."""
    aimed = Aimed()
    aimed.say(MessageType.HELLO, THIRD, forged=True, key=GHOST)
    aimed.say(MessageType.REPLY, THIRD, forged=True, key=GHOST)
    for _ in range(30):
        aimed.say(MessageType.HELLO, THIRD, forged=True, key=GHOST)
        aimed.wire.advance(1.0)
    assert "HELLO" in kinds(aimed.victim, THIRD)
    assert not aimed.victim.core.unanswered.is_free(THIRD, aimed.wire.now)
    assert sum(map(len, aimed.sent_to(THIRD))) < AMPLIFICATION * aimed.came[THIRD]


def test_who_answers_with_what_only_the_receiver_of_a_hello_knows_is_free() -> None:
    wire = Wire()
    one, two = wire.add("44.130.0.1", lan=False), wire.add("44.131.0.2", lan=False)
    one.core.set_static([two.address], wire.now)
    wire.advance(1.0)
    assert one.core.unanswered.is_free(two.address.host, wire.now)


def test_a_host_of_which_a_dht_names_many_ports_gets_two_datagrams_and_keeps_no_other_waiting() -> None:
    wire = Wire()
    one = wire.add("44.130.0.1", lan=False, dht=True)
    wire.advance(1.0)
    requests = [event.request for event in one.events if isinstance(event, DhtRequested)]
    asked = next(request for request in requests if isinstance(request, LookUp))
    ports = tuple(Endpoint(THIRD, port) for port in range(4000, 4100))
    one.core.handle_dht(PeersFound(asked.infohash, ports), wire.now)
    wire.settle()
    one.core.handle_dht(PeersFound(asked.infohash, (Endpoint(OTHER, PORT),)), wire.now)
    wire.advance(30.0)
    assert kinds(one, THIRD) == ["HELLO", "HELLO"] and kinds(one, OTHER) == ["HELLO", "HELLO"]


def test_ghosts_that_all_point_at_one_host_bring_it_no_more_than_their_share() -> None:
    aimed = Aimed()
    for number in range(100):
        aimed.say(MessageType.GOSSIP, THIRD, forged=False)
        aimed.wire.advance(0.5 if number % 10 == 0 else 0.0)
    aimed.wire.advance(LATER_S)
    assert sum(map(len, aimed.sent_to(THIRD))) < AMPLIFICATION * aimed.came[THIRD] / 10


def test_a_node_that_leaves_says_goodbye_to_no_host_that_ghosts_were_said_to_be_at() -> None:
    aimed = Aimed()
    data = aimed.say(MessageType.GOSSIP, THIRD, forged=False)
    aimed.wire.advance(5.0)
    aimed.victim.core.goodbye(aimed.wire.now)
    aimed.wire.settle()
    assert sum(map(len, aimed.sent_to(THIRD))) < AMPLIFICATION * len(data)


@pytest.mark.attack("somebody without the secret", "aim a node at a third by a HELLO that it has captured")
def test_a_hello_replayed_from_a_forged_source_brings_two_datagrams_there_and_none_where_its_sender_has_a_tunnel() -> (
    None
):
    wire = Wire()
    one = wire.add("192.168.1.1")
    at_home, stranger = GoPeer(9, "192.168.1.9"), GoPeer(8, "192.168.1.8")
    wire.inject(one, at_home.hello(wire.now), at_home.source)
    wire.inject(one, at_home.reply(wire.now, str(one.address)), at_home.source)
    from_tunnel = GoPeer(9, "192.168.1.9").hello(wire.now + 1)
    proof = PeerProof(at_home.key, Endpoint.of(at_home.host, 51820), wire.now)
    one.core.set_self(one.description, [proof], wire.now)
    wire.settle()
    one.sent.clear()
    wire.inject(one, from_tunnel, f"{THIRD}:{PORT}")
    wire.inject(one, stranger.hello(wire.now + 1), f"{OTHER}:{PORT}")
    wire.advance(30.0)
    assert kinds(one, THIRD) == ["REPLY"]
    assert kinds(one, OTHER) == ["REPLY", "HELLO"]


def test_a_hello_without_the_proof_that_is_due_asks_nobody_back_while_its_sender_has_a_tunnel() -> None:
    wire = Wire()
    one, peer = wire.add("192.168.1.1"), GoPeer(9, "192.168.1.9")
    one.core.restore_cache([replace(cached_peer(9, "192.168.1.9"), possession_at=int(wire.now))], wire.now)
    proof = PeerProof(peer.key, Endpoint.of(peer.host, 51820), wire.now)
    one.core.set_self(one.description, [proof], wire.now)
    wire.advance(10.0)
    wire.inject(one, peer.hello(wire.now), f"{THIRD}:{PORT}")
    wire.advance(30.0)
    assert kinds(one, THIRD) == ["REPLY"]


def test_a_neighbour_that_a_lan_announcement_names_gets_no_more_than_its_share() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    data = GoPeer(9, "192.168.1.9").announce(wire.now)
    one.sent.clear()
    wire.inject(one, data, f"192.168.1.66:{KEYS.lan_port}", LAN_CHANNEL)
    wire.advance(LATER_S)
    sent = [each for each in one.sent if not each.channel]
    assert {str(each.to.host) for each in sent} <= {"192.168.1.66", "192.168.1.9"}
    assert "HELLO" in {kind(each) for each in sent}
    for host in ("192.168.1.66", "192.168.1.9"):
        assert sum(len(each.data) for each in sent if str(each.to.host) == host) < AMPLIFICATION * len(data)


def test_an_introducer_leads_nobody_to_a_host_that_has_not_answered_it() -> None:
    aimed, asker = Aimed(), describe(60).public_key
    for forged in (True, False):  # the second comes from where the liar answers, and names the third as a candidate
        aimed.say(MessageType.RENDEZVOUS_OFFER, THIRD, forged=forged, key=asker)
        aimed.wire.advance(10.0)
    starts = [each for each in aimed.victim.sent if kind(each) == "RENDEZVOUS_START"]
    assert {str(each.to.host) for each in starts} == {INTRODUCER}
    told = [decode_start(open_envelope(each.data, KEYS.gossip_key, aimed.wire.now).payload) for each in starts]
    assert {str(each.host) for start in told for each in start.candidates} == {INTRODUCER}
