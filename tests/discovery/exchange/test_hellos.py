"""Staying in touch with known peers, and asking addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.discovery.discovery_wire import KEYS, START, Node, Wire, kind, prove
from support.discovery.go_peer import GoPeer, meet
from wgmesh.core.model import Endpoint, PeerProof
from wgmesh.discovery.events import ProbeAnswered, ProbeFailed
from wgmesh.discovery.exchange.transactions import PATIENCE_S
from wgmesh.discovery.members.candidates import TUNNEL_LOST_S


def test_every_peer_hears_from_us_within_a_minute_for_hours() -> None:
    wire = Wire()
    one, two = wire.add("192.0.2.1", lan=False), wire.add("198.51.100.2", lan=False)
    one.core.set_static([two.address], wire.now)
    wire.advance(1.0)
    seen = []
    for _ in range(60):
        wire.advance(60.0)
        seen.append(two.peers()[one.key].direct_seen_at)
    assert all(at is not None and START + 60.0 * number < at for number, at in enumerate(seen))


def test_what_is_new_of_ours_is_told_to_a_proven_peer_through_the_tunnel() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    prove(wire, one, two)
    wire.drop = lambda sender, transmit: bool(transmit.channel)
    one.sent.clear()
    one.core.set_self(replace(one.description, hostname="renamed"), (), wire.now)
    wire.advance(1.0)
    assert two.peers()[one.key].hostname == "renamed"
    hellos = [str(each.to.host) for each in one.sent if kind(each) == "HELLO"]
    assert hellos and set(hellos) == {str(two.description.mesh_ipv4)}


def test_native_peers_with_a_working_tunnel_leave_the_rest_to_gossip() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(1.0)
    assert hello_count(wire, one, two) == 0


def test_a_go_peer_with_a_working_tunnel_hears_from_us_every_minute_without_end() -> None:
    wire = Wire()
    one, go = wire.add("192.168.1.1"), GoPeer(9, "192.168.1.9")
    wire.inject(one, go.hello(wire.now), go.source)
    for _ in range(90):
        one.core.set_self(one.description, [PeerProof(go.key, Endpoint.parse("192.168.1.9:51820"), wire.now)], wire.now)
        wire.advance(20.0)
    distinct = {each.data for each in one.sent if kind(each) == "HELLO" and str(each.to) == go.tunnel_source}
    assert len(distinct) >= 1800 / 50


def test_addresses_that_anybody_names_for_a_peer_whose_tunnel_works_are_not_asked() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    prove(wire, one, two)
    liar = GoPeer(2, "192.0.2.0")  # in the name of the second
    for number in range(1, 9):
        wire.inject(one, liar.hello(wire.now), f"192.0.2.{number}:{KEYS.gossip_port}")
    wire.advance(PATIENCE_S + 1.0)
    asked = {str(each.to.host) for each in one.sent if kind(each) == "HELLO"}
    assert not [host for host in asked if host.startswith("192.0.2.")]
    assert one.core.occupancy()["contacts"][0] == 0


def test_a_native_peer_whose_tunnel_has_died_is_asked_again_within_a_minute() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(900.0)
    hello_count(wire, one, two)
    wire.advance(TUNNEL_LOST_S)  # no handshake any more
    one.sent.clear()
    wire.advance(60.0)
    assert "192.168.1.2" in {str(each.to.host) for each in one.sent if kind(each) == "HELLO"}


def test_an_idle_tunnel_whose_renewals_are_told_late_is_neither_refreshed_nor_punched() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.advance(30.0)
    hello_count(wire, one, two)
    one.sent.clear()
    handshake_at = wire.now
    for _ in range(120):  # an hour, told every 30 s of handshakes that are renewed after 165 s
        if wire.now - handshake_at > 165.0:
            handshake_at = wire.now - 25.0
        for node, peer in ((one, two), (two, one)):
            proof = PeerProof(peer.key, Endpoint.of(peer.host, 51820), handshake_at)
            node.core.set_self(node.description, [proof], wire.now)
        wire.advance(30.0)
    assert [str(each.to) for each in one.sent if kind(each) == "HELLO"] == []


def test_a_refresh_that_fails_in_the_tunnel_goes_outside() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.drop = lambda sender, transmit: transmit.to.host == two.description.mesh_ipv4 or bool(transmit.channel)
    prove(wire, one, two)
    one.sent.clear()
    one.core.set_self(replace(one.description, hostname="renamed"), (), wire.now)
    wire.advance(60.0)
    asked = [str(each.to.host) for each in one.sent if kind(each) == "HELLO"]
    assert asked.count(str(two.description.mesh_ipv4)) == 4  # once, and three repeats; then outside
    assert "192.168.1.2" in asked


def test_a_peer_proven_by_wireguard_alone_hears_from_us() -> None:
    wire = Wire()
    go, told = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    meet(wire, one, go, known_peers=[told.known_peer()])
    wire.advance(10.0)
    one.sent.clear()
    for _ in range(3):
        one.core.set_self(one.description, [PeerProof(told.key, Endpoint.parse("198.51.100.8:1"), wire.now)], wire.now)
        wire.advance(20.0)
    assert told.tunnel_source in {str(each.to) for each in one.sent}


def test_a_probe_reports_who_answers_and_who_does_not() -> None:
    wire = Wire()
    one, two = wire.add("192.0.2.1", lan=False), wire.add("198.51.100.2", lan=False)
    nobody = Endpoint.parse("198.51.100.3:52527")
    for target in (two.address, nobody):
        assert one.core.probe_address(target, 2.0, wire.now)
    wire.advance(2.0)
    (answer,) = one.events_of(ProbeAnswered)
    assert isinstance(answer, ProbeAnswered)
    assert (answer.target, answer.public_key, answer.hostname) == (two.address, two.key, "node-2")
    assert answer.observed_endpoint == one.address
    assert one.events_of(ProbeFailed) == [ProbeFailed(nobody)]


def test_a_node_on_the_same_host_with_another_port_is_found() -> None:
    """Two nodes share one address: the second could not have the mesh's port, and says so."""
    wire = Wire()
    one = wire.add("192.168.1.1")
    two = wire.add("192.168.1.1", number=2, port=60000)
    three = wire.add("192.168.1.3")
    for node in (one, two, three):
        others = {other.key: other.address for other in (one, two, three) if other is not node}
        assert {key: peer.control_endpoint for key, peer in node.peers().items()} == others


