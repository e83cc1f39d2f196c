"""PROBE and PROBE_REPLY: a running node says who it is, and nobody becomes anybody's peer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, Node, Wire, kind
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.envelope import open_envelope, seal
from wgmesh.core.wire.probe import Probe, ProbeReply, decode_probe_reply, encode_probe
from wgmesh.discovery.messages.rate_limits import PROBE_BURST

ASKER = "198.51.100.77:40404"
TOKEN = bytes(range(16))


def test_a_probe_is_answered_by_a_node_that_remembers_nothing_of_it() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    one.sent.clear()
    before = one.core.snapshot()
    wire.inject(one, question(wire), ASKER)
    (answer,) = one.sent
    assert (str(answer.to), answer.channel) == (ASKER, "")
    reply = decode_probe_reply(open_envelope(answer.data, KEYS.gossip_key, wire.now).payload)
    assert reply == ProbeReply(TOKEN, one.key, "node-1", one.description.mesh_ipv4, Endpoint.parse(ASKER))
    assert one.core.snapshot() == before
    wire.advance(60.0)
    assert one.peers() == {}
    assert not [each for each in one.sent if str(each.to) == ASKER and each is not answer]


def test_a_probe_through_the_tunnel_is_answered_there() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    inside = str(Endpoint(two.description.mesh_ipv4, 40404))
    one.sent.clear()
    wire.inject(one, question(wire), inside)
    assert [str(each.to) for each in answers(one)] == [inside]


def test_the_same_probe_is_answered_once() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    data = question(wire)
    for source in (ASKER, ASKER, "203.0.113.9:5"):
        wire.inject(one, data, source)
    assert len(answers(one)) == 1
    assert one.rejections().count("replayed") == 2


def test_a_flood_of_probes_is_cut_off_and_others_are_still_answered() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    for number in range(3 * PROBE_BURST):
        wire.inject(one, question(wire, number), ASKER)
    assert len(answers(one)) == PROBE_BURST
    wire.inject(one, question(wire, 1000), "203.0.113.9:5")
    assert len(answers(one)) == PROBE_BURST + 1
    wire.advance(1.0)
    wire.inject(one, question(wire, 1001), ASKER)
    assert len(answers(one)) == PROBE_BURST + 2


@pytest.mark.parametrize("hostname", ["", "h" * 253])
def test_the_answer_is_never_three_times_the_question(hostname: str) -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    one.core.set_self(replace(one.description, hostname=hostname), (), wire.now)
    one.sent.clear()
    data = question(wire)
    wire.inject(one, data, "[2001:db8:1111:1111:1111:1111:1111:1111]:65535")
    (answer,) = answers(one)
    assert len(answer.data) <= 2.5 * len(data)


def test_a_probe_on_the_lan_channel_is_not_answered() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.inject(one, question(wire), "192.168.1.77:40404", LAN_CHANNEL)
    assert answers(one) == [] and one.rejections() == ["unexpected"]


def test_a_probe_is_not_answered_before_the_node_knows_who_it_is_and_after_it_has_left() -> None:
    wire = Wire()
    one = wire.add("192.168.1.1", set_self=False)
    wire.inject(one, question(wire, 1), ASKER)
    assert one.sent == []
    one.core.set_self(one.description, (), wire.now)
    one.core.goodbye(wire.now)
    wire.inject(one, question(wire, 2), ASKER)
    assert answers(one) == []


def test_an_answer_that_comes_back_ends_there() -> None:
    """A probe whose source is forged to be our own address makes us answer ourselves, once."""
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.inject(one, question(wire), str(one.address))
    assert len(answers(one)) == 1
    assert one.rejections() == ["unsolicited"] and one.peers() == {}


@pytest.mark.parametrize("token", ["", "00", "g" * 32, 5, None])
def test_a_malformed_probe_is_not_answered(token: object) -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    payload = encode_probe(Probe(TOKEN), int(wire.now)) | {"token": token}
    wire.inject(one, seal("PROBE", payload, KEYS.gossip_key, bytes(12)), ASKER)
    assert answers(one) == []
    assert one.rejections() in (["malformed"], ["type"])


def question(wire: Wire, number: int = 0) -> bytes:
    nonce = b"probe" + number.to_bytes(7, "big")
    return seal("PROBE", encode_probe(Probe(TOKEN), int(wire.now)), KEYS.gossip_key, nonce)


def answers(node: Node) -> list[Transmit]:
    return [each for each in node.sent if kind(each) == "PROBE_REPLY"]
