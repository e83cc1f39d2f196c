"""The pure parts and the start of the program, without a network."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace

from wgmesh.core.model import (
    DesiredDevice,
    DesiredPeer,
    Endpoint,
    ObservedDevice,
    ObservedPeer,
    PresharedKey,
    PublicKey,
)
from wgmesh.core.wire.envelope import open_envelope, seal
from wgmesh.demo.nodes import program
from wgmesh.wireguard.plan import plan

PEER_COUNT = 1000
NOW = 1_800_000_000.0
_PAYLOAD: dict[str, object] = {
    "protocol": "wgmesh-v1",
    "timestamp": int(NOW),
    "wg_pubkey": PublicKey(bytes(range(32))).text,
    "hostname": "machine",
    "mesh_ip": "10.77.1.2",
    "mesh_ipv6": "fd00:77::2",
    "wg_endpoint": "192.0.2.1:51820",
}


def per_second(work: Callable[[], object], duration_s: float = 1.0) -> float:
    """How often `work` runs in a second."""
    count = 0
    began_at = time.perf_counter()
    while (elapsed_s := time.perf_counter() - began_at) < duration_s:
        for _ in range(100):
            work()
        count += 100
    return count / elapsed_s


def seals_per_second() -> float:
    key, nonce = os.urandom(32), os.urandom(12)
    return per_second(lambda: seal("HELLO", _PAYLOAD, key, nonce))


def opens_per_second() -> float:
    key = os.urandom(32)
    datagram = seal("HELLO", _PAYLOAD, key, os.urandom(12))
    return per_second(lambda: open_envelope(datagram, key, NOW))


def _device() -> tuple[DesiredDevice, ObservedDevice]:
    """A device of a thousand peers as it should be, and the same as it is."""
    psk = PresharedKey(bytes(32))
    desired, observed = [], []
    for number in range(PEER_COUNT):
        key = PublicKey(number.to_bytes(32, "big"))
        own = frozenset(
            (
                ipaddress.ip_network((0x0A4D0000 + number, 32)),
                ipaddress.ip_network(((0xFD77 << 112) + number, 128)),
            )
        )
        endpoint = Endpoint(ipaddress.ip_address(0xC0000200 + number % 250), 51820)
        desired.append(DesiredPeer(key, psk, own, endpoint=endpoint, persistent_keepalive_s=25))
        observed.append(ObservedPeer(key, endpoint, own, 25, NOW - 60, 1, 1, psk))
    addresses = (ipaddress.ip_interface("10.77.255.1/16"),)
    return (
        DesiredDevice(addresses, 51820, 1420, peers=tuple(desired)),
        ObservedDevice("wg0", "kernel", 51820, addresses, 1420, tuple(observed)),
    )


def plan_s() -> dict[str, list[float]]:
    """Seconds of several plans of a thousand peers: nothing to do, one peer moved, and an empty device to fill."""
    desired, observed = _device()
    moved = replace(observed.peers[0], endpoint=Endpoint(ipaddress.ip_address("192.0.2.255"), 1), handshake_at=None)
    cases = {
        "steady": observed,
        "one_moved": replace(observed, peers=(moved, *observed.peers[1:])),
        "all_new": replace(observed, peers=()),
    }
    expected_actions = {"steady": 0, "one_moved": 1, "all_new": PEER_COUNT}
    spans = {}
    for name, current in cases.items():
        runs = []
        for _ in range(7):
            began_at = time.perf_counter()
            actions = plan(desired, current, NOW)
            runs.append(time.perf_counter() - began_at)
            if len(actions) != expected_actions[name]:
                raise AssertionError(f"{name}: {len(actions)} actions, not {expected_actions[name]}")
        spans[name] = runs
    return spans


def version_s() -> list[float]:
    """Seconds of several `wgmesh version`."""
    runs = []
    for _ in range(11):
        began_at = time.perf_counter()
        subprocess.run([program(), "version"], capture_output=True, check=True)
        runs.append(time.perf_counter() - began_at)
    return runs
