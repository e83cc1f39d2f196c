"""Nodes behind NATs that keep an entry for a datagram that nobody asked for: openers come first, and they connect."""

from __future__ import annotations

import socket
import struct

import pytest
from support.lab.homes import STUN, Homes
from support.lab.nat_lab import CONE, REMEMBERS, RESTRICTED_CHANGING, nat_lab, run_inside
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.core.model import Endpoint
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for
from wgmesh.nat.io.raw_stun import WireGuardPortSocket
from wgmesh.nat.raw_datagram import silent_filter

CONNECTED_S = 45.0
WIREGUARD_PORT = 51820
IP_RECVTTL = 12  # linux/in.h; the socket module has no name for it


@pytest.mark.parametrize(
    "other", [REMEMBERS, CONE, RESTRICTED_CHANGING], ids=["remembers", "port-restricted", "port-restricted-translated"]
)
def test_two_nodes_of_whom_one_nat_remembers_unsolicited_packets_reach_each_other(fabric: Fabric, other: str) -> None:
    homes = Homes(fabric)
    meeting, secret = homes.add_public("meeting"), new_secret()
    (left, left_outside), (right, right_outside) = homes.add_home("left", REMEMBERS), homes.add_home("right", other)
    flags = ("--no-dht", "--log-level", "debug", *STUN)
    known = MeshNode(meeting, secret, *flags)
    one, two = (MeshNode(host, secret, *flags, "--peer", str(meeting.ipv4)) for host in (left, right))
    with homes.stun_servers():
        for node in (known, one, two):
            node.start()
            node.wait_until_ready()

        wait_for_full_mesh([one, two], promised(CONNECTED_S))

        def ends() -> list[str]:
            return [each.endpoint.host for node in (one, two) for each in node.peers() if each.hostname != "meeting"]

        wait_for(lambda: ends() == [right_outside, left_outside], PATIENCE_S, "each sees the other at its router")
        said = [node.running_process().output() for node in (one, two)]
    assert any("opener sent" in each for each in said)
    assert "opener sent" not in known.running_process().output()  # it has no NAT


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_datagram_of_wireguards_port_lives_for_as_many_hops_as_it_is_given(
    family: socket.AddressFamily, host: str
) -> None:
    ask, kind = (IP_RECVTTL, socket.IPPROTO_IP), socket.IP_TTL
    if family == socket.AF_INET6:
        ask, kind = (socket.IPV6_RECVHOPLIMIT, socket.IPPROTO_IPV6), socket.IPV6_HOPLIMIT

    async def body() -> tuple[bytes, int, int, bool]:
        with socket.socket(family, socket.SOCK_DGRAM) as far:
            far.bind((host, 0))
            far.settimeout(10)
            far.setsockopt(ask[1], ask[0], 1)
            with WireGuardPortSocket(family, WIREGUARD_PORT, silent_filter()) as raw:
                raw.send_dying(b"\xff", Endpoint.of(host, far.getsockname()[1]), 3)
                data, ancillary, _, source = far.recvmsg(100, 100)
                far.sendto(b"answer", (host, WIREGUARD_PORT))
                try:
                    raw.recvfrom(100)
                    is_silent = False
                except BlockingIOError:
                    is_silent = True
        hops = next(value for level, which, value in ancillary if (level, which) == (ask[1], kind))
        return data, source[1], struct.unpack("i", hops)[0], is_silent

    with nat_lab(CONE) as lab:
        assert run_inside(lab.client, body) == (b"\xff", WIREGUARD_PORT, 3, True)
