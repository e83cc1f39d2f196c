"""A stop at any moment ends in order: no traceback, no failure, and nothing that appears after the end."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from support.lab.meshes import start_nodes
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, program
from wgmesh.demo.waiting import wait_for

STAGES = ("child=node", "service ready", "device changed", "node ready", "probe server listening", "peer sighted")
SLOW = """#!/bin/sh
echo started >>{marks}
sleep 2
echo goes on >>{marks}
exec {program} "$@"
"""


def faults(node: MeshNode) -> list[str]:
    """The lines of its log that speak of something that went wrong."""
    words = ("Traceback", "CancelledError", "never retrieved", " error ")
    return [line for line in node.running_process().output().splitlines() if any(word in line for word in words)]


def times_said(node: MeshNode, text: str) -> int:
    """All starts of a node have one log."""
    return node.running_process().output().count(text)


def slow_program(directory: Path) -> tuple[Path, Path]:
    """A userspace WireGuard that takes its time to start, and the file where it says how far it is."""
    slow, marks = directory / "slow-wireguard", directory / "marks"
    slow.write_text(SLOW.format(marks=marks, program=shutil.which("wireguard-go")))
    slow.chmod(0o755)
    marks.touch()
    marks.chmod(0o666)
    return slow, marks


def test_a_stop_while_the_device_is_being_made_leaves_none_also_not_later(fabric: Fabric) -> None:
    host = fabric.add_hosts(["a"])[0]
    slow, marks = slow_program(host.directory)
    node = MeshNode(host, new_secret(), environment={"WG_QUICK_USERSPACE_IMPLEMENTATION": str(slow)})
    process = node.start()
    wait_for(lambda: "started" in marks.read_text(), PATIENCE_S, "the program is being started")

    assert process.stop() == 0

    assert "goes on" in marks.read_text()  # it was waited for, so nothing is left that could make a device now
    assert "wg0" not in host.ip("-brief", "link")
    assert host.pids() == []
    assert faults(node) == []


def test_a_stop_at_any_moment_of_a_start_has_no_traceback(fabric: Fabric) -> None:
    a, b = start_nodes(fabric, ["a", "b"], "--log-level", "debug")
    for stage in STAGES:
        assert a.running_process().stop() == 0
        before = times_said(a, stage)
        a.start()
        wait_for(lambda stage=stage, n=before: times_said(a, stage) > n, PATIENCE_S, f"it is at: {stage}")  # type: ignore[misc]
    assert a.running_process().stop() == 0
    assert faults(a) == []
    assert faults(b) == []


def test_a_stop_while_calls_wait_for_a_service_that_hangs_has_no_traceback(fabric: Fabric) -> None:
    a, b = start_nodes(fabric, ["a", "b"], "--log-level", "debug")
    for service in ("wireguard", "discovery"):
        pid = a.service_pids()[service]
        a.host.exec("kill", f"-{signal.SIGSTOP.value}", str(pid))
        asked = a.host.spawn(
            program(), "test-peer", "192.0.2.9", "--socket-path", str(a.socket_path), name=f"asking-{service}"
        )
        assert b.running_process().stop() == 0  # news for the node, which it cannot pass on
        b.start()
        assert a.running_process().stop() == 0
        asked.wait(PATIENCE_S)
        assert faults(a) == []
        a.start()
        a.wait_until_ready()
