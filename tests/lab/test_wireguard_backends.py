"""The real device in network namespaces: every test runs on each back end that this machine has."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.namespace import Node, two_nodes
from wgmesh.core.model import DesiredDevice, DesiredPeer, Endpoint, ObservedDevice, PresharedKey
from wgmesh.core.private_key import PrivateKey
from wgmesh.wireguard.io.backend import open_device
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


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
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


if shutil.which("wireguard-go") is None and not _kernel_has_wireguard():  # pragma: no cover
    pytest.skip("no WireGuard on this machine", allow_module_level=True)
