"""The real sockets, on loopback."""

from __future__ import annotations

import ipaddress
import select
import socket
from pathlib import Path

import structlog
from structlog.testing import capture_logs
from wgmesh.core.keys.secret import Secret
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.lan.io.sockets import LanSockets, open_lan_socket, open_lan_socket6
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.runtime.udp_sockets import open_exchange_socket

GROUP, OTHER_GROUP = ipaddress.IPv4Address("239.192.7.7"), ipaddress.IPv4Address("239.192.7.8")
GROUP6 = ipaddress.IPv6Address("ff12::8000:7")
LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
LOOPBACK_INDEX = socket.if_nametoindex("lo")


def test_the_exchange_socket_hears_both_families() -> None:
    exchange = open_exchange_socket(free_port(), 1)
    with exchange.socket, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.sendto(b"four", ("127.0.0.1", exchange.port))
        assert received(exchange.socket) == b"four"
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker6:
            asker6.sendto(b"six", ("::1", exchange.port))
        assert received(exchange.socket) == b"six"
    assert exchange.is_expected_port


def test_a_taken_port_gives_another_one_and_says_so() -> None:
    port = free_port()
    with open_exchange_socket(port, 1).socket:
        second = open_exchange_socket(port, 1)
        with second.socket:
            assert second.port != port and not second.is_expected_port


def test_a_mesh_whose_exchange_port_is_the_lan_port_has_both() -> None:
    port = free_port()
    exchange = open_exchange_socket(port, port)
    with exchange.socket, open_lan_socket(GROUP, port, LOOPBACK_INDEX, LOOPBACK) as lan:
        assert exchange.is_expected_port
        lan.sendto(b"multicast", (str(GROUP), port))
        assert received(lan) == b"multicast"
        assert received(exchange.socket) is None


def test_two_nodes_on_one_host_hear_each_other_and_not_other_groups() -> None:
    port = free_port()
    with (
        open_lan_socket(GROUP, port, LOOPBACK_INDEX, LOOPBACK) as one,
        open_lan_socket(GROUP, port, LOOPBACK_INDEX, LOOPBACK) as two,
        open_lan_socket(OTHER_GROUP, port, LOOPBACK_INDEX, LOOPBACK) as stranger,
    ):
        one.sendto(b"announcement", (str(GROUP), port))
        assert received(two) == b"announcement"
        assert received(one) == b"announcement"
        assert received(stranger) is None


def test_unicast_never_reaches_the_lan_socket() -> None:
    port = free_port()
    with open_lan_socket(GROUP, port, LOOPBACK_INDEX, LOOPBACK) as lan:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
            attacker.sendto(b"captured", ("127.0.0.1", port))
        assert received(lan) is None


def test_unicast_never_reaches_the_ipv6_socket_which_two_nodes_on_one_host_can_have() -> None:
    port = free_port()
    with open_lan_socket6(GROUP6, port, LOOPBACK_INDEX) as lan, open_lan_socket6(GROUP6, port, LOOPBACK_INDEX):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as attacker:
            attacker.sendto(b"captured", ("::1", port))
        assert received(lan) is None


class Driver:
    """Takes sockets, and closes them at once."""

    def add_channel(self, name: str, channel: socket.socket) -> None:
        channel.close()

    def remove_channel(self, name: str) -> None:
        pass


def test_a_channel_that_cannot_be_opened_is_tried_again_at_each_change_and_logged_once() -> None:
    gone = LanInterface("gone", 99_999, (ipaddress.ip_interface("fd00::5/64"),))
    settings = DiscoverySettings(Secret("wgmesh-sockets-test-secret"), "wg0", Path("/nonexistent"))
    sockets = LanSockets(Driver(), (GROUP, GROUP6), free_port(), settings, structlog.stdlib.get_logger())
    with capture_logs() as logged:
        for _ in range(3):
            sockets.follow([gone])
    assert [each["event"] for each in logged] == ["lan interface not opened"]
    assert sockets.health().detail.startswith("gone (IPv6): ")


def received(receiver: socket.socket) -> bytes | None:
    readable, _, _ = select.select([receiver], [], [], 0.05)
    return receiver.recv(2048) if readable else None


def free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::", 0))
        return int(probe.getsockname()[1])
