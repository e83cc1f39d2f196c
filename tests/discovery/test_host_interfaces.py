"""Which interfaces count."""

from __future__ import annotations

import ipaddress

import pytest
from wgmesh.discovery.host_interfaces import (
    LOOPBACK,
    LOWER_UP,
    MULTICAST,
    POINT_TO_POINT,
    TUNNELS,
    UP,
    Link,
    Underlay,
    beyond,
    lan_interfaces,
)

RUNNING = UP | LOWER_UP
V4 = (ipaddress.ip_interface("192.168.1.5/24"),)
V6 = (ipaddress.ip_interface("2001:db8::5/64"),)
LO = Link("lo", 1, RUNNING | LOOPBACK, "", (ipaddress.ip_interface("127.0.0.1/8"),))
ETH = Link("eth0", 2, RUNNING | MULTICAST, "", V4)


def test_ordinary_interfaces_count_and_loopback_beside_them_does_not() -> None:
    (only,) = lan_interfaces([LO, ETH], Underlay("wg0"))
    assert (only.name, only.index, only.addresses, only.announces) == ("eth0", 2, V4, True)


def test_loopback_counts_where_there_is_nothing_else() -> None:
    assert [each.name for each in lan_interfaces([LO], Underlay("wg0"))] == ["lo"]
    assert [each.name for each in lan_interfaces([LO, Link("eth0", 2, UP, "", V4)], Underlay("wg0"))] == ["lo"]


def test_tunnels_are_not_lans() -> None:
    mesh = Link("wg0", 3, RUNNING | MULTICAST | POINT_TO_POINT, "tun", V4)
    other = Link("vpn", 4, RUNNING | POINT_TO_POINT, "wireguard", V4)
    assert lan_interfaces([ETH, mesh, other], Underlay("wg0")) == lan_interfaces([ETH], Underlay("wg0"))


def link(name: str, index: int, kind: str, address: str, *others: str) -> Link:
    networks = tuple(map(ipaddress.ip_network, others))
    return Link(name, index, RUNNING | MULTICAST, kind, (ipaddress.ip_interface(address),), networks)


def chosen(links: list[Link], underlay: Underlay) -> list[str]:
    return [each.name for each in lan_interfaces(links, underlay)]


@pytest.mark.parametrize("kind", sorted(TUNNELS))
def test_a_tunnel_of_any_kind_carries_the_mesh_only_where_the_operator_names_it(kind: str) -> None:
    tunnel = link("vpn0", 4, kind, "10.8.0.2/24")
    assert chosen([ETH, tunnel], Underlay("wg0")) == ["eth0"]
    assert chosen([ETH, tunnel], Underlay("wg0", frozenset({"vpn0", "eth0"}))) == ["eth0", "vpn0"]


@pytest.mark.parametrize("kind", ["", "veth", "bridge", "bond", "vlan", "macvlan", "ipvlan", "ppp"])
def test_other_links_carry_it(kind: str) -> None:
    assert chosen([link("some0", 4, kind, "192.168.1.7/24")], Underlay("wg0")) == ["some0"]


def test_named_interfaces_are_the_only_ones_and_excluded_ones_are_none() -> None:
    docker = link("docker0", 5, "bridge", "172.17.0.1/16")
    assert chosen([ETH, docker], Underlay("wg0", named=frozenset({"eth0"}))) == ["eth0"]
    assert chosen([ETH, docker], Underlay("wg0", excluded=frozenset({"docker0"}))) == ["eth0"]
    assert chosen([ETH, docker], Underlay("eth0", named=frozenset({"eth0", "docker0"}))) == ["docker0"]


def test_what_lies_behind_a_tunnel_is_beyond_and_the_smaller_network_counts() -> None:
    vpn = link("tun0", 4, "tun", "10.8.0.6/32", "10.8.0.5/32", "10.0.0.0/8")
    lan = link("eth1", 6, "", "10.1.2.3/24")
    found = beyond([ETH, vpn, lan], Underlay("wg0"))
    here = ["10.1.2.9", "192.168.1.9", "203.0.113.9", "2001:db8::9"]
    there = ["10.8.0.5", "10.8.0.6", "10.50.0.1"]
    assert [host for host in here + there if ipaddress.ip_address(host) in found] == there
    named = beyond([ETH, vpn, lan], Underlay("wg0", frozenset({"tun0"})))
    assert [host for host in here + there if ipaddress.ip_address(host) in named] == ["10.1.2.9", "192.168.1.9"]


def test_a_network_that_the_underlay_has_as_well_is_not_beyond_and_neither_is_one_of_a_link_that_is_down() -> None:
    both = link("vpn0", 4, "gre", "192.168.1.7/24")
    down = Link("wg7", 7, 0, "wireguard", (ipaddress.ip_interface("10.9.0.1/16"),))
    found = beyond([ETH, both, down], Underlay("wg0"))
    assert not [host for host in ("192.168.1.9", "10.9.0.2") if ipaddress.ip_address(host) in found]


def test_a_point_to_point_line_has_addresses_of_ours_and_no_neighbours() -> None:
    ppp = Link("ppp0", 4, RUNNING | MULTICAST | POINT_TO_POINT, "", V4)
    assert [(each.name, each.announces) for each in lan_interfaces([ETH, ppp], Underlay("wg0"))] == [
        ("eth0", True),
        ("ppp0", False),
    ]


def test_without_multicast_or_an_address_for_others_nothing_is_announced() -> None:
    link_local = (ipaddress.ip_interface("fe80::5/64"),)
    flags = {"v6": (RUNNING | MULTICAST, V6), "bare": (RUNNING | MULTICAST, link_local), "nomc": (RUNNING, V4)}
    links = [ETH, *(Link(name, 5, bits, "", addresses) for name, (bits, addresses) in flags.items())]
    assert {each.name: each.announces for each in lan_interfaces(links, Underlay("wg0"))} == {
        "eth0": True,
        "v6": True,
        "bare": False,
        "nomc": False,
    }


def test_interfaces_that_are_down_or_bare_do_not_count() -> None:
    links = [ETH, Link("down", 3, MULTICAST, "", V4), Link("cable", 4, UP | MULTICAST, "", V4)]
    links.append(Link("bare", 5, RUNNING | MULTICAST))
    assert [each.name for each in lan_interfaces(links, Underlay("wg0"))] == ["eth0"]
