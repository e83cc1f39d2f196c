"""Fifty real nodes on one machine: what a mesh says while nothing happens, and what a node of it takes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.footprint import USERSPACE_WIREGUARD, process_name, pss_mb
from wgmesh.core.keyschedule import derive
from wgmesh.core.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.process import stop_all
from wgmesh.demo.waiting import wait_for

NODES = 50
GAP_S = 5.0  # between two starts: a newcomer is work for all others, and they share the processors of one machine
SETTLE_S = 900.0  # gossip has slowed down to its last pace
MEASURE_S = 300.0
DAY_S = 86400.0
# All namespaces of a machine share the kernel's tables of neighbours, 1024 entries for each family (arp(7)). Fifty
# nodes that are fifty machines to each other need 5,000, and what finds no room there is dropped.
NEIGHBOURS = {"gc_thresh3": 65536, "gc_thresh2": 32768, "gc_thresh1": 16384}
TUNNEL_BYTES = 60  # outer IPv4 and UDP headers, and WireGuard's own (paper, section 5.4.6), for a packet in the tunnel


@dataclass(frozen=True, slots=True)
class Crowd:
    """Bytes a day that one node sends, on the average of all; memory in MB."""

    converged_s: float
    exchange: float
    gossip: float
    probes: float
    multicast: float
    wireguard: float
    pss_mb: float

    @property
    def control(self) -> float:
        """All that the program sends to single addresses by itself, with what the tunnel adds to it."""
        return self.exchange + self.gossip + self.probes


def fifty_idle_nodes(count: int = NODES, settle_s: float = SETTLE_S, measure_s: float = MEASURE_S) -> Crowd:
    """Starts a mesh on one LAN, lets it come to rest, and counts what each node sends."""
    with _many_neighbours(), Fabric() as fabric:
        secret = new_secret()
        nodes = [
            MeshNode(host, secret, "--no-stun", "--no-dht")
            for host in fabric.add_hosts([f"n{i}" for i in range(count)])
        ]
        for node in nodes:
            node.start()
            time.sleep(GAP_S)
        began_at = time.monotonic()
        wait_for(lambda: all(_is_complete(node, count) for node in nodes), 300.0, "all know all", poll_s=2.0)
        converged_s = time.monotonic() - began_at
        time.sleep(settle_s)
        keys = derive(Secret(secret))
        for node in nodes:
            _count_packets(node.host, keys.gossip_port, keys.probe_port, keys.lan_port)
        before = [_counted(node.host) for node in nodes]
        time.sleep(measure_s)
        after = [_counted(node.host) for node in nodes]
        sent = {
            name: sum(late[name] - early[name] for early, late in zip(before, after, strict=True))
            / count
            / measure_s
            * DAY_S
            for name in before[0]
        }
        pids = [pid for node in nodes[:10] for pid in node.host.pids() if process_name(pid) != USERSPACE_WIREGUARD]
        memory = sum(pss_mb(pid) for pid in pids) / 10
        stop_all(node.running_process() for node in nodes)
        return Crowd(
            converged_s,
            sent["exchange"],
            sent["gossip"] + TUNNEL_BYTES * sent["gossip_packets"],
            sent["probes"] + TUNNEL_BYTES * sent["probes_packets"],
            sent["multicast"],
            sent["wireguard"],
            memory,
        )


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
