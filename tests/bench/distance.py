"""Nodes that share nothing but a DHT: how long until packets flow."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.tunnels import PING_STEP_S, TIMEOUT_S
from support.lab.swarm import INTERNET, Swarm
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for

REST_S = 3.0  # the first node is at rest, as one that has been running for days


@dataclass(frozen=True, slots=True)
class _WayIn:
    """How nodes enter a DHT, and how that way is closed."""

    flags: tuple[str, ...]
    close: Callable[[], None]


def first_ping_over_mainline_s(cached: bool) -> float:
    """Seconds from the exec of `wgmesh join` on a second machine in another subnet to its first ping of the first.

    The two share a secret and the bootstrap address of a private Mainline swarm of seven. With `cached` the second has
    met the first in an earlier run, and the way into the swarm is dead.
    """
    with Fabric() as fabric:
        fabric.add_lan("office")
        swarm = Swarm(fabric)
        fabric.add_router("router", ["lan", "office", INTERNET])
        swarm.start()
        way_in = _WayIn(("--dht-bootstrap", swarm.bootstrap), swarm.kill_bootstrap)
        return _first_ping_s(fabric, new_secret(), way_in, cached)


def first_ping_over_private_dht_s(cached: bool) -> float:
    """The same where the DHT is the mesh's own: all that the two share beside the secret is the address of a third."""
    with Fabric() as fabric:
        for name in ("office", "plant"):
            fabric.add_lan(name)
        fabric.add_router("router", ["lan", "office", "plant"])
        secret = new_secret()
        hub_host = fabric.add_host("hub", "plant")
        flags = ("--private-dht", f"{hub_host.ipv4}:{derive(Secret(secret)).dht_port}")
        hub = MeshNode(hub_host, secret, "--no-stun", *flags)
        hub.start()
        hub.wait_until_ready(TIMEOUT_S)
        return _first_ping_s(fabric, secret, _WayIn(flags, lambda: hub.running_process().kill()), cached)


def _first_ping_s(fabric: Fabric, secret: str, way_in: _WayIn, cached: bool) -> float:
    flags = ("--no-stun", *way_in.flags)
    first = MeshNode(fabric.add_host("first", "lan"), secret, *flags)
    second = MeshNode(fabric.add_host("second", "office"), secret, *flags)
    first.start()
    address = first.wait_until_ready(TIMEOUT_S).mesh_ipv4
    if cached:
        second.start()
        wait_for_full_mesh([first, second])
        second.running_process().stop()
        way_in.close()
    time.sleep(REST_S)
    with Pinger([second.host]) as pinger:
        started_at = time.perf_counter()
        second.start()
        target = [Target("second", address)]
        wait_for(lambda: pinger.ping(target, PING_STEP_S), TIMEOUT_S, "the first ping", poll_s=PING_STEP_S)
        return time.perf_counter() - started_at
