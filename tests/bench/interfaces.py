"""What a host with hundreds of network interfaces costs a node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.footprint import own_pids, threads_cpu_s
from bench.report import Measurement, Ran, Upstream
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host, output_of
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh

INTERFACES = 300
QUIET_S = 5.0  # the kernel settles what was made
REST_S = 30.0
MEASURE_S = 60.0


@dataclass(frozen=True, slots=True)
class Crowded:
    """Of one node on such a host: seconds to its first ping, and percent of a processor while nothing happens."""

    first_ping_s: float
    cpu_percent: float


def add_interfaces(host: Host, count: int) -> None:
    """Adds veth pairs, each end with an IPv4 network of its own."""
    lines = []
    for number in range(count // 2):
        lines.append(f"link add v{number} type veth peer name w{number}")
        for letter, network in (("v", 200), ("w", 201)):
            name = f"{letter}{number}"
            lines += [f"addr add 10.{network}.{number}.1/24 dev {name}", f"link set {name} up"]
    output_of(["ip", "-n", host.namespace, "-batch", "-"], "\n".join(lines), 60.0)


def crowded() -> Crowded:
    """A node on a host with many interfaces, which meets another on an ordinary one."""
    with Fabric() as fabric:
        hosts, secret = fabric.add_hosts(["a", "b"]), new_secret()
        add_interfaces(hosts[0], INTERFACES)
        time.sleep(QUIET_S)
        crowded, other = (MeshNode(host, secret) for host in hosts)
        other.start()
        other.wait_until_ready()
        began_at = time.monotonic()
        crowded.start()
        wait_for_full_mesh([crowded, other])
        first_ping_s = time.monotonic() - began_at
        time.sleep(REST_S)
        pids = own_pids(hosts[0])
        before, began_at = sum(map(threads_cpu_s, pids)), time.monotonic()
        time.sleep(MEASURE_S)
        return Crowded(first_ping_s, 100 * (sum(map(threads_cpu_s, pids)) - before) / (time.monotonic() - began_at))


def many_interfaces() -> Iterator[Measurement]:
    seen = crowded()
    how = f"A host with {INTERFACES} veth interfaces beside its own, each with an IPv4 network of its own."
    yield Measurement(
        f"{INTERFACES} network interfaces, first ping", seen.first_ping_s, "s", Ran.NODES, Upstream(), "<= 3.0", (),
        f"{how} From the start of the node there to the first ping in both directions.",
    )  # fmt: skip
    yield Measurement(
        f"{INTERFACES} network interfaces, idle processor time of the node", seen.cpu_percent, "%", Ran.NODES,
        Upstream(), "<= 1.5", (),
        f"{how} Of one processor, over {MEASURE_S:.0f} s that begin {REST_S:.0f} s after the first ping.",
    )  # fmt: skip
