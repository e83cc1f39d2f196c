"""What of the host lies in the mesh's networks, and what is left of them for the mesh."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.devices import LIMITS, MESH, desired_device, desired_peer, key, nets
from wgmesh.core.model import IPNetwork, Overlap, RefusedRoute
from wgmesh.wireguard.admission import ForeignRoute, ForeignRoutes
from wgmesh.wireguard.overlaps import OVERLAPS_MAX, Standing, overlaps, refusal, remainder, stepped_aside

NETWORK, NETWORK6 = LIMITS.mesh
NOTHING_YET = Standing()


def net(text: str) -> IPNetwork:
    return ipaddress.ip_network(text)


def route(network: str, index: int = 3, *, connected: bool = False, is_mesh: bool = False) -> ForeignRoute:
    return ForeignRoute(net(network), f"eth{index}", connected, index, is_mesh)


def found(*routes: ForeignRoute, standing: Standing = NOTHING_YET) -> list[tuple[str, str]]:
    seen = overlaps(LIMITS.mesh, ForeignRoutes(routes), standing)
    return [(str(each.network), each.what) for each in seen if not each.is_warning]


@pytest.mark.parametrize("network", ["10.77.0.0/16", "10.77.5.0/24", "10.77.5.9/32", "fd5a::/64", "fd5a::5/128"])
def test_an_equal_or_longer_prefix_of_the_host_is_an_overlap(network: str) -> None:
    assert found(route(network)) == [(network, "is routed through eth3")]
    assert found(route(network, connected=True)) == [(network, "is connected to eth3")]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.76.0.0/15", "10.78.0.0/16", "::/0"])
def test_a_default_route_a_wider_one_and_one_beside_are_none(network: str) -> None:
    assert found(route(network)) == []


def test_a_wide_network_that_the_host_is_connected_to_is_a_warning() -> None:
    foreign = ForeignRoutes((route("10.0.0.0/8", connected=True),))
    (seen,) = overlaps(LIMITS.mesh, foreign, NOTHING_YET)
    assert seen == Overlap(NETWORK, "lies in 10.0.0.0/8, which is connected to eth3", is_warning=True)
    assert refusal([seen], LIMITS.mesh, is_named=False) == ""


def test_a_gateway_and_an_address_of_the_host_are_overlaps_and_what_holds_them_is_named_once() -> None:
    gateway = ipaddress.ip_address("10.77.9.1")
    foreign = ForeignRoutes(gateways=frozenset({gateway}), addresses=(route("10.77.5.9/32"),))
    seen = overlaps(LIMITS.mesh, foreign, NOTHING_YET)
    assert [(str(each.network), each.what) for each in seen] == [
        ("10.77.5.9/32", "is an address of eth3"),
        ("10.77.9.1/32", "is a gateway of this host"),
    ]
    wide = replace(foreign, routes=(route("10.77.0.0/20", connected=True),))
    assert [str(each.network) for each in overlaps(LIMITS.mesh, wide, NOTHING_YET)] == ["10.77.0.0/20"]


def test_another_mesh_of_this_host_is_an_overlap_also_where_its_network_is_the_wider_one() -> None:
    assert found(route("10.0.0.0/8", is_mesh=True)) == [
        ("10.77.0.0/16", "belongs to another mesh of this host, on eth3")
    ]


def test_of_two_meshes_that_came_at_once_the_one_with_the_newer_device_steps_aside() -> None:
    """Both looked before either was there. Were both to step aside, they would come and go without end."""
    other = route("10.77.0.0/16", index=7, is_mesh=True)
    laid = frozenset({NETWORK})
    assert found(other, standing=Standing(5, laid)) == []
    assert found(other, standing=Standing(9, laid)) != []
    assert found(other, standing=Standing(5)) != []  # it came while ours was away: it stays


def test_a_name_server_hinders_a_start_unless_the_operator_has_named_the_network() -> None:
    foreign = ForeignRoutes(resolvers=frozenset({ipaddress.ip_address("10.77.0.53")}))
    seen = overlaps(LIMITS.mesh, foreign, NOTHING_YET)
    assert "10.77.0.53/32 is a name server of this host" in refusal(seen, LIMITS.mesh, is_named=False)
    assert refusal(seen, LIMITS.mesh, is_named=True) == ""
    assert stepped_aside(desired_device(), LIMITS.mesh, seen)[0].mesh_routes == frozenset(LIMITS.mesh)


def test_a_refusal_names_what_is_in_the_way_and_the_way_out() -> None:
    seen = overlaps(LIMITS.mesh, ForeignRoutes((route("10.77.5.0/24", connected=True),)), NOTHING_YET)
    text = refusal(seen, LIMITS.mesh, is_named=True)
    assert "10.77.0.0/16" in text and "10.77.5.0/24 is connected to eth3" in text and "--mesh-subnet" in text
    seen = overlaps(LIMITS.mesh, ForeignRoutes((route("fd5a::/64", is_mesh=True),)), NOTHING_YET)
    assert "--mesh-subnet" not in refusal(seen, LIMITS.mesh, is_named=True)


def test_more_than_the_most_leave_nothing_of_the_network() -> None:
    many = [route(f"10.77.{number}.0/30") for number in range(OVERLAPS_MAX + 1)]
    assert len(found(*many[1:])) == OVERLAPS_MAX
    ((network, what),) = found(*many)
    assert network == "10.77.0.0/16" and what.startswith(f"holds {OVERLAPS_MAX + 1} networks of this host")


def test_without_an_overlap_the_mesh_has_its_networks() -> None:
    target, refused = stepped_aside(desired_device(desired_peer(1)), LIMITS.mesh, ())
    assert target.mesh_routes == frozenset(LIMITS.mesh) and target.addresses == MESH
    assert target.guard.networks == LIMITS.mesh and target.guard.spared == () == refused
    assert target.guard.addresses == tuple(address.ip for address in MESH)


def test_the_mesh_steps_aside_for_a_part_and_keeps_the_rest() -> None:
    peers = (desired_peer(1), replace(desired_peer(2), allowed_ips=nets("10.77.5.2/32", "fd5a::2/128")))
    part = Overlap(net("10.77.5.0/24"), "is connected to eth3")
    target, refused = stepped_aside(desired_device(*peers), LIMITS.mesh, (part,))
    assert target.addresses == MESH
    assert not any(part.network.overlaps(each) for each in target.mesh_routes if each.version == 4)
    assert sum(each.num_addresses for each in target.mesh_routes if each.version == 4) == 65536 - 256
    assert [peer.allowed_ips for peer in target.peers] == [nets("10.77.1.1/32"), nets("fd5a::2/128")]
    reason = "It lies in 10.77.5.0/24, which is connected to eth3."
    assert refused == (RefusedRoute(net("10.77.5.2/32"), key(2), reason),)
    assert target.guard.spared == (part.network,)


@pytest.mark.parametrize("network", ["10.77.0.0/16", "10.77.0.0/24", "10.77.0.1/32"])
def test_where_the_own_address_lies_in_it_the_node_has_none_of_that_family_and_guards_none(network: str) -> None:
    part = Overlap(net(network), "is connected to eth3")
    target, _ = stepped_aside(desired_device(desired_peer(1)), LIMITS.mesh, (part,))
    assert target.addresses == MESH[1:]
    assert target.mesh_routes == {NETWORK6}
    assert NETWORK in target.guard.spared and target.guard.addresses == (MESH[1].ip,)


subnets = st.builds(
    lambda host, length: ipaddress.IPv4Network((int(NETWORK.network_address) + host, length), strict=False),
    st.integers(0, 65535),
    st.integers(14, 32),
)


@given(st.lists(subnets, max_size=8), st.integers(0, 65535))
def test_what_remains_holds_every_address_but_those_taken(taken: list[IPNetwork], host: int) -> None:
    address = NETWORK.network_address + host
    left = remainder(NETWORK, taken)
    assert sum(address in each for each in left) == (not any(address in each for each in taken))
