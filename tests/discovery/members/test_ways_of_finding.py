"""What a peer is said to be found by, for every way there is; and the page that lists these words."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from support.discovery.discovery_wire import Node, Swarm, Wire, cached_peer, prove
from support.discovery.go_peer import GoPeer, meet
from support.repository import ROOT
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.dht import NodesCounted
from wgmesh.discovery.events import PeerSighted

PAGE = ROOT / "docs" / "reference" / "logging.md"
FAR = ("198.51.100.1", "203.0.113.2")

Finding = Callable[[Wire], tuple[Node, PublicKey]]


def found_on_the_lan(wire: Wire) -> tuple[Node, PublicKey]:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    return one, two.key


def found_on_the_lan_after_lies_in_its_name(wire: Wire) -> tuple[Node, PublicKey]:
    one = wire.add("192.168.1.1")
    lie = GoPeer(2, "192.168.1.66")
    wire.inject(one, lie.hello(wire.now), lie.source)
    assert lie.key in one.peers()
    two = wire.add("192.168.1.2", number=2)
    return one, two.key


def it_spoke_first(wire: Wire) -> tuple[Node, PublicKey]:
    one, go = wire.add(FAR[0], lan=False), GoPeer(9, "203.0.113.9")
    meet(wire, one, go)
    return one, go.key


def named_by_the_operator(wire: Wire) -> tuple[Node, PublicKey]:
    two, one = wire.add(FAR[1], lan=False), wire.add(FAR[0], lan=False)
    one.core.set_static([two.address], wire.now)
    wire.settle()
    return one, two.key


def named_by_the_operator_it_spoke_first(wire: Wire) -> tuple[Node, PublicKey]:
    one, go = wire.add(FAR[0], lan=False), GoPeer(9, "203.0.113.9")
    one.core.set_static([Endpoint.parse(go.source)], wire.now)
    meet(wire, one, go)
    return one, go.key


def met_in_an_earlier_run(wire: Wire) -> tuple[Node, PublicKey]:
    two, one = wire.add(FAR[1], lan=False), wire.add(FAR[0], lan=False)
    one.core.restore_cache([cached_peer(2, two.host)], wire.now)
    wire.settle()
    return one, two.key


def announced_in_the_dht(wire: Wire) -> tuple[Node, PublicKey]:
    wire.swarm = Swarm()
    two, one = wire.add(FAR[1], lan=False, dht=True), wire.add(FAR[0], lan=False, dht=True)
    return one, two.key


def announced_in_the_dht_it_spoke_first(wire: Wire) -> tuple[Node, PublicKey]:
    wire.swarm = Swarm()
    two = wire.add(FAR[1], lan=False, dht=True)
    wire.drop = lambda sender, transmit: sender.host == FAR[0]
    one = wire.add(FAR[0], lan=False, dht=True)
    wire.advance(180.0)
    return one, two.key


def recorded_in_the_mainline_dht(wire: Wire) -> tuple[Node, PublicKey]:
    wire.swarm = Swarm()
    two = wire.add(FAR[1], lan=False, dht=True)
    wire.advance(5.0)
    wire.drop = lambda sender, transmit: True
    one = wire.add(FAR[0], lan=False, dht=True)
    wire.advance(5.0)
    prove(wire, one, two)
    return one, two.key


def recorded_in_the_private_dht(wire: Wire) -> tuple[Node, PublicKey]:
    wire.swarm = Swarm()
    two, one = (wire.add(host, lan=False, private_dht=True) for host in reversed(FAR))
    for node in (two, one):
        node.core.handle_dht(NodesCounted(3, 52528), wire.now)
    wire.settle()
    return one, two.key


def told_of_in_a_hello(wire: Wire) -> tuple[Node, PublicKey]:
    one, go, told = wire.add(FAR[0], lan=False), GoPeer(9, "203.0.113.9"), GoPeer(8, "203.0.113.8")
    meet(wire, one, go, known_peers=[told.known_peer()])
    wire.inject(one, told.reply(wire.now, str(one.address)), told.source)
    return one, told.key


def told_of_by_gossip(wire: Wire) -> tuple[Node, PublicKey]:
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    prove(wire, one, two)
    prove(wire, two, one)
    go = GoPeer(9, "203.0.113.9")
    meet(wire, two, go)
    for _ in range(30):
        wire.advance(1.0)
        wire.inject(one, go.reply(wire.now, str(one.address)), go.source)
    return one, go.key


FINDINGS: dict[Finding, str] = {
    found_on_the_lan: "lan",
    found_on_the_lan_after_lies_in_its_name: "lan",
    it_spoke_first: "exchange",
    named_by_the_operator: "static",
    named_by_the_operator_it_spoke_first: "static",
    met_in_an_earlier_run: "cache",
    announced_in_the_dht: "dht",
    announced_in_the_dht_it_spoke_first: "dht",
    recorded_in_the_mainline_dht: "dht-record",
    recorded_in_the_private_dht: "dht-record",
    told_of_in_a_hello: "known-peer",
    told_of_by_gossip: "gossip",
}


@pytest.mark.parametrize("find", FINDINGS, ids=lambda find: find.__name__)
def test_a_peer_is_said_to_be_found_by_what_found_it(find: Finding) -> None:
    one, key = find(Wire())

    sighted = [event for event in one.events_of(PeerSighted) if getattr(event, "public_key", None) == key]
    assert sighted == [PeerSighted(key, FINDINGS[find])]
    assert one.peers()[key].discovery_methods[0] == FINDINGS[find]


def test_the_page_lists_these_words_and_no_others() -> None:
    (row,) = re.findall(r"^\| `layer` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", row)) == set(FINDINGS.values())
