"""`wgmesh netcheck` of a real node behind NATs of several kinds, with STUN servers of two addresses each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import pytest
from support.directories import public_directory
from support.doubles.stun_responder import lying, responding, responding_elsewhere
from support.lab.nat_lab import (
    CONE,
    NO_UDP,
    PUBLIC_CLIENT_ADDRESS,
    SEQUENTIAL,
    SERVER_ADDRESSES,
    SYMMETRIC,
    WAN_ADDRESS,
    NatLab,
    background,
    call,
    nat_lab,
    run_inside,
)
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.core.model import Endpoint
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.process import stop_all
from wgmesh.demo.waiting import wait_for
from wgmesh.nat.check.findings import Finding
from wgmesh.nat.io.network_checks import NetworkChecks
from wgmesh.nat.io.stun_session import StunSession

pytestmark = pytest.mark.lab

SERVERS = tuple(f"{address}:3478" for address in SERVER_ADDRESSES)
SECOND_ADDRESSES = ("44.128.1.2", "44.129.1.2")
SERVER6 = "2600:1::1"
VICTIM = Endpoint.parse("44.150.0.66:53")

Check = dict[str, Any]


def test_without_nat_netcheck_says_so_and_that_ipv6_answers() -> None:
    with nat_lab(None) as lab:
        give_ipv6(lab)
        with stun_servers(lab, ipv6=True), node_behind(lab, *SERVERS, f"[{SERVER6}]:3478") as node:
            check = checked(node, mapping="none", ipv6="answered", filtering="endpoint-independent")
            port = node.wait_until_ready().listen_port
            text = node.cli("netcheck")

    assert check["external_endpoint"] == f"{PUBLIC_CLIENT_ADDRESS}:{port}"
    assert (value(check, "ports"), value(check, "hairpin")) == ("preserving", "not-needed")
    assert text.returncode == exits.OK, text.stderr
    assert text.stdout.startswith("No NAT is in the way: ")


def test_behind_a_nat_that_keeps_one_port_the_verdict_and_its_evidence_are_shown() -> None:
    with nat_lab(CONE) as lab, stun_servers(lab), node_behind(lab, *SERVERS) as node:
        check = checked(
            node,
            mapping="endpoint-independent",
            ports="preserving",
            filtering="address-and-port-dependent",
            hairpin="blocked",
            ipv6="no-address",
        )
        port = node.wait_until_ready().listen_port
        text = node.cli("netcheck")

    outside = f"{WAN_ADDRESS}:{port}"
    assert check["external_endpoint"] == outside
    witnesses = {each["server"] for each in check["findings"]["mapping"]["evidence"] if each["seen"] == outside}
    assert witnesses >= set(SERVERS)
    assert check["advice"] == []
    assert (text.returncode, text.stderr) == (exits.OK, "")
    assert text.stdout.splitlines()[0] == check["verdict"]
    assert "endpoint-independent (cone) mapping" in check["verdict"]
    assert f"{SERVERS[0]} port {port} as {outside}" in text.stdout


def test_behind_random_ports_they_are_called_random_and_the_destinations_port_counts() -> None:
    with nat_lab(SYMMETRIC) as lab, stun_servers(lab), node_behind(lab, *SERVERS) as node:
        check = checked(node, mapping="address-and-port-dependent", ports="random", hairpin="blocked")

    assert check["external_endpoint"] is None
    assert "(symmetric)" in check["verdict"]
    assert "Forward UDP port" in check["advice"][0]


def test_behind_sequential_ports_the_step_is_found() -> None:
    with nat_lab(SEQUENTIAL) as lab, stun_servers(lab), node_behind(lab, *SERVERS) as node:
        check = checked(node, mapping="address-and-port-dependent", ports="sequential")

    assert 1 <= check["findings"]["ports"]["step"] <= 3  # flows of the node's own may come between


def test_where_udp_is_blocked_netcheck_ends_with_1_and_names_the_servers_that_were_asked() -> None:
    with nat_lab(CONE + NO_UDP) as lab, stun_servers(lab), node_behind(lab, *SERVERS) as node:
        check = checked(node, udp="silent")
        text = node.cli("netcheck")

    assert text.returncode == exits.FAILED
    assert text.stdout.splitlines()[0] == check["verdict"]
    assert check["verdict"] == (
        f"No STUN server answered: UDP to the outside seems to be blocked. Asked: {', '.join(SERVERS)}."
    )
    assert value(check, "mapping") == "unknown"


@pytest.mark.attack("a server that a node asks", "make `netcheck` tell a victim's address as the node's own")
def test_a_lying_server_is_shown_beside_the_honest_one_and_decides_nothing() -> None:
    with nat_lab(CONE) as lab, stun_servers(lab, liar=True), node_behind(lab, *SERVERS) as node:
        check = checked(node, udp="answered", mapping="unknown", ports="unknown", hairpin="unknown")
        port = node.wait_until_ready().listen_port

    assert check["external_endpoint"] is None
    assert f"{SERVERS[0]} says {VICTIM}" in check["verdict"]
    assert f"{SERVERS[1]} says {WAN_ADDRESS}:{port}" in check["verdict"]


def test_without_the_capability_a_port_beside_wireguards_asks_and_no_endpoint_is_told() -> None:
    async def body() -> dict[str, Finding]:
        session = StunSession(SERVERS, lambda report: None, ipv6=False)
        running = asyncio.ensure_future(session.run())
        session.use_port(51820)
        while len(session.addresses(4)) < len(SERVERS):
            await asyncio.sleep(0.01)
        try:
            return {each.subject.value: each async for each in NetworkChecks(session, ipv6=False).run()}
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    with nat_lab(CONE) as lab, stun_servers(lab):
        found = run_inside(lab.client, body, net_raw=False)

    assert (found["mapping"].value, found["mapping"].external) == ("endpoint-independent", None)
    assert "CAP_NET_RAW" in found["mapping"].detail
    assert 51820 not in {each.local_port for each in found["mapping"].evidence}


def value(check: Check, subject: str) -> str:
    found: str = check["findings"][subject]["value"]
    return found


def checked(node: MeshNode, **wanted: str) -> Check:
    """The first check that finds what is wanted: on a busy machine an answer may come too late for one of them."""

    def found() -> Check | None:
        check: Check = json.loads(node.cli("netcheck", "--json").stdout)
        is_wanted = "findings" in check and all(value(check, subject) == each for subject, each in wanted.items())
        return check if is_wanted else None

    return wait_for(found, PATIENCE_S, f"a check finds {wanted}")


@contextmanager
def node_behind(lab: NatLab, *servers: str) -> Iterator[MeshNode]:
    """A node in the client of the lab that asks these servers."""
    with public_directory() as directory:
        host = Host("client", lab.client, directory / "client")
        node = MeshNode(host, new_secret(), "--no-dht", *(f"--stun={server}" for server in servers))
        try:
            node.start()
            node.wait_until_ready()
            yield node
        finally:
            stop_all(host.processes)


@contextmanager
def stun_servers(lab: NatLab, *, ipv6: bool = False, liar: bool = False) -> Iterator[None]:
    """Two servers with two addresses each, or a liar in place of the first one."""
    for address in SECOND_ADDRESSES:
        call(lab.internet, "ip", "addr", "add", f"{address}/32", "dev", "lo")

    async def serve() -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for first, second in list(zip(SERVER_ADDRESSES, SECOND_ADDRESSES, strict=True))[liar:]:
                await stack.enter_async_context(responding_elsewhere((first, 3478), (second, 3479)))
            if liar:
                await stack.enter_async_context(responding([(SERVER_ADDRESSES[0], 3478)], lying(VICTIM)))
            if ipv6:
                await stack.enter_async_context(responding([(SERVER6, 3478)]))
            yield

    with background(lab.internet, serve):
        yield


def give_ipv6(lab: NatLab) -> None:
    """Global addresses of IPv6 from the client to a server."""
    call(lab.internet, "ip", "addr", "add", f"{SERVER6}/128", "dev", "lo", "nodad")
    for name, link, address in (
        (lab.client, "eth0", "2600:7::2"),
        (lab.router, "lan", "2600:7::1"),
        (lab.router, "wan", "2600:30::1"),
        (lab.internet, "net0", "2600:30::254"),
    ):
        call(name, "ip", "addr", "add", f"{address}/64", "dev", link, "nodad")
    call(lab.client, "ip", "route", "add", "default", "via", "2600:7::1")
    call(lab.router, "ip", "route", "add", "default", "via", "2600:30::254")
    call(lab.internet, "ip", "route", "add", "2600:7::/64", "via", "2600:30::1")
    call(lab.router, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
