"""A clock that is set while a node runs, by any amount: the mesh goes on, and says what is wrong only while it is.

Timers and ages follow the time since the host's start, which nobody can set. What crosses to other hosts, to files and
to people is dated by the clock as it stands.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import ExitStack
from datetime import datetime
from functools import partial

import pytest
from pages.faults import Observe, Observed
from support.lab.clocks import Clock
from support.lab.meshes import CONNECTED, is_useful
from support.lab.pings import RunningPing
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

HOUR_S, DAY_S, TEN_YEARS_S = 3600, 86400, 3652 * 86400
JOIN_S = 10.0  # two announcements on the LAN come within
# A node takes a turn with every look at a device that carries traffic, and those are 10 s apart at most: what a jump
# would break has then been judged, and removed.
TURN_S = 12.0
FLAGS = ("--no-stun", "--no-dht")


def warnings(node: MeshNode) -> dict[str, str]:
    shown = node.cli("status", "--json")
    status = json.loads(shown.stdout) if shown.stdout else {}
    return {each["code"]: each["text"] for each in status.get("warnings", ())}


def all_dates(shown: str) -> list[float]:
    """All times in what a command shows, at any depth, in Unix seconds."""
    return [datetime.fromisoformat(each).timestamp() for each in re.findall(r'"(\d{4}-\d\d-\d\dT[^"]+)"', shown)]


def is_set(node: MeshNode, offset_s: float) -> bool:
    """Whether a node dates what it shows by a clock that is `offset_s` ahead of ours."""
    status = node.status()
    return status is not None and abs(status.start_time.seconds - offset_s - time.time()) < HOUR_S / 2


def stays_connected(nodes: list[MeshNode], for_s: float) -> bool:
    """Looks again and again whether each is connected with each, for as long as it takes to break."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        if not all(len(node.peers()) == 2 and all(each.state == CONNECTED for each in node.peers()) for node in nodes):
            return False
    return True


@pytest.mark.fault("The clock", "it is set by an hour, a day or ten years, forward and back")
def test_a_clock_that_is_set_by_any_amount_costs_no_ping_and_no_tunnel(fabric: Fabric, observe: Observe) -> None:
    secret = new_secret()
    host, *others = fabric.add_hosts(["a", "b", "c"])
    clock = Clock(host.directory / "clock")
    a = MeshNode(host, secret, *FLAGS, environment=clock.environment)
    b, c = (MeshNode(each, secret, *FLAGS) for each in others)
    for node in (a, b, c):
        node.start()
    wait_for_full_mesh([a, b, c])
    with ExitStack() as running:
        pairs = [(a, b), (a, c), (b, a), (c, a)]
        pings = [
            running.enter_context(RunningPing(source.host, target.wait_until_ready().mesh_ipv4))
            for source, target in pairs
        ]
        for offset_s in (-HOUR_S, HOUR_S, -DAY_S, DAY_S, TEN_YEARS_S, 0):
            clock.set(offset_s)
            wait_for(lambda offset_s=offset_s: is_set(a, offset_s), PATIENCE_S, f"a's clock is {offset_s} s ahead")  # type: ignore[misc]
            assert stays_connected([a, b, c], TURN_S), f"all is as it was with a clock {offset_s} s ahead"
            for command in (["status"], ["peers", "list"], ["peers", "get", "b"]):
                dates = all_dates(a.cli(*command, "--json").stdout)
                assert dates and all(abs(at - offset_s - time.time()) < HOUR_S / 2 for at in dates), command
    observe(Observed(sum(len(ping.lost) for ping in pings), shown="warning `clock-skew` while it is wrong"))
    assert [ping.lost for ping in pings] == [[]] * len(pairs)


@pytest.mark.fault("The clock", "it is set by an hour, and then services are killed")
def test_each_service_may_be_killed_after_the_clock_was_set_and_no_tunnel_is_lost(
    fabric: Fabric, observe: Observe
) -> None:
    """What a new process is told by the others, and what the device tells it, is from before the jump."""
    secret = new_secret()
    host, other, third = fabric.add_hosts(["a", "b", "c"])
    clock = Clock(host.directory / "clock")
    a = MeshNode(host, secret, *FLAGS, environment=clock.environment)
    b, c = MeshNode(other, secret, *FLAGS), MeshNode(third, secret, *FLAGS)
    for node in (a, b, c):
        node.start()
    wait_for_full_mesh([a, b, c])
    wait_for(lambda: remembers(a, "b", "c"), PATIENCE_S, "a would know its peers again")  # nobody answers a wrong clock
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        for offset_s in (HOUR_S, -HOUR_S):
            clock.set(offset_s)
            wait_for(lambda offset_s=offset_s: is_set(a, offset_s), PATIENCE_S, f"a's clock is {offset_s} s ahead")  # type: ignore[misc]
            for name in ("wireguard", "discovery", "node"):
                killed = a.service_pids()[name]
                os.kill(killed, signal.SIGKILL)
                back = partial(is_useful, a, name, killed, peers=2)
                wait_for(back, PATIENCE_S, f"{name} is back")
            assert stays_connected([a, b, c], TURN_S)
    observe(Observed(len(ping.lost)))
    assert ping.lost == []


def remembers(node: MeshNode, *names: str) -> bool:
    """Whether these are in the cache on the disk."""
    path = node.host.state_dir / "wg0-peers.json"
    peers = json.loads(path.read_text())["peers"] if path.exists() else None
    return {each["hostname"] for each in peers or ()} >= set(names)


@pytest.mark.fault("The clock", "a node starts an hour fast, and is corrected")
def test_a_node_that_booted_an_hour_fast_joins_within_seconds_of_being_corrected(
    fabric: Fabric, observe: Observe
) -> None:
    secret = new_secret()
    *hosts, fast_host = fabric.add_hosts(["a", "b", "fast"])
    clock = Clock(fast_host.directory / "clock", HOUR_S)
    a, b = (MeshNode(host, secret, *FLAGS) for host in hosts)
    fast = MeshNode(fast_host, secret, *FLAGS, environment=clock.environment)
    for node in (a, b, fast):
        node.start()
    wait_for(lambda: "clock-skew" in warnings(fast), PATIENCE_S, "its operator is told")
    wait_for(
        lambda: "refused-clock" in warnings(a) and "refused-clock" in warnings(b), PATIENCE_S, "the others are told"
    )
    assert not fast.peers()

    clock.set(0)
    since = time.monotonic()

    wait_for(
        lambda: len([each for each in fast.peers() if each.state == CONNECTED]) == 2,
        promised(JOIN_S),
        "it has joined the mesh",
    )
    told = "`clock-skew` there and `refused-clock` at the others, until it is right"
    observe(Observed(recovered_s=time.monotonic() - since, shown=told))
    for node in (a, b, fast):
        wait_for(
            lambda node=node: not {"clock-skew", "peer-clock-skew", "refused-clock"} & warnings(node).keys(),  # type: ignore[misc]
            PATIENCE_S,
            f"{node.name} warns of no clock any more",
        )
