"""How discovery fares as a mesh grows: simulated meshes of light members that meet through a simulated Mainline DHT.

`python -m bench.growth 10 30 100` prints a table. Every member runs the real discovery core;
see tests/sim/large/member.py.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.report import Measurement, Ran, Table, Upstream
from sim.large.swarm import Swarm, SwarmSettings
from wgmesh.sim.network import Traffic

SIZES = (10, 30, 100, 300)
LARGE = 1000
LARGE_VARIABLE = "WGMESH_BENCH_LARGE"  # set: the largest mesh too, which takes long
JOIN_GAP_S = 0.2
MEMBERS_A_SITE = 4  # each announcement on a LAN is opened by all others there, which is most of the work of idle meshes
LIMIT_S = 600.0
QUIET_S = 600.0  # virtual, until what the joins have started has died down; and so long the mesh is watched then
JUDGED_MAX = 300  # members of the largest mesh that has targets

_HOW = (
    f"In virtual time, one run: sites of {MEMBERS_A_SITE} behind 60 to 80 ms of round trip, one join every"
    f" {JOIN_GAP_S} s, first contacts from a simulated Mainline DHT. Every node runs the real discovery core."
)


@dataclass(frozen=True, slots=True)
class Growth:
    """Times are virtual but for `cpu_s`. Traffic is what discovery hands to its sockets, for each node."""

    members: int
    converged_s: float | None
    """From the last join until all know all."""
    join_datagrams: float
    join_bytes: float
    idle_bytes_per_s: float
    largest_bytes: int
    cpu_s: float


def grow(members: int, seed: int = 1, quiet_s: float = QUIET_S) -> Growth:
    """Lets a mesh grow by one member after the other, and then watches it do nothing."""
    began_at = time.process_time()
    swarm = Swarm(SwarmSettings(seed=seed, members_a_segment=MEMBERS_A_SITE))
    for number in range(members):
        if number:
            swarm.run(JOIN_GAP_S)
        swarm.join()
    converged_s = swarm.run_until_all_know_all(LIMIT_S)
    joining = _sent(swarm)
    swarm.run(quiet_s)
    before = _sent(swarm)
    swarm.run(quiet_s)
    after = _sent(swarm)
    return Growth(
        members,
        converged_s,
        joining.datagrams / members,
        joining.octets / members,
        (after.octets - before.octets) / members / quiet_s,
        after.largest,
        time.process_time() - began_at,
    )


def growth(sizes: Sequence[int] | None = None, quiet_s: float = QUIET_S) -> Iterator[Measurement | Table]:
    """The measurements of `make bench`."""
    seen = []
    for members in sizes or _sizes():
        seen.append(grow(members, quiet_s=quiet_s))
        yield from measurements(seen[-1])
    yield table(seen)


def measurements(seen: Growth) -> Iterator[Measurement]:
    """One mesh beside the targets. What holds for 300 nodes is asked of smaller meshes too."""
    is_judged = seen.members <= JUDGED_MAX
    name = f"{seen.members:,} nodes over a DHT"
    converged_s = float("inf") if seen.converged_s is None else seen.converged_s
    yield Measurement(
        f"{name}: all know all after the last join", converged_s, "s", Ran.SIMULATION, Upstream(),
        "<= 60" if is_judged else "", (), _HOW,
    )  # fmt: skip
    yield Measurement(
        f"{name}: sent by an idle node", seen.idle_bytes_per_s / 1000, "kB/s", Ran.SIMULATION, Upstream(),
        "<= 2" if is_judged else "", (),
        "What discovery hands to its sockets, minutes after the last join: LAN multicast, exchange and gossip, without"
        " the headers of UDP and IP. Not in it: WireGuard's packets, probes, STUN, and the traffic of the DHT's nodes.",
    )  # fmt: skip
    yield Measurement(f"{name}: largest datagram", seen.largest_bytes, "bytes", Ran.SIMULATION, Upstream(), "<= 1232")


def table(seen: Sequence[Growth]) -> Table:
    """How the cost of a node grows with its mesh."""
    columns = (
        "nodes", "all know all, s", "sent by a node until then, datagrams", "kB", "sent by an idle node, B/s",
        "largest datagram, bytes", "processor time of the whole run, s",
    )  # fmt: skip
    rows = tuple(
        (
            float(each.members), each.converged_s, each.join_datagrams, each.join_bytes / 1000, each.idle_bytes_per_s,
            float(each.largest_bytes), each.cpu_s,
        )
        for each in seen
    )  # fmt: skip
    return Table("How the cost grows", columns, rows, _HOW)


def _sizes() -> Sequence[int]:
    return (*SIZES, LARGE) if os.environ.get(LARGE_VARIABLE) else SIZES


def _sent(swarm: Swarm) -> Traffic:
    """What all have sent, in sum."""
    total = Traffic()
    for member in swarm.members.values():
        total.datagrams += member.sent.datagrams
        total.octets += member.sent.octets
        total.largest = max(total.largest, member.sent.largest)
    return total


def _row(seen: Growth) -> str:
    converged = "never" if seen.converged_s is None else f"{seen.converged_s:.1f}"
    return (
        f"{seen.members:6d} {converged:>11} {seen.join_datagrams:15,.0f} {seen.join_bytes / 1000:9,.0f}"
        f" {seen.idle_bytes_per_s:9,.0f} {seen.largest_bytes:9d} {seen.cpu_s:7,.0f}"
    )


def main() -> int:
    sizes = [int(text) for text in sys.argv[1:]] or _sizes()
    print(" nodes converged/s datagrams/node   kB/node idle/Bps largest/B   cpu/s")
    for members in sizes:
        print(_row(grow(members)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
