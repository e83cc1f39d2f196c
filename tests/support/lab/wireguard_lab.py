"""Two real devices on one wire: what the lab tests of the wireguard service share."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import subprocess
import sys
import time
from pathlib import Path

from support.devices import LIMITS
from support.lab.namespace import Node
from support.waiting import PATIENCE_S
from wgmesh.client.wireguard import WireGuardClient
from wgmesh.core.errors import NotReady
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import ApplyOutcome, DesiredDevice, DesiredPeer, Endpoint, ObservedDevice, PresharedKey
from wgmesh.runtime.callers import socket_path
from wgmesh.wireguard.io.backend import open_device
from wgmesh.wireguard.reconciler import Reconciler, Turn

KEY_A, KEY_B = PrivateKey(bytes([1] * 32)), PrivateKey(bytes([2] * 32))
PRESHARED_KEY = PresharedKey(bytes([7] * 32))


def kernel_has_wireguard() -> bool:
    command = ["unshare", "--net", "ip", "link", "add", "wg0", "type", "wireguard"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


BACKENDS = ["kernel"] if os.geteuid() == 0 and kernel_has_wireguard() else ["userspace"]


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
        async with open_device("wg0", private_key, LIMITS.mesh, node.state) as real:
            return await Reconciler(real, private_key.public_key, stored_port, LIMITS).turn(device, time.time())

    return node.run(body)


def observe(node: Node, private_key: PrivateKey) -> ObservedDevice | None:
    async def body() -> ObservedDevice | None:
        async with open_device("wg0", private_key, LIMITS.mesh, node.state) as real:
            return await real.observe()

    return node.run(body)


class Service:
    """The wireguard service as a process of its own in a node."""

    def __init__(self, node: Node, *flags: str) -> None:
        self._run = node.directory / "run"
        self._run.mkdir(exist_ok=True)
        self.socket = socket_path(self._run, "wireguard", "node")
        script = Path(__file__).parents[1] / "programs" / "wireguard_service.py"
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
        return self.process.wait(PATIENCE_S)