def test_a_peer_with_another_port_is_refreshed_there_in_the_tunnel_and_outside() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", port=60000)
    one.sent.clear()
    for is_open in (True, False):
        wire.drop = lambda sender, transmit, is_open=is_open: (
            bool(transmit.channel)
            or (  # type: ignore[misc]
                not is_open and transmit.to.host == two.description.mesh_ipv4
            )
        )
        prove(wire, one, two)
        one.core.set_self(replace(one.description, hostname=f"renamed-{is_open}"), (), wire.now)
        wire.advance(60.0)
    asked = {str(each.to) for each in one.sent if kind(each) == "HELLO"}
    assert asked == {f"{two.description.mesh_ipv4}:60000", "192.168.1.2:60000"}


def test_a_peer_that_starts_again_on_another_port_is_asked_there() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", port=60000)
    assert one.peers()[two.key].control_endpoint == two.address
    wire.remove(two)
    wire.advance(2.0)
    again = wire.add("192.168.1.2", port=60001)
    wire.advance(1.0)
    assert one.peers()[two.key].control_endpoint == again.address


@pytest.mark.parametrize("port", [0, -1, 65536, "60000", 1.5, True])
def test_a_port_that_is_none_leaves_the_announcement_without_extension(port: object) -> None:
    wire = Wire()
    one = wire.add("192.168.1.1")
    extension = {"v": 1, "boot": "00" * 8, "seq": 1, "exchange_port": port}
    go = GoPeer(9, "192.168.1.9", {"wgmesh": extension})
    wire.inject(one, go.hello(wire.now), go.source)
    assert not one.peers()[go.key].native


def hello_count(wire: Wire, one: Node, two: Node) -> int:
    """How many HELLOs a node sends to another in 540 s with a working tunnel."""
    one.sent.clear()
    for _ in range(27):
        prove(wire, one, two)
        wire.advance(20.0)
    hosts = (two.host, str(two.description.mesh_ipv4))
    return sum(kind(each) == "HELLO" and str(each.to.host) in hosts for each in one.sent)


def test_a_peer_that_has_just_spoken_is_not_asked_in_a_dense_burst() -> None:
    """On a machine where many start at once answers come late; six datagrams each would make them later."""
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2", set_self=False)
    wire.drop = lambda sender, transmit: sender is one and not transmit.channel

    two.core.set_self(two.description, (), wire.now)
    wire.settle()
    wire.advance(0.39)
    early = [kind(each) for each in one.sent if each.to == two.address].count("HELLO")
    wire.advance(3.0)

    assert early == 1
    assert [kind(each) for each in one.sent if each.to == two.address].count("HELLO") == 4
