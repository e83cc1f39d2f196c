"""Which interfaces count."""

from __future__ import annotations

import ipaddress

from wgmesh.discovery.host_interfaces import LOOPBACK, LOWER_UP, MULTICAST, POINT_TO_POINT, UP, Link, lan_interfaces

RUNNING = UP | LOWER_UP
V4 = (ipaddress.ip_interface("192.168.1.5/24"),)
V6 = (ipaddress.ip_interface("2001:db8::5/64"),)
LO = Link("lo", 1, RUNNING | LOOPBACK, "", (ipaddress.ip_interface("127.0.0.1/8"),))
ETH = Link("eth0", 2, RUNNING | MULTICAST, "", V4)


def test_ordinary_interfaces_count_and_loopback_beside_them_does_not() -> None:
    (only,) = lan_interfaces([LO, ETH], "wg0")
    assert (only.name, only.index, only.addresses, only.announces) == ("eth0", 2, V4, True)


def test_loopback_counts_where_there_is_nothing_else() -> None:
    assert [each.name for each in lan_interfaces([LO], "wg0")] == ["lo"]
    assert [each.name for each in lan_interfaces([LO, Link("eth0", 2, UP, "", V4)], "wg0")] == ["lo"]


def test_tunnels_are_not_lans() -> None:
    mesh = Link("wg0", 3, RUNNING | MULTICAST | POINT_TO_POINT, "tun", V4)
    other = Link("vpn", 4, RUNNING | POINT_TO_POINT, "wireguard", V4)
    assert lan_interfaces([ETH, mesh, other], "wg0") == lan_interfaces([ETH], "wg0")


def test_a_point_to_point_line_has_addresses_of_ours_and_no_neighbours() -> None:
    ppp = Link("ppp0", 4, RUNNING | MULTICAST | POINT_TO_POINT, "", V4)
    assert [(each.name, each.announces) for each in lan_interfaces([ETH, ppp], "wg0")] == [
        ("eth0", True),
        ("ppp0", False),
    ]


def test_without_multicast_or_an_address_for_others_nothing_is_announced() -> None:
    link_local = (ipaddress.ip_interface("fe80::5/64"),)
    flags = {"v6": (RUNNING | MULTICAST, V6), "bare": (RUNNING | MULTICAST, link_local), "nomc": (RUNNING, V4)}
    links = [ETH, *(Link(name, 5, bits, "", addresses) for name, (bits, addresses) in flags.items())]
    assert {each.name: each.announces for each in lan_interfaces(links, "wg0")} == {
        "eth0": True,
        "v6": True,
        "bare": False,
        "nomc": False,
    }


def test_interfaces_that_are_down_or_bare_do_not_count() -> None:
    links = [ETH, Link("down", 3, MULTICAST, "", V4), Link("cable", 4, UP | MULTICAST, "", V4)]
    links.append(Link("bare", 5, RUNNING | MULTICAST))
    assert [each.name for each in lan_interfaces(links, "wg0")] == ["eth0"]
