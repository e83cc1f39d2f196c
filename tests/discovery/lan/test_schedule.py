"""The schedule of LAN announcements."""

from __future__ import annotations

import ipaddress

from wgmesh.core.model import Endpoint
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.lan.schedule import LanSchedule

ETH0 = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.5/24"), ipaddress.ip_interface("fd00::5/64")))
ETH1 = LanInterface("eth1", 3, (ipaddress.ip_interface("10.0.0.5/8"),))


def test_an_interface_is_announced_on_at_once_twice_soon_and_then_every_five_seconds() -> None:
    lan = started(ETH0)
    assert announced_at(lan, until=16.0) == [0.0, 0.25, 1.0, 6.0, 11.0, 16.0]


def test_a_newcomer_brings_the_next_announcement_forward_but_not_beyond_the_rate() -> None:
    lan = started(ETH0)
    announced_at(lan, until=6.0)
    for _ in range(100):
        lan.hurry("lan:eth0", 6.05)
    assert announced_at(lan, until=12.0) == [7.0, 12.0]
    lan.hurry("lan:eth0", 13.0)
    assert announced_at(lan, until=14.0) == [13.01]  # half of the jitter


def test_interfaces_keep_their_own_time_and_a_new_one_starts_at_once() -> None:
    lan = started(ETH0)
    announced_at(lan, until=1.0)
    lan.set_interfaces([ETH0, ETH1], 2.0)
    assert lan.due(2.0) == [ETH1]
    lan.set_interfaces([ETH1], 2.1)
    assert lan.interface("lan:eth0") is None and lan.interfaces == (ETH1,)


def test_a_changed_address_is_announced_at_once() -> None:
    lan = started(ETH0)
    announced_at(lan, until=1.0)
    moved = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.2.5/24"),))
    lan.set_interfaces([moved], 2.0)
    assert lan.due(2.0) == [moved]


def test_an_interface_that_cannot_announce_is_left_alone() -> None:
    lan = started(LanInterface("ppp0", 4, ETH1.addresses, announces=False))
    assert lan.poll_timeout() is None


def test_only_neighbours_on_the_subnet_are_attached() -> None:
    assert ETH0.is_attached(Endpoint.parse("192.168.1.77:1")) and ETH0.is_attached(Endpoint.parse("[fd00::7]:1"))
    assert not ETH0.is_attached(Endpoint.parse("192.168.2.77:1"))
    assert not ETH1.is_attached(Endpoint.parse("[fd00::7]:1"))
    assert ETH0.ipv4 == ipaddress.IPv4Address("192.168.1.5")


def started(interface: LanInterface) -> LanSchedule:
    lan = LanSchedule(lambda: 0.5)
    lan.set_interfaces([interface], 0.0)
    return lan


def announced_at(lan: LanSchedule, until: float) -> list[float]:
    times = []
    while (due := lan.poll_timeout()) is not None and due <= until:
        times += [round(due, 3)] * len(lan.due(due))
    return times
