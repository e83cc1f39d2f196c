from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from support.doubles.stun_responder import lying, responding
from support.lab.nat_lab import (
    CONE,
    PORT_CHANGING,
    PUBLIC_CLIENT_ADDRESS,
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
from wgmesh.core.model import Endpoint, Mapping, NatReport
from wgmesh.core.stun import codec as stun
from wgmesh.demo.waiting import wait_for
from wgmesh.nat.io.raw_stun import WireGuardPortSocket
from wgmesh.nat.io.stun_session import StunSession

pytestmark = pytest.mark.lab

WIREGUARD_PORT = 51820
VICTIM = Endpoint.parse("44.150.0.66:53")  # whom a lying server wants our peers to call
SERVERS = [f"{address}:3478" for address in SERVER_ADDRESSES]


def test_without_nat_the_mapping_is_none_and_the_external_endpoint_is_the_wireguard_port() -> None:
    with nat_lab(None) as lab, stun_servers(lab):
        report = observe(lab, SERVERS)

    assert report.mapping is Mapping.NONE
    assert report.external_endpoint == Endpoint.of(PUBLIC_CLIENT_ADDRESS, WIREGUARD_PORT)


def test_behind_a_cone_the_external_endpoint_of_the_bound_wireguard_port_is_found() -> None:
    with nat_lab(CONE) as lab, stun_servers(lab):
        report = observe(lab, SERVERS)

    assert report.mapping is Mapping.ENDPOINT_INDEPENDENT
    assert report.external_endpoint == Endpoint.of(WAN_ADDRESS, WIREGUARD_PORT)
    assert report.from_wireguard_port
    assert report.detail == ""


def test_behind_a_nat_that_changes_ports_the_changed_port_is_found() -> None:
    with nat_lab(PORT_CHANGING) as lab, stun_servers(lab):
        report = observe(lab, SERVERS)

    assert report.mapping is Mapping.ENDPOINT_INDEPENDENT
    assert report.external_endpoint == Endpoint.of(WAN_ADDRESS, 40000)


def test_behind_random_ports_the_mapping_is_address_dependent() -> None:
    with nat_lab(SYMMETRIC) as lab, stun_servers(lab):
        report = observe(lab, SERVERS)

    assert report.mapping is Mapping.ADDRESS_DEPENDENT
    assert report.external_endpoint is None  # every destination sees another one
    assert {str(sighting.endpoint.host) for sighting in report.sightings} == {WAN_ADDRESS}
    assert {str(server) for sighting in report.sightings for server in sighting.servers} == set(SERVERS)
    assert report.detail == ""


@pytest.mark.attack("a server that a node asks", "name a victim as the node's outside address")
def test_one_lying_server_of_two_does_not_displace_what_the_honest_one_says() -> None:
    for liar in (0, 1):
        with nat_lab(CONE) as lab, stun_servers(lab, liar=SERVER_ADDRESSES[liar]):
            report = observe(lab, SERVERS, accept=lambda report: len(report.sightings) > 1)

        outside = Endpoint.of(WAN_ADDRESS, WIREGUARD_PORT)
        assert (report.mapping, report.external_endpoint) == (Mapping.UNKNOWN, None)
        assert {sighting.endpoint for sighting in report.sightings} == {outside, VICTIM}
        assert report.detail.startswith("STUN servers disagree: ")
        assert f"{SERVERS[liar]} says {VICTIM}" in report.detail
        assert f"{SERVERS[1 - liar]} says {outside}" in report.detail


def test_where_servers_are_divided_two_peers_decide_and_one_does_not() -> None:
    outside = Endpoint.of(WAN_ADDRESS, WIREGUARD_PORT)
    honest, lie = Endpoint.of(WAN_ADDRESS, 7000), Endpoint(VICTIM.host, 7000)
    with nat_lab(CONE) as lab, stun_servers(lab, liar=SERVER_ADDRESSES[0]):
        divided = observe(lab, SERVERS, accept=lambda report: len(report.sightings) > 1, seen_by_peers=[lie])
        decided = observe(
            lab, SERVERS, accept=lambda report: len(report.sightings) > 1, seen_by_peers=[honest, honest, lie]
        )

    assert divided.external_endpoint is None
    assert decided.external_endpoint == outside


def test_behind_random_ports_the_mapping_found_is_the_one_that_wireguard_itself_uses(tmp_path: Path) -> None:
    """The NAT gives every flow another port, so the port can only fit if the question left by WireGuard's own port."""
    handshakes: list[Endpoint] = []
    with nat_lab(SYMMETRIC) as lab, stun_servers(lab, on_handshake=handshakes.append):
        report = observe(lab, SERVERS[:1], accept=has_endpoint, holder=lambda: wireguard_go(lab, tmp_path, handshakes))

    assert report.external_endpoint == handshakes[0]


def test_a_dead_server_leaves_the_kind_of_nat_unknown_and_delays_nothing() -> None:
    with nat_lab(CONE) as lab, stun_servers(lab):
        report = observe(lab, [SERVERS[0], "44.128.9.9:3478"], accept=has_endpoint)

    assert report.mapping is Mapping.UNKNOWN
    assert report.external_endpoint == Endpoint.of(WAN_ADDRESS, WIREGUARD_PORT)
    assert report.detail == ""  # the dead server was still waited for


def test_with_all_servers_dead_the_report_says_so() -> None:
    with nat_lab(CONE) as lab:
        report = observe(lab, SERVERS, accept=lambda report: "does not answer" in report.detail)

    assert (report.mapping, report.external_endpoint) == (Mapping.UNKNOWN, None)
    assert SERVERS[0] in report.detail


def test_without_the_capability_a_port_beside_wireguards_is_asked_and_only_the_address_is_sure() -> None:
    with nat_lab(PORT_CHANGING) as lab, stun_servers(lab):
        report = observe(lab, SERVERS, net_raw=False)

    assert report.mapping is Mapping.ENDPOINT_INDEPENDENT
    assert report.external_endpoint == Endpoint.of(WAN_ADDRESS, WIREGUARD_PORT)
    assert not report.from_wireguard_port


def test_after_a_move_to_another_network_the_new_address_is_found_within_seconds() -> None:
    async def move_and_watch() -> list[Endpoint]:
        seen: list[Endpoint] = []
        changed = asyncio.Event()

        def publish(report: NatReport) -> None:
            if report.external_endpoint is not None and report.external_endpoint not in seen:
                seen.append(report.external_endpoint)
                changed.set()

        async with session(SERVERS, publish):
            await asyncio.wait_for(changed.wait(), PATIENCE_S)
            changed.clear()
            call(lab.router, "nft", "flush", "ruleset")
            call(lab.router, "nft", "-f", "-", stdin=CONE.replace("masquerade ", "snat to 44.130.0.7"))
            call(lab.client, "ip", "addr", "flush", "dev", "eth0")
            call(lab.client, "ip", "addr", "add", "192.168.7.77/24", "dev", "eth0")
            call(lab.client, "ip", "route", "add", "default", "via", "192.168.7.1")
            await asyncio.wait_for(changed.wait(), PATIENCE_S)
        return seen

    with nat_lab(CONE) as lab, stun_servers(lab):
        call(lab.internet, "ip", "route", "add", "44.130.0.7/32", "via", WAN_ADDRESS)
        seen = run_inside(lab.client, move_and_watch)

    assert [str(endpoint.host) for endpoint in seen] == [WAN_ADDRESS, "44.130.0.7"]


def test_ipv6_is_asked_from_the_wireguard_port_too() -> None:
    async def serve() -> AsyncIterator[None]:
        async with responding([("fd44::1", 3478)]):
            yield

    with nat_lab(CONE) as lab:
        call(lab.internet, "ip", "addr", "add", "fd44::1/64", "dev", "lo", "nodad")
        for name, link, address in (
            (lab.client, "eth0", "fd07::2"),
            (lab.router, "lan", "fd07::1"),
            (lab.router, "wan", "fd30::1"),
            (lab.internet, "net0", "fd30::254"),
        ):
            call(name, "ip", "addr", "add", f"{address}/64", "dev", link, "nodad")
        call(lab.client, "ip", "route", "add", "default", "via", "fd07::1")
        call(lab.router, "ip", "route", "add", "fd44::/64", "via", "fd30::254")
        call(lab.internet, "ip", "route", "add", "fd07::/64", "via", "fd30::1")
        call(lab.router, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        with background(lab.internet, serve):
            report = observe(lab, ["[fd44::1]:3478"])

    assert (report.mapping, report.external_endpoint) == (Mapping.NONE, Endpoint.of("fd07::2", WIREGUARD_PORT))


def test_the_kernel_keeps_wireguards_own_packets_from_the_raw_socket() -> None:
    async def body() -> bytes:
        with (
            bound_port(),
            WireGuardPortSocket(socket.AF_INET, WIREGUARD_PORT) as raw,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            for datagram in (b"\x04" + bytes(31), stun.request(bytes(12))):
                sender.sendto(datagram, ("127.0.0.1", WIREGUARD_PORT))
            return raw.recvfrom(2048)[0]

    with nat_lab(CONE) as lab:
        assert run_inside(lab.client, body) == stun.request(bytes(12))


def has_endpoint(report: NatReport) -> bool:
    return report.external_endpoint is not None


def is_classified(report: NatReport) -> bool:
    return report.mapping is not Mapping.UNKNOWN


class session:
    """A running StunSession, as a context."""

    def __init__(
        self, servers: list[str], publish: Callable[[NatReport], None], seen_by_peers: Sequence[Endpoint] = ()
    ) -> None:
        self._session = StunSession(servers, publish)
        self._seen_by_peers = seen_by_peers

    async def __aenter__(self) -> None:
        self._session.use_peers(self._seen_by_peers)
        self._session.use_port(WIREGUARD_PORT)
        self._task = asyncio.ensure_future(self._session.run())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def observe(
    lab: NatLab,
    servers: list[str],
    *,
    accept: Callable[[NatReport], bool] = is_classified,
    holder: Callable[[], AbstractContextManager[None]] | None = None,
    net_raw: bool = True,
    seen_by_peers: Sequence[Endpoint] = (),
) -> NatReport:
    """Returns the first accepted report of a session that runs in the client while WireGuard's port is held."""

    async def body() -> NatReport:
        found: asyncio.Future[NatReport] = asyncio.get_running_loop().create_future()

        def publish(report: NatReport) -> None:
            if accept(report) and not found.done():
                found.set_result(report)

        with (holder or bound_port)():
            async with session(servers, publish, seen_by_peers):
                return await asyncio.wait_for(found, PATIENCE_S)

    return run_inside(lab.client, body, net_raw=net_raw)


@contextmanager
def bound_port() -> Iterator[None]:
    """Holds WireGuard's port exclusively, as the kernel module does."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as holder:
        holder.bind(("::", WIREGUARD_PORT))
        yield


@contextmanager
def wireguard_go(lab: NatLab, directory: Path, handshakes: list[Endpoint]) -> Iterator[None]:
    """A userspace device on WireGuard's port whose one peer is the first STUN server, with a keepalive every second."""
    (directory / "key").write_text(call(lab.client, "wg", "genkey"))
    peer = call(lab.client, "wg", "pubkey", stdin=call(lab.client, "wg", "genkey")).strip()
    program = subprocess.Popen(_with_sockets(lab, directory, "wireguard-go", "-f", "wg0"), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (directory / "wg0.sock").exists(), PATIENCE_S, "the device is there")
        settings = f"wg0 private-key {directory / 'key'} listen-port {WIREGUARD_PORT} peer {peer}"
        settings += f" endpoint {SERVERS[0]} allowed-ips 10.9.0.2/32 persistent-keepalive 1"
        subprocess.run(_with_sockets(lab, directory, "wg", "set", *settings.split()), check=True, timeout=PATIENCE_S)
        call(lab.client, "ip", "link", "set", "wg0", "up")
        wait_for(lambda: bool(handshakes), PATIENCE_S, "the device shakes hands")
        yield
    finally:
        program.terminate()
        program.wait(timeout=PATIENCE_S)


def _with_sockets(lab: NatLab, directory: Path, *words: str) -> list[str]:
    """Gives the device a control socket of its own: namespaces do not separate /run/wireguard."""
    script = f'mkdir -p /run/wireguard && mount --bind {directory} /run/wireguard && exec "$@"'
    return ["ip", "netns", "exec", lab.client, "sh", "-c", script, "sh", *words]


@contextmanager
def stun_servers(lab: NatLab, on_handshake: Callable[[Endpoint], None] | None = None, liar: str = "") -> Iterator[None]:
    """Serves on every address; the one at `liar` tells everybody that it sees them at the victim's."""

    def on_other(data: bytes, source: Endpoint) -> None:
        if on_handshake is not None and data[:1] == b"\x01" and len(data) == 148:  # a handshake initiation
            on_handshake(source)

    async def serve() -> AsyncIterator[None]:
        honest_ones = [(address, 3478) for address in SERVER_ADDRESSES if address != liar]
        liars = [(liar, 3478)] if liar else []
        async with responding(honest_ones, on_other=on_other), responding(liars, lying(VICTIM)):
            yield

    with background(lab.internet, serve):
        yield
