"""Nodes that share nothing but a DHT: how long until packets flow."""

from __future__ import annotations

import time

from bench.tunnels import PING_STEP_S, TIMEOUT_S
from support.swarm import INTERNET, Swarm
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for


def first_ping_s(cached: bool) -> float:
    """Seconds from the exec of `wgmesh join` on a second machine in another subnet to its first ping of the first.

    The two share a secret and the bootstrap address of a private swarm of seven. With `cached` the second has met the
    first in an earlier run, and every way into the swarm is dead.
    """
    with Fabric() as fabric:
        fabric.add_lan("office")
        swarm = Swarm(fabric)
        fabric.add_router("router", ["lan", "office", INTERNET])
        swarm.start()
        flags = ("--no-stun", "--dht-bootstrap", swarm.bootstrap)
        secret = new_secret()
        first = MeshNode(fabric.add_host("first", "lan"), secret, *flags)
        second = MeshNode(fabric.add_host("second", "office"), secret, *flags)
        first.start()
        address = first.wait_until_ready(TIMEOUT_S).mesh_ipv4
        if cached:
            second.start()
            wait_for_full_mesh([first, second])
            second.running_process().stop()
            swarm.kill_bootstrap()
        time.sleep(3.0)  # the first node is at rest, as one that has been running for days
        with Pinger([second.host]) as pinger:
            started_at = time.perf_counter()
            second.start()
            target = [Target("second", address)]
            wait_for(lambda: pinger.ping(target, PING_STEP_S), TIMEOUT_S, "the first ping", poll_s=PING_STEP_S)
            return time.perf_counter() - started_at
