"""What is said of a LAN where nothing comes back."""

from __future__ import annotations

import ipaddress

from wgmesh.core.clock import WallClock
from wgmesh.core.model import LayerState
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.lan.channels import lan_channels
from wgmesh.discovery.lan.echoes import Echoes

ETH0 = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.5/24"), ipaddress.ip_interface("fd00::5/64")))
IPV4, IPV6 = lan_channels([ETH0], with_ipv6=True)


def test_who_hears_himself_and_nobody_else_for_half_a_minute_is_alone_or_firewalled_and_that_is_no_failure() -> None:
    echoes = announced_until(25.0)
    assert echoes.remark(29.9) is None and echoes.due_at(29.9) == 30.0
    remark = echoes.remark(30.0)
    assert remark is not None and remark.state is LayerState.RUNNING
    assert remark.detail == "nothing heard since 00:00:00 UTC: no other node is there, or a firewall drops UDP 51830"


def test_a_person_is_told_the_time_by_the_clock_as_it_stands() -> None:
    wall = WallClock(3600.0)
    echoes = announced_until(30.0, wall=wall)
    remark = echoes.remark(30.0)
    assert remark is not None and remark.detail.startswith("nothing heard since 01:00:00 UTC")
    wall.set(7200.0)
    remark = echoes.remark(30.0)
    assert remark is not None and remark.detail.startswith("nothing heard since 02:00:00 UTC")


def test_an_echo_that_is_missing_is_a_failure_of_this_host_and_names_the_family() -> None:
    echoes = announced_until(30.0, keeps_out=IPV6.name)
    remark = echoes.remark(30.0)
    assert remark is not None and remark.state is LayerState.DEGRADED
    named = "eth0 (IPv6): a firewall on this host drops UDP 51830"
    assert remark.detail == f"own announcements do not come back on {named}"
    echoes.returned(IPV6.name)
    remark = echoes.remark(30.0)
    assert remark is not None and remark.state is LayerState.RUNNING


def test_who_has_heard_another_is_told_nothing_until_the_interfaces_change() -> None:
    echoes = announced_until(30.0)
    echoes.heard(IPV4.name)
    assert echoes.remark(300.0) is None and echoes.due_at(300.0) is None
    echoes.follow([IPV4])
    for at in (400.0, 405.0, 410.0):
        echoes.sent(IPV4, at)
        echoes.returned(IPV4.name)
    assert echoes.remark(430.0) is not None


def test_two_lost_datagrams_are_no_silence() -> None:
    echoes = Echoes(WallClock(), 51830)
    echoes.follow([IPV4])
    for at in (0.0, 5.0):
        echoes.sent(IPV4, at)
    assert echoes.remark(60.0) is None
    echoes.sent(IPV4, 60.0)
    assert echoes.remark(60.0) is not None


def announced_until(end: float, keeps_out: str = "", wall: WallClock | None = None) -> Echoes:
    """Announcements every 5 s, of which those on one channel never come back."""
    echoes = Echoes(wall or WallClock(), 51830)
    echoes.follow([IPV4, IPV6])
    for step in range(int(end // 5) + 1):
        for channel in (IPV4, IPV6):
            echoes.sent(channel, 5.0 * step)
            if channel.name != keeps_out:
                echoes.returned(channel.name)
    return echoes
