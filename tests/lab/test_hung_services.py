"""A process of a node that hangs is shown within 5 s and replaced within 8, and no working tunnel loses a packet."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest
from pages.faults import Observe, Observed
from support.lab.meshes import is_whole, start_nodes
from support.lab.metrics_page import ADDRESS, FLAGS
from support.lab.pings import RunningPing
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import SERVICES, MeshNode
from wgmesh.demo.waiting import wait_for

SHOWN_S = 5.0
REPLACED_S = 8.0
READY = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
except urllib.error.HTTPError as refusal:
    print(refusal.code, refusal.read().decode())
except OSError:
    print("no answer")
"""


@pytest.fixture(scope="module")
def mesh() -> Iterator[list[MeshNode]]:
    """Three connected nodes that all the faults of this module hit one after another."""
    with Fabric() as fabric:
        yield start_nodes(fabric, ["a", "b", "c"], *FLAGS)


def readiness(node: MeshNode) -> str:
    """What /readyz answers."""
    return node.host.exec(sys.executable, "-c", READY, f"http://{ADDRESS}/readyz").strip()


def names(node: MeshNode, service: str) -> bool:
    """Whether `status` names a process that does not run, with the exit code for it."""
    shown = node.cli("status", "--timeout", "2")
    said = shown.stdout + shown.stderr
    return shown.returncode == exits.RESTARTING and f"{service}: " in said and "Deadline" not in said


def is_replaced(node: MeshNode, service: str, hung: int) -> bool:
    return node.service_pids().get(service, hung) != hung and is_whole(node, peers=2)


@pytest.mark.fault("Processes of the node", "a service hangs (SIGSTOP)")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_hangs_is_shown_and_replaced_and_no_packet_is_lost(
    mesh: list[MeshNode], service: str, observe: Observe
) -> None:
    a, b, _ = mesh
    wait_for(lambda: is_whole(a, peers=2) and readiness(a) == "ready", PATIENCE_S, "the node is whole")
    hung = a.service_pids()[service]
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        os.kill(hung, signal.SIGSTOP)
        since = time.monotonic()
        wait_for(lambda: names(a, service), promised(SHOWN_S), f"status names {service}")
        shown_s = time.monotonic() - since
        ready = readiness(a)
        wait_for(lambda: is_replaced(a, service, hung), promised(REPLACED_S), f"{service} is replaced")
        replaced_s = time.monotonic() - since
    observe(Observed(len(ping.lost), replaced_s, f"{service} by `status`, with exit code 8, after {shown_s:.1f} s"))
    assert ping.lost == []
    assert ready == "no answer" if service == "metrics" else ready.startswith(f"503 not running: {service} (")


@pytest.mark.fault("Processes of the node", "all services hang at once")
def test_a_node_of_which_every_service_hangs_comes_back_and_no_packet_is_lost(
    mesh: list[MeshNode], observe: Observe
) -> None:
    a, b, _ = mesh
    wait_for(lambda: is_whole(a, peers=2), PATIENCE_S, "the node is whole")
    pids = set(a.service_pids().values())
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        since = time.monotonic()
        wait_for(lambda: not pids & set(a.host.pids()), promised(REPLACED_S), "all of them are killed")
        wait_for(lambda: is_whole(a, peers=2), PATIENCE_S, "the node is whole again")
        whole_s = time.monotonic() - since
    observe(Observed(len(ping.lost), whole_s))
    assert ping.lost == []


def test_between_two_starts_of_the_node_process_commands_say_which_it_is_and_not_that_there_is_none(
    mesh: list[MeshNode],
) -> None:
    a, *_ = mesh
    wait_for(lambda: is_whole(a, peers=2), PATIENCE_S, "the node is whole")
    said: list[str] = []

    def is_between() -> bool:
        """Each death in a row makes the wait for the next start longer, until a command falls into it."""
        if "node" in a.service_pids():
            a.kill_service("node")
        shown = a.cli("peers", "count")
        said.append(shown.stderr)
        return shown.returncode == exits.RESTARTING and "node: restarting for" in shown.stderr

    wait_for(is_between, PATIENCE_S, "the node process waits for its next start")
    assert not any("no wgmesh" in text for text in said)
    wait_for(lambda: is_whole(a, peers=2), PATIENCE_S, "the node is whole again")
