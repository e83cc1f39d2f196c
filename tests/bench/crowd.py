"""Fifty real nodes on one machine: what a mesh says while nothing happens, and what a node of it takes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.footprint import own_pids, pss_mb
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.process import stop_all
from wgmesh.demo.waiting import wait_for

NODES = 50
RUNS = 3  # of the start; each takes five minutes
MEASURED_FOR_MEMORY = 10  # nodes: to read the maps of all processes takes long
MB = 1e6
GAP_S = 5.0  # between two starts: a newcomer is work for all others, and they share the processors of one machine
SETTLE_S = 900.0  # gossip has slowed down to its last pace
MEASURE_S = 300.0
DAY_S = 86400.0
# All namespaces of a machine share the kernel's tables of neighbours, 1024 entries for each family (arp(7)). Fifty
# nodes that are fifty machines to each other need 5,000, and what finds no room there is dropped.
NEIGHBOURS = {"gc_thresh3": 65536, "gc_thresh2": 32768, "gc_thresh1": 16384}
TUNNEL_BYTES = 60  # outer IPv4 and UDP headers, and WireGuard's own (paper, section 5.4.6), for a packet in the tunnel


@dataclass(frozen=True, slots=True)
class Sent:
    """What one node sends, in MB a day."""

    exchange: float
    gossip: float
    probes: float
    multicast: float
    wireguard: float

    @property
    def control(self) -> float:
        """All that the program sends to single addresses by itself, with what the tunnel adds to it."""
        return self.exchange + self.gossip + self.probes


@dataclass(frozen=True, slots=True)
class Crowd:
    """The times are of several crowds, the rest is of the nodes of the last."""

    converged_s: tuple[float, ...]
    """From the last start until all know all."""
    sent: tuple[Sent, ...]
    pss_mb: tuple[float, ...]


def fifty_idle_nodes(
    count: int = NODES, runs: int = RUNS, settle_s: float = SETTLE_S, measure_s: float = MEASURE_S
) -> Crowd:
    """Starts a mesh on one LAN several times, lets the last come to rest, and counts what each node of it sends."""
    converged_s = []
    for _ in range(runs - 1):
        with _crowd(count) as (_, took_s):
            converged_s.append(took_s)
    with _crowd(count) as (nodes, took_s):
        converged_s.append(took_s)
        time.sleep(settle_s)
        sent = _sent_in(nodes, measure_s)
        memory = tuple(_memory_mb(node) for node in nodes[:MEASURED_FOR_MEMORY])
    return Crowd(tuple(converged_s), sent, memory)


@contextmanager
def _crowd(count: int) -> Iterator[tuple[list[MeshNode], float]]:
    """A mesh in which all know all, and how long that took from the last start."""
    with _many_neighbours(), Fabric() as fabric:
        secret = new_secret()
        nodes = [
            MeshNode(host, secret, "--no-stun", "--no-dht")
            for host in fabric.add_hosts([f"n{i}" for i in range(count)])
        ]
        for node in nodes:
            if node is not nodes[0]:
                time.sleep(GAP_S)
            began_at = time.monotonic()
            node.start()
        wait_for(lambda: all(_is_complete(node, count) for node in nodes), 300.0, "all know all", poll_s=2.0)
        yield nodes, time.monotonic() - began_at
        stop_all(node.running_process() for node in nodes)


def _sent_in(nodes: list[MeshNode], measure_s: float) -> tuple[Sent, ...]:
    keys = derive(Secret(nodes[0].secret_file.read_text().strip()))
    for node in nodes:
        _count_packets(node.host, keys.gossip_port, keys.probe_port, keys.lan_port)
    before = [_counted(node.host) for node in nodes]
    time.sleep(measure_s)
    after = [_counted(node.host) for node in nodes]
    return tuple(
        _daily({name: late[name] - early[name] for name in early}, measure_s)
        for early, late in zip(before, after, strict=True)
    )


def _daily(counted: dict[str, float], span_s: float) -> Sent:
    a_day = DAY_S / span_s / MB
    return Sent(
        a_day * counted["exchange"],
        a_day * (counted["gossip"] + TUNNEL_BYTES * counted["gossip_packets"]),
        a_day * (counted["probes"] + TUNNEL_BYTES * counted["probes_packets"]),
        a_day * counted["multicast"],
        a_day * counted["wireguard"],
    )


def _memory_mb(node: MeshNode) -> float:
    return sum(map(pss_mb, own_pids(node.host)))


@contextmanager
def _many_neighbours() -> Iterator[None]:
    """Makes room for the neighbours of all nodes together, and takes it back."""
    files = [Path(f"/proc/sys/net/{family}/neigh/default/{name}") for family in ("ipv4", "ipv6") for name in NEIGHBOURS]
    before = [file.read_text() for file in files]
    try:
        for file in files:
            file.write_text(str(NEIGHBOURS[file.name]))
        yield
    finally:
        for file, text in zip(files, before, strict=True):
            file.write_text(text)


def _is_complete(node: MeshNode, count: int) -> bool:
    status = node.status()
    return status is not None and status.active_peer_count == count - 1


_RULES = {
    "exchange": 'oifname != "wg0" udp sport {exchange} ip daddr != 224.0.0.0/4',
    "exchange_ipv6": 'oifname != "wg0" udp sport {exchange} ip6 daddr != ff00::/8',
    "gossip": 'oifname "wg0" udp sport {exchange}',
    "probes": 'oifname "wg0" tcp sport {probe}',
    "probes_asked": 'oifname "wg0" tcp dport {probe}',
    "echoes": 'oifname "wg0" meta l4proto {{ icmp, ipv6-icmp }}',
    "multicast": "udp dport {lan}",
    "wireguard": 'oifname != "wg0" udp sport 51820',
}


def _count_packets(host: Host, exchange: int, probe: int, lan: int) -> None:
    rules = "\n".join(
        f'{match.format(exchange=exchange, probe=probe, lan=lan)} counter comment "{name}"'
        for name, match in _RULES.items()
    )
    host.nft(f"table inet lab_counts {{ chain leaving {{ type filter hook output priority 0;\n{rules}\n}}\n}}\n")


def _counted(host: Host) -> dict[str, float]:
    listed = host.exec("nft", "list", "table", "inet", "lab_counts")
    found = re.findall(r'counter packets (\d+) bytes (\d+) comment "(\w+)"', listed)
    counts = {name: (float(packets), float(size)) for packets, size, name in found}
    probes = [counts["probes"], counts["probes_asked"], counts["echoes"]]
    return {
        "exchange": counts["exchange"][1] + counts["exchange_ipv6"][1],
        "gossip": counts["gossip"][1],
        "gossip_packets": counts["gossip"][0],
        "probes": sum(size for _, size in probes),
        "probes_packets": sum(packets for packets, _ in probes),
        "multicast": counts["multicast"][1],
        "wireguard": counts["wireguard"][1],
    }


if __name__ == "__main__":
    print(fifty_idle_nodes())
