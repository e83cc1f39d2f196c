"""The schedule of LAN announcements."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from wgmesh.core.model import Endpoint
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.lan.channels import LanChannel, lan_channels
from wgmesh.discovery.lan.schedule import LanSchedule

ETH0 = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.5/24"),))
BOTH = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.5/24"), ipaddress.ip_interface("fd00::5/64")))
ONLY_IPV6 = LanInterface("eth0", 2, (ipaddress.ip_interface("fe80::5/64"), ipaddress.ip_interface("fd00::5/64")))
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


def test_of_hundreds_of_interfaces_ten_keep_their_rate_and_the_others_cost_together_no_more_than_these() -> None:
    lan = LanSchedule(lambda: 0.5)
    lan.set_channels(channels(*many(300)), 0.0)
    announced_at(lan, until=10.0)
    counts = Counter(name for batch in batches(lan, until=310.0) for name in batch)
    assert {counts[f"v{number}"] for number in range(10)} <= {59, 60, 61}
    assert {counts[f"v{number}"] for number in range(10, 300)} == {2}


def test_of_hundreds_of_interfaces_the_first_open_as_ever_and_the_others_once_and_some_at_a_time() -> None:
    lan = LanSchedule(lambda: 0.5)
    lan.set_channels(channels(*many(300)), 0.0)
    opened = batches(lan, until=0.4)
    lan.restart(0.5)  # what we say of ourselves has changed: ten hear it at once
    opened += batches(lan, until=4.0)
    counts = Counter(name for batch in opened for name in batch)
    assert max(map(len, opened)) <= 20
    assert len(counts) == 300 and {counts[f"v{number}"] for number in range(10, 300)} == {1}
    assert counts["v0"] == 3


def test_a_neighbour_that_is_heard_on_one_of_hundreds_of_interfaces_brings_it_to_its_rate_at_once() -> None:
    lan = LanSchedule(lambda: 0.5)
    lan.set_channels(channels(*many(300)), 0.0)
    announced_at(lan, until=20.0)
    lan.heard("lan:v277", 20.5)
    times = [round(at, 3) for at, names in announced(lan, until=60.0) if "v277" in names]
    assert times == [20.5, 25.5, 30.5, 35.5, 40.5]  # until four of that neighbour's are missed


def test_interfaces_keep_their_own_time_and_a_new_one_starts_at_once() -> None:
    lan = started(ETH0)
    announced_at(lan, until=1.0)
    (eth1,) = channels(ETH1)
    lan.set_channels([*channels(ETH0), eth1], 1.5)
    assert lan.due(1.5) == [eth1]
    lan.set_channels([eth1], 2.1)
    assert lan.channel("lan:eth0") is None and lan.channels == (eth1,)


def test_a_changed_address_is_announced_at_once() -> None:
    lan = started(ETH0)
    announced_at(lan, until=1.0)
    moved = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.2.5/24"),))
    lan.set_channels(channels(moved), 2.0)
    assert lan.due(2.0) == list(channels(moved))


def test_an_interface_that_cannot_announce_is_left_alone() -> None:
    lan = started(LanInterface("ppp0", 4, ETH1.addresses, announces=False))
    assert lan.poll_timeout() is None


def test_only_neighbours_on_the_subnet_are_attached() -> None:
    assert BOTH.is_attached(Endpoint.parse("192.168.1.77:1")) and BOTH.is_attached(Endpoint.parse("[fd00::7]:1"))
    assert not BOTH.is_attached(Endpoint.parse("192.168.2.77:1"))
    assert not ETH1.is_attached(Endpoint.parse("[fd00::7]:1"))
    assert BOTH.ipv4 == ipaddress.IPv4Address("192.168.1.5")


def test_an_interface_that_has_ipv6_alone_is_announced_on_like_any_other() -> None:
    lan = started(ONLY_IPV6)
    assert [(each.name, str(each.source)) for each in lan.channels] == [("lan6:eth0", "fd00::5")]
    assert announced_at(lan, until=11.0) == [0.0, 0.25, 1.0, 6.0, 11.0]


def test_ipv6_beside_ipv4_is_announced_on_later_and_seldom() -> None:
    lan = LanSchedule(lambda: 0.5)
    lan.set_channels(channels(BOTH)[1:], 0.0)
    lan.restart(0.1)
    assert announced_at(lan, until=122.0) == [0.5, 2.0, 62.0, 122.0]


def test_ipv6_beside_ipv4_is_announced_on_as_often_while_somebody_is_heard_by_it_alone() -> None:
    lan = LanSchedule(lambda: 0.5)
    lan.set_channels(channels(BOTH)[1:], 0.0)
    announced_at(lan, until=10.0)
    lan.heard("lan6:eth0", 12.0)
    assert announced_at(lan, until=60.0) == [12.0, 17.0, 22.0, 27.0, 32.0]  # until four of that neighbour's are missed
    lan.restart(61.0)
    assert announced_at(lan, until=92.0) == [92.0]


def test_without_ipv6_or_with_link_local_addresses_alone_there_is_no_ipv6_channel() -> None:
    assert [each.name for each in lan_channels([BOTH, ONLY_IPV6], with_ipv6=False)] == ["lan:eth0"]
    bare = LanInterface("eth0", 2, (ipaddress.ip_interface("fe80::5/64"),))
    loopback = LanInterface("lo", 1, (ipaddress.ip_interface("::1/128"),))
    assert channels(bare) == () and channels(loopback) == ()


def channels(*interfaces: LanInterface) -> tuple[LanChannel, ...]:
    return lan_channels(interfaces, with_ipv6=True)


def started(interface: LanInterface) -> LanSchedule:
    lan = LanSchedule(lambda: 0.5)
    lan.set_channels(channels(interface), 0.0)
    return lan


def many(count: int) -> list[LanInterface]:
    return [replace(ETH1, name=f"v{number}", index=10 + number) for number in range(count)]


def announced_at(lan: LanSchedule, until: float) -> list[float]:
    return [round(at, 3) for at, names in announced(lan, until) for _ in names]


def batches(lan: LanSchedule, until: float) -> list[list[str]]:
    return [names for _, names in announced(lan, until)]


def announced(lan: LanSchedule, until: float) -> Iterator[tuple[float, list[str]]]:
    """When something is announced, and on which interfaces."""
    while (at := lan.poll_timeout()) is not None and at <= until:
        yield at, [channel.interface.name for channel in lan.due(at)]
