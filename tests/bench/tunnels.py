"""How long real nodes on one LAN need until their packets flow."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from bench.footprint import cpu_s, own_pids
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, mesh_targets, new_secret
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.process import stop_all
from wgmesh.demo.waiting import wait_for

PING_STEP_S = 0.01  # between two tries of a ping: the resolution of these measurements
TIMEOUT_S = 60.0
# Without it the kernel would say at once that nobody listens there.
SWALLOW = "table inet lab_silence { chain arriving { type filter hook input priority 0; udp dport 3478 drop\n}\n}\n"
STUN_SERVER = Path(__file__).with_name("stun_server.py")


class Outside(Enum):
    """What there is beyond a LAN."""

    STUN = auto()
    """A router as default route, with an answering STUN server."""
    SILENCE = auto()
    """The same, and what is named as STUN server does not answer."""
    NOTHING = auto()
    """No default route, no DNS and no STUN."""


def first_ping_s(outside: Outside) -> float:
    """Seconds from the exec of `wgmesh join` on a second, new node to the first answered ping over mesh addresses.

    The first node is running.
    """
    with Fabric() as fabric:
        hosts = fabric.add_hosts(["first", "second"])
        flags: tuple[str, ...] = ()
        if outside is not Outside.NOTHING:
            router = fabric.add_host("router")
            stun = f"{router.ipv4}:3478"
            for host in hosts:
                host.ip("route", "add", "default", "via", str(router.ipv4))
            flags = ("--stun", stun)
            if outside is Outside.STUN:
                server = router.spawn(sys.executable, str(STUN_SERVER), stun, name="stun")
                wait_for(lambda: "listening" in server.output(), 10.0, "the STUN server listens")
            else:
                router.nft(SWALLOW)
        secret = new_secret()
        first, second = (MeshNode(host, secret, *flags) for host in hosts)
        first.start()
        address = first.wait_until_ready(TIMEOUT_S).mesh_ipv4
        time.sleep(1.0)  # the first node is at rest, as one that has been running for days
        target = [Target("second", address)]
        with Pinger([hosts[1]]) as pinger:
            started_at = time.perf_counter()
            second.start()
            wait_for(lambda: pinger.ping(target, PING_STEP_S), TIMEOUT_S, "the first ping", poll_s=PING_STEP_S)
            return time.perf_counter() - started_at


def _address(node: MeshNode) -> str:
    """A node's mesh address from its state file: to ask the node would be work for the processors that are measured."""
    if not node.state_file.exists():
        return ""
    return str(json.loads(node.state_file.read_text()).get("mesh_ip", ""))


@dataclass(frozen=True, slots=True)
class Convergence:
    """Seconds until all nodes ping all, and of a processor that each of them took until then."""

    after_last_s: float
    after_first_s: float
    cpu_s: float


def convergence(count: int, gap_s: float) -> Convergence:
    """Starts `count` new nodes, one every `gap_s` seconds, and waits until all ping all.

    The processor time is that of all processes of a node but the userspace WireGuard.
    """
    with Fabric() as fabric:
        secret = new_secret()
        nodes = [MeshNode(host, secret) for host in fabric.add_hosts([f"n{number}" for number in range(count)])]
        with Pinger([node.host for node in nodes]) as pinger:
            first_at = last_at = time.perf_counter()
            for node in nodes:
                if node is not nodes[0]:
                    time.sleep(gap_s)
                last_at = time.perf_counter()
                node.start()

            def complete() -> bool:
                addresses = {node.name: _address(node) for node in nodes}
                if not all(addresses.values()):
                    return False
                targets = mesh_targets(addresses)
                return len(pinger.ping(targets, 0.1)) == len(targets)

            wait_for(complete, TIMEOUT_S, f"{count} nodes ping each other", poll_s=0.05)
            done_at = time.perf_counter()
            spent_s = sum(cpu_s(pid) for node in nodes for pid in own_pids(node.host))
        stop_all(node.running_process() for node in nodes)
    return Convergence(done_at - last_at, done_at - first_at, spent_s / count)
