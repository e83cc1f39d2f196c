"""The wireguard service as a process: it is killed, stopped and robbed of its device."""

from __future__ import annotations

import ipaddress
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.lab.namespace import Node, two_nodes
from support.lab.pings import RunningPing
from support.lab.wireguard_lab import BACKENDS, Service, desired, peer
from support.promises import promised
from support.waiting import PATIENCE_S, until
from wgmesh.client.wireguard import WireGuardClient
from wgmesh.demo.waiting import wait_for
from wgmesh.wireguard.io.identity_store import IdentityStore


@pytest.fixture(params=BACKENDS)
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    with two_nodes(tmp_path) as pair:
        yield pair


@pytest.fixture
def services(nodes: tuple[Node, Node]) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(node: Node, *flags: str) -> Service:
        started.append(Service(node, *flags))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            service.stop(signal.SIGKILL)


async def test_a_killed_service_takes_its_device_over_and_no_ping_is_lost(
    nodes: tuple[Node, Node], services: Callable[..., Service]
) -> None:
    a, b = nodes
    first, other = services(a), services(b)
    keys = [(await service.apply(desired(n))).device for n, service in ((1, first), (2, other))]
    assert None not in keys
    key_a, key_b = (IdentityStore(node.state, "wg0").load_or_create().private_key for node in (a, b))
    await other.apply(desired(2, peer(key_a, 1)))
    wanted = desired(1, peer(key_b, 2))
    before = (await first.apply(wanted)).device
    a.call("ping", "-c1", "-W3", "10.77.0.2")

    with RunningPing(a, "10.77.0.2") as ping:
        first.stop(signal.SIGKILL)
        sent = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > sent + 15, PATIENCE_S, "the device goes on without the service")
        outcome = await services(a).apply(wanted)
    assert ping.lost == []
    assert outcome.actions == ()
    assert before is not None and outcome.device is not None
    assert outcome.device.listen_port == before.listen_port


async def test_a_stopped_service_removes_its_device_and_one_told_to_keep_it_does_not(
    nodes: tuple[Node, Node], services: Callable[..., Service]
) -> None:
    a, b = nodes
    removing, keeping = services(a), services(b, "keep")
    for service in (removing, keeping):
        await service.apply(desired(1))
        assert service.stop(signal.SIGTERM) == 0
    assert "wg0" not in a.call("ip", "-br", "link")
    assert "wg0" in b.call("ip", "-br", "link")
    assert list(a.sockets.iterdir()) == []


async def test_a_lost_device_is_made_again_by_the_service_itself_with_the_same_port_and_key(
    nodes: tuple[Node, Node], services: Callable[..., Service]
) -> None:
    a, _ = nodes
    service = services(a, "51830")
    wanted = desired(1, port=51830)
    await service.apply(wanted)
    key, index = a.call("wg", "show", "wg0", "public-key"), index_of(a)
    a.call("ip", "link", "del", "wg0")
    await until(lambda: index_of(a) not in ("", index) and a.call("wg", "show", "wg0", "listen-port") == "51830\n")
    assert a.call("wg", "show", "wg0", "public-key") == key
    async with WireGuardClient(service.socket) as client:
        snapshot = await anext(client.watch_device())
    assert snapshot.device is not None and snapshot.device.listen_port == 51830 and snapshot.problems == ()
    assert snapshot.identity.mesh_ipv4 == ipaddress.ip_address("10.77.0.1")


def index_of(node: Node) -> str:
    """The number of its wg0; empty while there is none."""
    found = subprocess.run(["ip", "-n", node.name, "-o", "link", "show", "wg0"], capture_output=True, text=True)
    return found.stdout.partition(":")[0]


async def test_a_first_handshake_is_published_at_once(
    nodes: tuple[Node, Node], services: Callable[..., Service]
) -> None:
    a, b = nodes
    first, other = services(a), services(b)
    await first.apply(desired(1))
    await other.apply(desired(2))
    key_a, key_b = (IdentityStore(node.state, "wg0").load_or_create().private_key for node in (a, b))
    await other.apply(replace(desired(2, replace(peer(key_a, 1), endpoint=None, persistent_keepalive_s=0))))
    async with WireGuardClient(first.socket) as client:
        await first.apply(desired(1, peer(key_b, 2)))  # its keepalive starts the handshake
        started_at = time.monotonic()
        async for snapshot in client.watch_device():
            if snapshot.device and any(p.handshake_at for p in snapshot.device.peers):
                break
    assert time.monotonic() - started_at < promised(2.0)


async def test_the_private_key_is_in_no_command_line_and_no_environment(
    nodes: tuple[Node, Node], services: Callable[..., Service]
) -> None:
    a, _ = nodes
    await services(a).apply(desired(1))
    key = IdentityStore(a.state, "wg0").load_or_create().private_key
    pids = subprocess.run(["ip", "netns", "pids", a.name], check=True, capture_output=True, text=True).stdout.split()
    assert pids
    for pid in pids:
        seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert key.reveal_text().encode() not in seen and key.reveal().hex().encode() not in seen
