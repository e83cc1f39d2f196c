"""The real device in network namespaces: every test runs on each back end that this machine has."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.namespace import Node, two_nodes
from wgmesh.client.wireguard import WireGuardClient
from wgmesh.core.errors import AlreadyRunning, NotReady
from wgmesh.core.model import ApplyOutcome, DesiredDevice, DesiredPeer, Endpoint, ObservedDevice, PresharedKey
from wgmesh.core.private_key import PrivateKey
from wgmesh.wireguard.io.backend import open_device
from wgmesh.wireguard.io.identity_store import IdentityStore
from wgmesh.wireguard.io.netlink import ROUTE_PROTOCOL
from wgmesh.wireguard.io.userspace import open_userspace_tunnel, start_program
from wgmesh.wireguard.reconciler import Reconciler, Turn

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")]

KEY_A, KEY_B = PrivateKey(bytes([1] * 32)), PrivateKey(bytes([2] * 32))
PRESHARED_KEY = PresharedKey(bytes([7] * 32))


def _kernel_has_wireguard() -> bool:
    name = f"wgprobe{os.getpid() % 10000}"
    done = subprocess.run(["ip", "link", "add", name, "type", "wireguard"], check=False, capture_output=True)
    if done.returncode == 0:
        subprocess.run(["ip", "link", "del", name], check=True)
    return done.returncode == 0


BACKENDS = ["kernel"] if os.geteuid() == 0 and _kernel_has_wireguard() else ["userspace"]


@pytest.fixture(params=BACKENDS)
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    with two_nodes(tmp_path) as pair:
        yield pair


def desired(own: int, *peers: DesiredPeer, port: int = 51820) -> DesiredDevice:
    addresses = (ipaddress.ip_interface(f"10.77.0.{own}/16"), ipaddress.ip_interface(f"fd5a::{own}/64"))
    return DesiredDevice(addresses, port, 1420, peers=peers)


def peer(private_key: PrivateKey, number: int, *networks: str, port: int = 51820) -> DesiredPeer:
    return DesiredPeer(
        private_key.public_key,
        PRESHARED_KEY,
        frozenset({ipaddress.ip_network(f"10.77.0.{number}/32"), ipaddress.ip_network(f"fd5a::{number}/128")}),
        frozenset(map(ipaddress.ip_network, networks)),
        Endpoint.of(f"192.168.77.{number}", port),
        25,
    )


def apply(node: Node, private_key: PrivateKey, device: DesiredDevice, stored_port: int | None = None) -> Turn:
    """One life of the service: opens the device, applies once, and lets go of it."""

    async def body() -> Turn:
        async with open_device("wg0", private_key, node.state) as real:
            return await Reconciler(real, private_key.public_key, stored_port).turn(device, time.time())

    return node.run(body)


def observe(node: Node, private_key: PrivateKey) -> ObservedDevice | None:
    async def body() -> ObservedDevice | None:
        async with open_device("wg0", private_key, node.state) as real:
            return await real.observe()

    return node.run(body)


def test_two_devices_applied_through_the_plan_ping_each_other(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    apply(b, KEY_B, desired(2, peer(KEY_A, 1)))
    turn = apply(a, KEY_A, desired(1, peer(KEY_B, 2)))
    assert turn.outcome.peer_failures == () and turn.skipped == ()
    assert "1 received" in a.call("ping", "-c1", "-W3", "10.77.0.2")
    assert "1 received" in a.call("ping", "-c1", "-W3", "fd5a::2")
    seen = observe(a, KEY_A)
    assert seen is not None and seen.peers[0].handshake_at is not None


def test_applying_the_same_device_twice_does_nothing(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    device = desired(1, peer(KEY_B, 2, "192.168.99.0/24", "fd99::/64"))
    assert apply(a, KEY_A, device).outcome.actions
    assert apply(a, KEY_A, device).outcome.actions == ()


def test_the_back_end_is_chosen_by_what_the_machine_has(nodes: tuple[Node, Node]) -> None:
    device = apply(nodes[0], KEY_A, desired(1)).outcome.device
    assert device is not None
    assert device.backend == ("kernel" if "kernel" in BACKENDS else "wireguard-go")


def test_five_hundred_peers_are_set_and_read_back_whole(nodes: tuple[Node, Node]) -> None:
    peers = [
        DesiredPeer(
            PrivateKey(number.to_bytes(16, "big") * 2).public_key,
            PRESHARED_KEY,
            frozenset({ipaddress.ip_network(f"10.77.{number >> 8}.{number & 255}/32")}),
        )
        for number in range(2000, 2500)
    ]
    device = desired(1, *peers)
    outcome = apply(nodes[0], KEY_A, device).outcome
    assert outcome.device is not None and len(outcome.device.peers) == 500
    assert apply(nodes[0], KEY_A, device).outcome.actions == ()
    assert apply(nodes[0], KEY_A, desired(1, *peers[:3])).outcome.device != outcome.device
    left = observe(nodes[0], KEY_A)
    assert left is not None and {p.public_key for p in left.peers} == {p.public_key for p in peers[:3]}


def test_an_allowed_ip_moves_from_one_peer_to_another(nodes: tuple[Node, Node]) -> None:
    third = PrivateKey(bytes([3] * 32))
    before = desired(1, peer(KEY_B, 2, "172.20.0.0/16"), peer(third, 3))
    after = desired(1, peer(KEY_B, 2), peer(third, 3, "172.20.0.0/16"))
    apply(nodes[0], KEY_A, before)
    outcome = apply(nodes[0], KEY_A, after).outcome
    assert outcome.device is not None
    owners = {p.public_key for p in outcome.device.peers if ipaddress.ip_network("172.20.0.0/16") in p.allowed_ips}
    assert owners == {third.public_key}
    assert apply(nodes[0], KEY_A, after).outcome.actions == ()


def test_an_advertised_route_carries_traffic_and_goes_when_it_is_withdrawn(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    b.call("ip", "addr", "add", "172.20.0.1/32", "dev", "lo")
    apply(b, KEY_B, desired(2, peer(KEY_A, 1)))
    apply(a, KEY_A, desired(1, peer(KEY_B, 2, "172.20.0.0/16")))
    assert "1 received" in a.call("ping", "-c1", "-W3", "172.20.0.1")
    assert f"proto {ROUTE_PROTOCOL} " in a.call("ip", "-N", "route", "show", "172.20.0.0/16")
    apply(a, KEY_A, desired(1, peer(KEY_B, 2)))
    assert a.call("ip", "route", "show", "172.20.0.0/16") == ""


@pytest.mark.parametrize("network", ["192.168.77.0/24", "192.168.77.2/32", "192.168.0.0/16", "0.0.0.0/0", "fd77::/64"])
def test_an_advertised_route_never_takes_the_local_network(nodes: tuple[Node, Node], network: str) -> None:
    a, _ = nodes
    before = a.call("ip", "route") + a.call("ip", "-6", "route")
    outcome = apply(a, KEY_A, desired(1, peer(KEY_B, 2, network))).outcome
    assert [str(route.network) for route in outcome.refused_routes] == [network]
    after = a.call("ip", "route") + a.call("ip", "-6", "route")
    assert set(before.splitlines()) <= set(after.splitlines())
    assert "1 received" in a.call("ping", "-c1", "-W3", "192.168.77.2")


def test_a_route_of_somebody_else_stays_when_ours_are_removed(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    apply(a, KEY_A, desired(1, peer(KEY_B, 2, "172.20.0.0/16")))
    a.call("ip", "route", "add", "172.21.0.0/16", "dev", "wg0", "proto", "static")
    outcome = apply(a, KEY_A, desired(1, peer(KEY_B, 2))).outcome
    assert outcome.device is not None and outcome.device.routes == frozenset()
    assert "172.21.0.0/16" in a.call("ip", "route")


def test_a_port_in_use_gives_way_to_the_next_free_one(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes

    async def body() -> Turn:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("0.0.0.0", 51820))
            async with open_device("wg0", KEY_A, a.state) as real:
                reconciler = Reconciler(real, KEY_A.public_key, None)
                return await reconciler.turn(replace(desired(1), reserved_ports=frozenset({51821})), time.time())

    device = a.run(body).outcome.device
    assert device is not None and device.listen_port == 51822
    assert ":51822 " in a.call("ss", "-Hlun")
    again = apply(a, KEY_A, desired(1)).outcome
    assert again.device is not None and again.device.listen_port == 51822 and again.actions == ()


def test_a_device_that_was_set_down_by_hand_is_brought_back_whole(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    device = desired(1, peer(KEY_B, 2, "172.20.0.0/16", "fd99::/64"))
    apply(a, KEY_A, device)
    a.call("ip", "link", "set", "wg0", "down")
    outcome = apply(a, KEY_A, device).outcome
    assert outcome.device is not None and outcome.device.up
    assert len(outcome.device.addresses) == 2 and len(outcome.device.routes) == 2


def test_a_removed_device_leaves_the_host_as_it_was(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    before = a.call("ip", "route") + a.call("ip", "-6", "route") + a.call("ip", "-br", "link")

    async def body() -> None:
        async with open_device("wg0", KEY_A, a.state) as real:
            reconciler = Reconciler(real, KEY_A.public_key, None)
            await reconciler.turn(desired(1, peer(KEY_B, 2, "172.20.0.0/16")), time.time())
            await reconciler.remove()

    a.run(body)
    assert a.call("ip", "route") + a.call("ip", "-6", "route") + a.call("ip", "-br", "link") == before
    assert list(a.sockets.iterdir()) == [] and list(a.state.iterdir()) == []


@pytest.mark.parametrize("kind", ["bridge", "vxlan id 7 dstport 4789"])
def test_an_interface_of_another_kind_is_refused_and_not_touched(nodes: tuple[Node, Node], kind: str) -> None:
    a, _ = nodes
    a.call("ip", "link", "add", "wg0", "type", *kind.split())
    before = a.call("ip", "-d", "link", "show", "wg0")
    with pytest.raises(AlreadyRunning, match=kind.split()[0]):
        apply(a, KEY_A, desired(1))
    assert a.call("ip", "-d", "link", "show", "wg0") == before


def test_a_device_with_another_key_is_refused_and_not_touched(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    apply(a, KEY_B, desired(2, peer(KEY_A, 1)))
    before = observe(a, KEY_B)
    with pytest.raises(AlreadyRunning, match="not this node's"):
        apply(a, KEY_A, desired(1))
    assert observe(a, KEY_B) == before


def test_a_device_without_a_key_is_refused_unless_it_is_our_own_unfinished_one(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    add_keyless_device(a)
    with pytest.raises(AlreadyRunning, match="no key"):
        apply(a, KEY_A, desired(1))
    assert "wg0" in a.call("ip", "-br", "link")
    (a.state / "wg0.creating").touch()
    assert apply(a, KEY_A, desired(1)).outcome.device is not None


def add_keyless_device(node: Node) -> None:
    if "kernel" in BACKENDS:
        node.call("ip", "link", "add", "wg0", "type", "wireguard")
        return

    async def body() -> None:
        async with open_userspace_tunnel("wg0") as tunnel:
            await start_program("wg0", tunnel)

    node.run(body)


class Service:
    """The wireguard service as a process of its own in a node."""

    def __init__(self, node: Node, *flags: str) -> None:
        self._run = node.directory / "run"
        self._run.mkdir(exist_ok=True)
        self.socket = self._run / "wireguard.sock"
        script = Path(__file__).parents[1] / "support" / "wireguard_service.py"
        command = node.command(sys.executable, str(script), str(self._run), str(node.state), *flags)
        self.process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)

    async def apply(self, device: DesiredDevice) -> ApplyOutcome:
        async with WireGuardClient(self.socket) as client:
            while True:
                try:
                    return await client.apply_device(device)
                except NotReady:
                    assert self.process.poll() is None, "the service ended"
                    await asyncio.sleep(0.02)

    def stop(self, number: int) -> int:
        """Signals the whole group, as a terminal or a service manager would."""
        os.killpg(self.process.pid, number)
        return self.process.wait(timeout=10)


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

    pings = await asyncio.create_subprocess_exec(
        *a.command("ping", "-q", "-i", "0.02", "-c", "100", "10.77.0.2"), stdout=subprocess.PIPE
    )
    await asyncio.sleep(0.3)
    first.stop(signal.SIGKILL)
    await asyncio.sleep(0.3)
    outcome = await services(a).apply(wanted)
    output, _ = await pings.communicate()
    assert b" 0% packet loss" in output, output
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


async def test_a_lost_device_is_published_and_made_again_with_the_same_port_and_key(
    nodes: tuple[Node, Node], services: Callable[..., Service]
) -> None:
    a, _ = nodes
    service = services(a)
    wanted = desired(1, port=51830)
    before = (await service.apply(wanted)).device
    async with WireGuardClient(service.socket) as client:
        watch = client.watch_device()
        assert (await anext(watch)).device is not None
        a.call("ip", "link", "del", "wg0")
        while (seen := await anext(watch)).device is not None:
            pass
    after = (await service.apply(wanted)).device
    assert before is not None and after is not None
    assert after.listen_port == before.listen_port == 51830
    assert seen.identity.mesh_ipv4 == ipaddress.ip_address("10.77.0.1")


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
    assert time.monotonic() - started_at < 2.0


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
