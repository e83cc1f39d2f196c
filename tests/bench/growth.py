"""How discovery fares as a mesh grows: simulated meshes of light members that meet through a simulated Mainline DHT.

`python -m bench.growth 10 30 100` prints a table. Every member runs the real discovery core; see sim/member.py.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.report import Measurement
from wgmesh.sim.network import Traffic
from wgmesh.sim.swarm import Swarm, SwarmSettings

SIZES = (10, 30, 100, 300)
LARGE = 1000
LARGE_VARIABLE = "WGMESH_BENCH_LARGE"  # set: the largest mesh too, which takes long
JOIN_GAP_S = 0.2
MEMBERS_A_SITE = 4  # each announcement on a LAN is opened by all others there, which is most of the work of idle meshes
LIMIT_S = 600.0
SETTLE_S = 600.0  # virtual, until what the joins have started has died down
IDLE_S = 600.0


@dataclass(frozen=True, slots=True)
class Growth:
    """Times are virtual but for `real_s`. Traffic is what discovery hands to its sockets, for each node."""

    members: int
    converged_s: float | None
    """From the last join until all know all."""
    join_datagrams: float
    join_bytes: float
    idle_bytes_per_s: float
    largest_bytes: int
    real_s: float


def grow(members: int, seed: int = 1) -> Growth:
    """Lets a mesh grow by one member after the other, and then watches it do nothing."""
    began_at = time.perf_counter()
    swarm = Swarm(SwarmSettings(seed=seed, members_a_segment=MEMBERS_A_SITE))
    for number in range(members):
        if number:
            swarm.run(JOIN_GAP_S)
        swarm.join()
    converged_s = swarm.run_until_all_know_all(LIMIT_S)
    joining = _sent(swarm)
    swarm.run(SETTLE_S)
    before = _sent(swarm)
    swarm.run(IDLE_S)
    after = _sent(swarm)
    return Growth(
        members,
        converged_s,
        joining.datagrams / members,
        joining.octets / members,
        (after.octets - before.octets) / members / IDLE_S,
        after.largest,
        time.perf_counter() - began_at,
    )


def growth(sizes: Sequence[int] | None = None) -> Iterator[Measurement]:
    """The measurements of `make bench`."""
    how = (
        f"In virtual time: sites of {MEMBERS_A_SITE} behind 60 to 80 ms of round trip, one join every {JOIN_GAP_S} s,"
        " first contacts from a simulated Mainline DHT. Every node runs the real discovery core."
    )
    for members in sizes or _sizes():
        seen = grow(members)
        name = f"{members} nodes over a DHT"
        converged_s = float("inf") if seen.converged_s is None else seen.converged_s
        target = "<= 60" if members <= 300 else ""
        note = (
            f"{how} Until then a node sent {seen.join_datagrams:,.0f} datagrams, {seen.join_bytes / 1000:,.0f} kB."
            f" The whole took {seen.real_s:,.0f} s of this machine."
        )
        yield Measurement(f"{name}: all know all after the last join", converged_s, "s", "", target, (), note)
        yield Measurement(
            f"{name}: sent by an idle node", seen.idle_bytes_per_s / 1000, "kB/s", "", "<= 2", (),
            f"Payload of discovery's datagrams over {IDLE_S / 60:.0f} minutes, after {SETTLE_S / 60:.0f} of settling.",
        )  # fmt: skip
        yield Measurement(f"{name}: largest datagram", seen.largest_bytes, "bytes", "", "<= 1232")


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
        f" {seen.idle_bytes_per_s:9,.0f} {seen.largest_bytes:9d} {seen.real_s:7,.0f}"
    )


def main() -> int:
    sizes = [int(text) for text in sys.argv[1:]] or _sizes()
    print(" nodes converged/s datagrams/node   kB/node idle/Bps largest/B  real/s")
    for members in sizes:
        print(_row(grow(members)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
