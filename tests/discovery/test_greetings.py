"""Staying in touch with known peers, and asking addresses."""

from __future__ import annotations

from support.discovery_wire import (
    LAN_CHANNEL,
    START,
    Wire,
    kind,
    prove,
)
from support.go_peer import GoPeer
from wgmesh.core.model import Endpoint, PeerProof
from wgmesh.discovery.events import ProbeAnswered, ProbeFailed


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


def test_a_proven_peer_is_refreshed_through_the_tunnel() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    one.sent.clear()
    for _ in range(6):
        prove(wire, one, two)
        wire.advance(20.0)
    hellos = [str(each.to.host) for each in one.sent if kind(each) == "HELLO"]
    assert hellos and set(hellos) == {str(two.description.mesh_ipv4)}


def test_a_refresh_that_fails_in_the_tunnel_goes_outside() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    wire.drop = lambda sender, transmit: transmit.to.host == two.description.mesh_ipv4 or bool(transmit.channel)
    prove(wire, one, two)
    one.sent.clear()
    wire.advance(60.0)
    asked = [str(each.to.host) for each in one.sent if kind(each) == "HELLO"]
    assert asked.count(str(two.description.mesh_ipv4)) == 6  # the whole ladder, then outside
    assert "192.168.1.2" in asked


def test_a_peer_proven_by_wireguard_alone_hears_from_us() -> None:
    wire = Wire()
    go, told = GoPeer(9, "192.168.1.9"), GoPeer(8, "198.51.100.8")
    one = wire.add("192.168.1.1")
    wire.inject(one, go.hello(wire.now, known_peers=[told.known_peer()]), go.source)
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
    """Two nodes share one address: the second could not have the mesh's port."""
    wire = Wire()
    one = wire.add("192.168.1.1")
    wire.remove(one)
    two = wire.add("192.168.1.1", number=2)
    two.core.set_exchange_port(60000, wire.now)
    wire.inject(one, next(each.data for each in two.sent if each.channel), "192.168.1.1:51830", LAN_CHANNEL)
    assert two.key in one.peers() and one.peers()[two.key].control_endpoint is None
    hello = next(each.data for each in one.sent if each.channel)
    wire.inject(two, hello, "192.168.1.1:51830", LAN_CHANNEL)
    asked = next(each for each in two.sent if kind(each) == "HELLO")
    wire.nodes.clear()
    one.core.handle_datagram(asked.data, Endpoint.parse("192.168.1.1:60000"), wire.now)
    back = [each for each in iter(one.core.poll_transmit, None) if not each.channel]
    assert ("HELLO", "192.168.1.1:60000") in [(kind(each), str(each.to)) for each in back]
