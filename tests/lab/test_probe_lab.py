"""Probes between two machines; a second veth pair plays the tunnel, since only the interface's name matters here.

node 44.130.5.2  ──  eth0   the LAN
10.7.0.1         ──  wg0    the tunnel
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.lab.nat_lab import NatLab, call, nat_lab, run_inside
from support.probe_endpoints import probing
from support.promises import promised
from support.waiting import PATIENCE_S, until
from wgmesh.core.model import PublicKey
from wgmesh.nat.io.probe_client import ping
from wgmesh.nat.io.probe_server import ProbeServer
from wgmesh.nat.tunnel_probe import ProbeTarget

pytestmark = pytest.mark.lab

PORT = 54000
NODE = ipaddress.ip_address("10.7.0.1")
PEER = ipaddress.ip_address("10.7.0.2")
KEY = PublicKey(bytes(32))


def test_a_server_started_before_its_interface_answers_as_soon_as_that_is_there() -> None:
    async def body() -> float:
        async with server() as waiting:
            assert not waiting.addresses
            raise_tunnel(lab)
            return await until_answered(lab)

    with nat_lab(None) as lab:
        assert run_inside(lab.client, body) < promised(1.0)


def test_a_server_survives_that_its_interface_is_made_again() -> None:
    async def body() -> float:
        raise_tunnel(lab)
        async with server():
            await until_answered(lab)
            call(lab.client, "ip", "link", "del", "wg0")
            raise_tunnel(lab)
            return await until_answered(lab)

    with nat_lab(None) as lab:
        assert run_inside(lab.client, body) < promised(2.0)


def test_nobody_on_the_lan_reaches_the_server_at_the_mesh_address() -> None:
    async def body() -> bool:
        raise_tunnel(lab)
        call(lab.router, "ip", "link", "set", "wg0", "down")
        call(lab.router, "ip", "route", "add", "10.7.0.1/32", "via", lab.client_address)
        async with server() as listening:
            await until(lambda: bool(listening.addresses))
            return await asyncio.to_thread(connects, lab, "lan")

    with nat_lab(None) as lab:
        assert not run_inside(lab.client, body)


def test_a_probe_never_leaves_by_another_interface_than_the_tunnel() -> None:
    """Without the binding the default route would carry it to a stranger, who might even answer."""

    async def body() -> list[str]:
        call(lab.client, "ip", "link", "add", "wg0", "type", "bridge")
        call(lab.client, "ip", "addr", "add", "10.7.0.1/32", "dev", "wg0")
        call(lab.client, "ip", "link", "set", "wg0", "up")
        blamed = asyncio.Event()
        before = sent_by_eth0(lab)
        async with probing(PORT, "wg0", on_unanswered=lambda key: blamed.set()) as client:
            client.set_targets([ProbeTarget(KEY, ((NODE, PEER),))])
            await until(blamed.is_set)  # so it was sent, and given up
        return [before, sent_by_eth0(lab)]

    with nat_lab(None) as lab:
        call(
            lab.client, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"
        )  # no router solicitations among the packets
        before, after = run_inside(lab.client, body)

    assert before == after


@asynccontextmanager
async def server() -> AsyncIterator[ProbeServer]:
    made = ProbeServer("wg0", PORT)
    made.set_addresses({NODE})
    task = asyncio.ensure_future(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def raise_tunnel(lab: NatLab) -> None:
    """Connects client and router by a veth pair whose ends are both called wg0."""
    call(lab.client, "ip", "link", "add", "wg0", "type", "veth", "peer", "name", "wg0", "netns", lab.router)
    for name, address in ((lab.client, NODE), (lab.router, PEER)):
        call(name, "ip", "addr", "add", f"{address}/24", "dev", "wg0")
        call(name, "ip", "link", "set", "wg0", "up")


async def until_answered(lab: NatLab) -> float:
    """Probes from the other end until the server answers; returns how long that took, in seconds."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(connects, lab, "wg0"):
            continue
    return loop.time() - started_at


def connects(lab: NatLab, interface: str) -> bool:
    """Returns whether the router reaches the server by that interface."""

    async def body() -> bool:
        own = PEER if interface == "wg0" else ipaddress.ip_address("44.130.5.1")
        try:
            await ping(own, NODE, PORT, interface)
        except (OSError, TimeoutError):
            return False
        return True

    return run_inside(lab.router, body)


def sent_by_eth0(lab: NatLab) -> str:
    return call(lab.client, "cat", "/sys/class/net/eth0/statistics/tx_packets").strip()
