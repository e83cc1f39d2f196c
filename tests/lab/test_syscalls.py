"""The filters of system calls on a running node, as the kernel shows them."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

from support.lab.meshes import start_nodes
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.supervisor.io.syscall_filter import LIBRARY
from wgmesh.supervisor.syscalls import CONFINED

WITHOUT_LIBRARY = ("sh", "-c", 'mount --bind /dev/null "$1" && shift && exec "$@"', "sh")


def test_each_process_that_parses_has_a_filter_and_the_one_that_starts_programs_has_none(fabric: Fabric) -> None:
    node = start_nodes(fabric, ["a", "b"], "--metrics", "127.0.0.1:9090")[0]

    outside = filters(node.running_process().pid)

    counted = {name: filters(pid) - outside for name, pid in node.service_pids().items()}
    assert counted == {**dict.fromkeys(CONFINED, 1), "wireguard": 0}
    assert "not filtered" not in node.running_process().output()


def test_a_machine_without_the_library_runs_the_node_and_says_so_in_its_log_and_in_status(fabric: Fabric) -> None:
    node = MeshNode(fabric.add_host("a"), new_secret(), "--no-stun", "--no-dht")

    node.process = node.host.spawn(*WITHOUT_LIBRARY, str(library()), *node.join_argv(), name="join-wg0")
    node.wait_until_ready()

    assert f'system calls not filtered reason="{LIBRARY} is not installed"' in node.running_process().output()
    warnings = json.loads(node.cli("status", "--json").stdout)["warnings"]
    assert [warning["code"] for warning in warnings] == ["system-calls-not-filtered"]


def filters(pid: int) -> int:
    """How many filters a process has: those of a container in which the test may run, and its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Seccomp_filters:"))


def library() -> Path:
    assert ctypes.CDLL(LIBRARY)
    lines = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split()[-1]) for line in lines if "libseccomp" in line)
