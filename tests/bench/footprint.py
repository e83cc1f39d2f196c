"""What two connected nodes cost a machine while nothing happens."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, program, wait_for_full_mesh

SETTLE_S = 10.0  # start-up work and the first exports are over
IDLE_S = 60.0
USERSPACE_WIREGUARD = "wireguard-go"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Per node in MB; processor time in percent of one processor, for both nodes together."""

    pss_mb: float
    pss_by_process_mb: dict[str, float]
    idle_cpu_percent: float
    idle_cpu_by_process_percent: dict[str, float]
    idle_cpu_with_wireguard_percent: float
    cli_status_s: list[float]


def process_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def pss_mb(pid: int) -> float:
    """The proportional set size (proc(5), smaps_rollup): pages that processes share count once over all."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found.group(1)) / 1024 if found else 0.0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # utime and stime (proc(5)), counted from the name's end


def two_idle_nodes(*flags: str) -> Footprint:
    """Measures two connected nodes, joined with these flags, over a minute."""
    with Fabric() as fabric:
        secret = new_secret()
        nodes = [MeshNode(host, secret, *flags) for host in fabric.add_hosts(["a", "b"])]
        for node in nodes:
            node.start()
        wait_for_full_mesh(nodes)
        time.sleep(SETTLE_S)
        pids = [pid for node in nodes for pid in node.host.pids()]
        ours = [pid for pid in pids if process_name(pid) != USERSPACE_WIREGUARD]
        before = {pid: _cpu_s(pid) for pid in pids}
        began_at = time.monotonic()
        time.sleep(IDLE_S)
        spent = {pid: _cpu_s(pid) - before[pid] for pid in pids}
        elapsed_s = time.monotonic() - began_at
        one_node = [pid for pid in nodes[0].host.pids() if pid in ours]
        return Footprint(
            pss_mb=sum(pss_mb(pid) for pid in ours) / len(nodes),
            pss_by_process_mb={process_name(pid): round(pss_mb(pid), 1) for pid in one_node},
            idle_cpu_percent=100 * sum(spent[pid] for pid in ours) / elapsed_s,
            idle_cpu_by_process_percent={process_name(pid): round(100 * spent[pid] / elapsed_s, 2) for pid in one_node},
            idle_cpu_with_wireguard_percent=100 * sum(spent.values()) / elapsed_s,
            cli_status_s=[_timed_status(nodes[0]) for _ in range(11)],
        )


def _timed_status(node: MeshNode) -> float:
    """One `wgmesh status --json` against a running node, without the time to enter its namespace."""
    environment = os.environ | {"WGMESH_SOCKET": str(node.socket_path)}
    began_at = time.perf_counter()
    subprocess.run([program(), "status", "--json"], env=environment, capture_output=True, check=True)
    return time.perf_counter() - began_at
