"""What nodes cost a machine: memory of one that is alone, and processor time while nothing happens."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, program, wait_for_full_mesh

SETTLE_S = 10.0  # start-up work and the first exports are over
REST_S = 75.0  # a node of the DHT looks for others every 1.5 s in its first minute
IDLE_S = 60.0
USERSPACE_WIREGUARD = "wireguard-go"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MAPPED, _FRAME = 1 << 63, (1 << 55) - 1  # an entry of /proc/PID/pagemap (proc(5)): one for each page


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one node, in MB. `pages` counts every page that its processes map once, also where others map it too."""

    pss: float
    pss_by_process: dict[str, float]
    pages: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Processor time of two nodes in percent of one processor."""

    cpu_percent: float
    cpu_by_process_percent: dict[str, float]
    cpu_with_wireguard_percent: float


def process_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def pss_mb(pid: int) -> float:
    """The proportional set size (proc(5), smaps_rollup): pages that processes share count once over all."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found.group(1)) / 1024 if found else 0.0


def cpu_s(pid: int) -> float:
    """Processor time of a process and of the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS_PER_S  # utime to cstime (proc(5)), counted from the name


def threads_cpu_s(pid: int) -> float:
    """Processor time of the threads that a process has, from the scheduler's own count (schedstat: nanoseconds).

    Over a minute of rest the ticks of stat(5) are too coarse for processes that wake up for microseconds.
    """
    counts = [path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(map(int, counts)) / 1e9


def own_pids(host: Host) -> list[int]:
    """The processes of a node without the userspace WireGuard."""
    return [pid for pid in host.pids() if process_name(pid) != USERSPACE_WIREGUARD]


def lone_node(*flags: str) -> Memory:
    """Measures a node, joined with these flags, beside which no other runs in this program's lab."""
    with Fabric() as fabric:
        (host,) = fabric.add_hosts(["a"])
        node = MeshNode(host, new_secret(), *flags)
        node.start()
        node.wait_until_ready()
        time.sleep(SETTLE_S)
        pids = own_pids(host)
        by_process = {process_name(pid): round(pss_mb(pid), 1) for pid in pids}
        return Memory(sum(map(pss_mb, pids)), by_process, _pages_mb(pids))


def _pages_mb(pids: Iterable[int]) -> float:
    frames: set[int] = set()
    for pid in pids:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb") as pagemap:
            for line in maps:
                first, last = (int(address, 16) // _PAGE_BYTES for address in line.split()[0].split("-"))
                pagemap.seek(8 * first)
                entries = struct.iter_unpack("=Q", pagemap.read(8 * (last - first)))
                frames.update(entry & _FRAME for (entry,) in entries if entry & _MAPPED)
    return len(frames - {0}) * _PAGE_BYTES / 2**20  # without root all frames look like 0


def two_idle_nodes(*flags: str) -> Idle:
    """Measures two connected nodes, joined with these flags, over a minute."""
    with Fabric() as fabric:
        secret = new_secret()
        nodes = [MeshNode(host, secret, *flags) for host in fabric.add_hosts(["a", "b"])]
        for node in nodes:
            node.start()
        wait_for_full_mesh(nodes)
        time.sleep(REST_S)
        ours = [pid for node in nodes for pid in own_pids(node.host)]
        pids = [pid for node in nodes for pid in node.host.pids()]
        before = {pid: threads_cpu_s(pid) for pid in pids}
        began_at = time.monotonic()
        time.sleep(IDLE_S)
        spent = {pid: threads_cpu_s(pid) - before[pid] for pid in pids}
        elapsed_s = time.monotonic() - began_at
        one_node = own_pids(nodes[0].host)
        return Idle(
            cpu_percent=100 * sum(spent[pid] for pid in ours) / elapsed_s,
            cpu_by_process_percent={process_name(pid): round(100 * spent[pid] / elapsed_s, 2) for pid in one_node},
            cpu_with_wireguard_percent=100 * sum(spent.values()) / elapsed_s,
        )


def status_s() -> list[float]:
    """Seconds of several `wgmesh status --json` against a node at rest."""
    with Fabric() as fabric:
        node = MeshNode(fabric.add_host("a"), new_secret())
        node.start()
        node.wait_until_ready()
        time.sleep(SETTLE_S)
        return [_timed_status(node) for _ in range(11)]


def _timed_status(node: MeshNode) -> float:
    """One `wgmesh status --json` against a running node, without the time to enter its namespace."""
    environment = os.environ | {"WGMESH_SOCKET": str(node.socket_path)}
    began_at = time.perf_counter()
    subprocess.run([program(), "status", "--json"], env=environment, capture_output=True, check=True)
    return time.perf_counter() - began_at
