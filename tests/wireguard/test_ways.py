"""Where packets for the mesh really go, told from the kernel's answers."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from support.devices import LIMITS, desired_device, desired_peer, key
from support.doubles.fake_device import FakeDevice
from wgmesh.core.model import ObservedDevice, ObservedPeer
from wgmesh.wireguard.reconciler import Reconciler
from wgmesh.wireguard.ways import ASKED_MAX, Way, astray, questions

DEVICE = ObservedDevice(
    name="wg0",
    backend="kernel",
    listen_port=51820,
    addresses=(ipaddress.ip_interface("10.77.0.1/16"), ipaddress.ip_interface("fd5a::1/64")),
    routes=frozenset({ipaddress.ip_network("172.20.0.0/16"), ipaddress.ip_network("172.21.0.7/32")}),
    mesh_routes=frozenset({ipaddress.ip_network("10.77.0.0/16"), ipaddress.ip_network("fd5a::/64")}),
)
PEER = ObservedPeer(key(1), allowed_ips=frozenset({ipaddress.ip_network("10.77.9.9/32")}))


def test_a_packet_to_a_peer_is_asked_for_where_there_is_one_and_never_one_to_this_node() -> None:
    asked = {str(network): str(address) for network, address in questions(DEVICE).items()}
    assert asked == {
        "10.77.0.0/16": "10.77.0.2",
        "fd5a::/64": "fd5a::2",
        "172.20.0.0/16": "172.20.0.1",
        "172.21.0.7/32": "172.21.0.7",
    }
    with_peer = questions(replace(DEVICE, peers=(PEER,)))
    assert str(with_peer[ipaddress.ip_network("10.77.0.0/16")]) == "10.77.9.9"


def test_of_many_networks_some_are_asked_for_and_of_a_device_that_is_down_none() -> None:
    many = frozenset(ipaddress.ip_network(f"172.16.{number}.0/24") for number in range(200))
    assert len(questions(replace(DEVICE, routes=many))) == ASKED_MAX
    assert questions(replace(DEVICE, up=False)) == {}


@pytest.mark.parametrize(
    ("way", "told"),
    [
        (Way("eth1", 100), "those to 172.20.0.1 go through eth1 by table 100"),
        (Way(""), "those to 172.20.0.1 go nowhere"),
    ],
)
def test_a_network_whose_packets_go_elsewhere_is_told_with_the_way_that_they_take(way: Way, told: str) -> None:
    own = {address: Way("wg0", 254) for address in questions(DEVICE).values()}
    (sentence,) = astray(DEVICE, own | {ipaddress.ip_address("172.20.0.1"): way})
    assert sentence.startswith("Packets for 172.20.0.0/16 do not enter the tunnel") and told in sentence


def test_what_was_not_asked_says_nothing() -> None:
    assert astray(DEVICE, {}) == ()


async def test_a_turn_that_looks_at_everything_asks_and_the_answer_stands_until_the_next() -> None:
    device, wanted = FakeDevice(exists=True), desired_device(desired_peer(1))
    core = Reconciler(device, key(60), None, LIMITS)
    known = (await core.turn(wanted, 1000.0)).outcome.device
    assert known is not None
    device.known_ways = {address: Way("tun9", 100) for address in questions(known).values() if address.version == 4}
    told = (await core.turn(wanted, 1000.0)).outcome.problems
    assert len(told) == 1 and "go through tun9 by table 100" in told[0]
    device.known_ways = {}
    assert (await core.turn(wanted, 1000.0, known)).outcome.problems == told
    assert (await core.turn(wanted, 1000.0)).outcome.problems == ()
