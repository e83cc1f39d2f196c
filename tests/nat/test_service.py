"""The service as a process would run it: real sockets on loopback, a discovery that says what the test wants."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.doubles.fake_discovery import fake_discovery
from support.doubles.stun_responder import honest, responding, responding_elsewhere
from support.probe_endpoints import KEY, OWN, SERVER, free_port, serving
from support.waiting import PATIENCE_S, until
from wgmesh.client.nat import NatClient
from wgmesh.core.errors import Busy, NotReady, NotSupported
from wgmesh.core.model import Endpoint, Mapping, PathsSnapshot, Peer, PeersSnapshot, PublicKey, SelfDescription
from wgmesh.core.stun import codec as stun
from wgmesh.nat.__main__ import main
from wgmesh.nat.settings import NatSettings
from wgmesh.runtime.callers import socket_path
from wgmesh.runtime.service import Shell
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.runtime.snapshots import SnapshotCell

WIREGUARD_PORT = 51899
OWN_DESCRIPTION = SelfDescription(
    PublicKey(bytes([9] * 32)), ipaddress.IPv4Address(str(OWN)), ipaddress.IPv6Address("::1"), WIREGUARD_PORT
)
PEER = Peer(KEY, ipaddress.IPv4Address(str(SERVER)))


async def test_a_peer_from_discovery_is_measured_and_its_path_is_watched(tmp_path: Path) -> None:
    port = free_port()
    async with serving({SERVER}, port), running(tmp_path, NatSettings(port, stun=False, ipv6=False)) as (peers, nat):
        peers.publish(PeersSnapshot(1, (PEER,), description=OWN_DESCRIPTION))

        snapshot = await first(nat, lambda snapshot: any(path.rtt_s for path in snapshot.paths))

    (path,) = snapshot.paths
    assert path.public_key == KEY
    assert path.rtt_s is not None
    assert path.answered_at is not None


async def test_the_own_mesh_address_answers_probes(tmp_path: Path) -> None:
    port = free_port()
    async with running(tmp_path, NatSettings(port, stun=False, ipv6=False)) as (peers, _):
        peers.publish(PeersSnapshot(1, (), description=OWN_DESCRIPTION))

        await until(lambda: is_listened_on(port))
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection(str(OWN), port)
            writer.write(b"ping\n")
            assert await reader.readline() == b"pong\n"
            writer.close()


async def test_a_removed_peer_leaves_the_paths(tmp_path: Path) -> None:
    async with running(tmp_path, NatSettings(free_port(), stun=False)) as (peers, nat):
        peers.publish(PeersSnapshot(1, (PEER,), description=OWN_DESCRIPTION))
        await first(nat, lambda snapshot: len(snapshot.paths) == 1)

        peers.publish(PeersSnapshot(2, (), description=OWN_DESCRIPTION))

        assert (await first(nat, lambda snapshot: snapshot.revision > 1 and not snapshot.paths)).paths == ()


async def test_stun_reports_what_the_servers_see(tmp_path: Path) -> None:
    async with responding([("127.0.0.1", 0), ("127.9.0.1", 0)]) as servers:
        settings = NatSettings(free_port(), stun_servers=tuple(str(server) for server in servers), ipv6=False)
        async with running(tmp_path, settings) as (peers, nat):
            peers.publish(PeersSnapshot(1, (), description=OWN_DESCRIPTION))

            snapshot = await first(nat, lambda snapshot: snapshot.report.external_endpoint is not None)

    assert snapshot.report.enabled
    assert snapshot.report.external_endpoint == Endpoint.of("127.0.0.1", WIREGUARD_PORT)
    assert snapshot.report.mapping is Mapping.NONE


async def test_with_stun_off_nothing_is_sent_and_the_report_says_that_it_is_off(tmp_path: Path) -> None:
    asked: list[bytes] = []
    async with responding([("127.0.0.1", 0)], lambda request, source: asked.append(b"")) as servers:
        settings = NatSettings(free_port(), stun=False, stun_servers=(str(servers[0]),), ipv6=False)
        async with running(tmp_path, settings) as (peers, nat):
            peers.publish(PeersSnapshot(1, (PEER,), description=OWN_DESCRIPTION))
            snapshot = await first(nat, lambda snapshot: any(path.unanswered_count for path in snapshot.paths))

    assert not snapshot.report.enabled
    assert asked == []


async def test_a_check_asks_the_servers_and_tells_its_findings_one_by_one(tmp_path: Path) -> None:
    """On loopback there is no NAT: the servers see the very port, and whatever they send comes in."""
    async with (
        responding_elsewhere(("127.0.0.2", 34781), ("127.0.0.3", 34782)),
        responding_elsewhere(("127.0.0.4", 34781), ("127.0.0.5", 34782)),
    ):
        settings = NatSettings(free_port(), stun_servers=("127.0.0.2:34781", "127.0.0.4:34781"), ipv6=False)
        async with running(tmp_path, settings) as (peers, nat):
            peers.publish(PeersSnapshot(1, (), description=OWN_DESCRIPTION))
            await first(nat, lambda snapshot: snapshot.report.external_endpoint is not None)

            found = {finding.subject: finding async for finding in nat.check_network()}

    values = {subject: finding.value for subject, finding in found.items()}
    assert values == {
        "udp": "answered",
        "mapping": "none",
        "ports": "preserving",
        "filtering": "endpoint-independent",
        "hairpin": "not-needed",
        "ipv6": "no-address",
    }
    assert found["mapping"].external_endpoint.port == WIREGUARD_PORT
    assert all(evidence.HasField("answer_time") for evidence in found["ports"].evidence)


async def test_a_second_check_at_one_time_is_refused_and_the_first_one_may_be_left(tmp_path: Path) -> None:
    def only_wireguards_port(request: stun.Message, source: Endpoint) -> bytes | None:
        return honest(request, source) if source.port == WIREGUARD_PORT else None  # so the second stage takes its time

    async with responding([("127.0.0.1", 0)], only_wireguards_port) as servers:
        settings = NatSettings(free_port(), stun_servers=(str(servers[0]),), ipv6=False)
        async with running(tmp_path, settings) as (peers, nat):
            peers.publish(PeersSnapshot(1, (), description=OWN_DESCRIPTION))
            await first(nat, lambda snapshot: snapshot.report.external_endpoint is not None)
            one = nat.check_network()
            assert (await anext(one)).subject == "udp"
            with pytest.raises(Busy):
                await drained(nat)
            await one.aclose()

            async def is_free() -> bool:
                try:
                    return bool(await drained(nat))
                except Busy:
                    return False

            async with asyncio.timeout(PATIENCE_S):
                while not await is_free():
                    await asyncio.sleep(0.01)


async def test_before_there_is_a_port_a_check_is_not_ready(tmp_path: Path) -> None:
    async with running(tmp_path, NatSettings(free_port(), ipv6=False, stun_servers=("127.0.0.1:9",))) as (_, nat):
        with pytest.raises(NotReady, match="no WireGuard port yet"):
            await drained(nat)


async def test_with_stun_off_a_check_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, NatSettings(free_port(), stun=False, ipv6=False)) as (peers, nat):
        peers.publish(PeersSnapshot(1, (), description=OWN_DESCRIPTION))
        with pytest.raises(NotSupported, match="--no-stun"):
            await drained(nat)


async def drained(nat: NatClient) -> dict[str, str]:
    return {finding.subject: finding.value async for finding in nat.check_network()}


def is_listened_on(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex((str(OWN), port)) == 0


@asynccontextmanager
async def running(
    directory: Path, settings: NatSettings
) -> AsyncIterator[tuple[SnapshotCell[PeersSnapshot], NatClient]]:
    """Runs the service beside a fake discovery; yields what discovery says and a client of the service."""
    ready = asyncio.Event()
    shell = Shell(RuntimeSettings("nat", "lo", directory), ready.set)
    async with fake_discovery(directory, "nat") as discovery:
        service = asyncio.ensure_future(main(shell, settings))
        try:
            async with asyncio.timeout(PATIENCE_S):
                await ready.wait()
            async with NatClient(socket_path(directory, "nat", "node")) as client:
                yield discovery.peers, client
        finally:
            shell.stopping.set()
            await asyncio.wait_for(service, PATIENCE_S)


async def first(nat: NatClient, is_wanted: Callable[[PathsSnapshot], bool]) -> PathsSnapshot:
    async with asyncio.timeout(PATIENCE_S):
        async for snapshot in nat.watch_paths():
            if is_wanted(snapshot):
                return snapshot
    raise AssertionError("the watch ended")
