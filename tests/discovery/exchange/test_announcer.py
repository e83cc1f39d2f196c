"""What a core says of itself, and to whom."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from support.discovery.discovery_wire import Wire, kind, payload, shared_by
from support.discovery.go_peer import GoPeer, seal
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES
from wgmesh.core.wire.announcement_room import fitting_count


def test_inside_the_tunnel_we_never_send_a_wildcard_and_never_an_observation() -> None:
    wire = Wire()
    go = GoPeer(9, "192.168.1.9")
    one = wire.add("10.0.5.1")
    wire.inject(one, go.hello(wire.now), go.source)
    one.sent.clear()
    wire.inject(one, go.hello(wire.now + 1), go.tunnel_source)
    (reply,) = [each for each in one.sent if kind(each) == "REPLY"]
    assert payload(wire, reply).observed_endpoint is None
    assert payload(wire, reply).endpoint == AdvertisedEndpoint(ipaddress.ip_address("10.0.5.1"), 51820)
    peer = one.peers()[go.key]
    assert {str(each.endpoint) for each in peer.candidates} == {"192.168.1.9:51820"}


def test_outside_we_name_the_external_address_and_else_leave_it_to_the_source() -> None:
    wire = Wire()
    go = GoPeer(9, "198.51.100.9")
    one = wire.add("10.0.5.1")
    wire.inject(one, go.hello(wire.now), go.source)
    reply = next(each for each in one.sent if kind(each) == "REPLY")
    assert payload(wire, reply).endpoint == AdvertisedEndpoint(None, 51820)
    external = (Endpoint.parse("[2001:db8::7]:51820"), Endpoint.parse("203.0.113.7:40000"))
    one.core.set_self(replace(one.description, external_endpoints=external), (), wire.now)
    one.sent.clear()
    wire.inject(one, go.hello(wire.now + 1), go.source)
    reply = next(each for each in one.sent if kind(each) == "REPLY")
    body = payload(wire, reply)
    assert body.endpoint == AdvertisedEndpoint.of(external[1])
    assert body.extension is not None
    assert body.extension.candidates == (*external, Endpoint.parse("10.0.5.1:51820"))


def test_where_stun_servers_disagree_a_go_node_is_left_to_the_source_and_our_kind_hears_of_both() -> None:
    wire = Wire()
    go = GoPeer(9, "198.51.100.9")
    one = wire.add("10.0.5.1")
    external = (Endpoint.parse("198.51.100.66:53"), Endpoint.parse("203.0.113.7:40000"))
    one.core.set_self(replace(one.description, external_endpoints=external), (), wire.now)

    wire.inject(one, go.hello(wire.now + 1), go.source)

    body = payload(wire, next(each for each in one.sent if kind(each) == "REPLY"))
    assert body.endpoint == AdvertisedEndpoint(None, 51820)
    assert body.extension is not None
    assert body.extension.candidates[:2] == external


def test_all_networks_are_in_every_announcement_and_candidates_give_way_to_them() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1", port=60000), wire.add("192.168.1.2")
    go = GoPeer(9, "[2001:db8:1111:1111:1111:1111:1111:1111]")
    networks = tuple(ipaddress.ip_network(f"192.168.{number}.0/24") for number in range(100, 200))
    fitting = networks[: fitting_count(networks, "gateway.example.org")]
    hosts = [f"2001:db8:1111:1111:1111:1111:1111:{number:04x}" for number in range(0x1000, 0x1010)]
    described = replace(
        one.description,
        hostname="gateway.example.org",
        routable_networks=fitting,
        nat_type="symmetric",
        introducer=True,
        external_endpoints=tuple(Endpoint.of(host, 51820) for host in hosts),
    )
    one.sent.clear()
    one.core.set_self(described, (), wire.now)
    wire.inject(one, go.hello(wire.now), go.source)
    wire.advance(60.0)
    assert {kind(each) for each in one.sent} == {"HELLO", "REPLY", "ANNOUNCE"}
    assert {payload(wire, each).routable_networks for each in one.sent} == {fitting}
    assert two.peers()[one.key].routable_networks == fitting
    assert max(len(transmit.data) for _, transmit in wire.carried) <= DATAGRAM_BUDGET_BYTES


@pytest.mark.parametrize("count", [5, 150])
def test_datagrams_stay_small_however_large_the_mesh(count: int) -> None:
    wire = Wire()
    one = wire.add("192.0.2.1", lan=False)
    go = GoPeer(9, "192.168.1.9")
    for number in range(count):
        peer = GoPeer(9, f"198.18.{number // 200}.{number % 200 + 1}", {"hostname": "h" * 60})
        peer.members |= {"wg_pubkey": PublicKey(number.to_bytes(32, "big")).text}
        wire.inject(one, peer.hello(wire.now), peer.source)
        wire.inject(one, seal("REPLY", peer.announcement(wire.now, observed_endpoint=str(one.address))), peer.source)
    told: set[PublicKey] = set()
    for _ in range(2 * count):
        one.sent.clear()
        wire.inject(one, go.hello(wire.now + 1), go.source)
        wire.advance(0.1)
        told |= shared_by(wire, one)
    assert len(told) >= count  # by turns, everybody is told of everybody
    assert max(len(transmit.data) for _, transmit in wire.carried) <= 1232
