"""`make bench`: measures, and writes docs/benchmarks.json and docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import computations, footprint, tunnels
from bench.report import Measurement, document, markdown
from wgmesh.demo.prerequisites import kernel_has_wireguard, missing_prerequisites

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIRST_PING_RUNS = 5


def machine() -> str:
    backend = "kernel WireGuard" if kernel_has_wireguard() else "userspace WireGuard (wireguard-go)"
    return f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}, {backend}"


def first_pings() -> Iterator[Measurement]:
    how = (
        "From the exec of `wgmesh join` on a new second machine, while the first runs, to its first answered ping to"
        f" the first's mesh address, tried every {tunnels.PING_STEP_S * 1000:.0f} ms. The start of the program and the"
        f" making of the key are included. Median of {FIRST_PING_RUNS}."
    )
    for connected, name, upstream in (
        (True, "first ping on a LAN", "5.1"),
        (False, "first ping without DNS, STUN and default route", "11.1"),
    ):
        runs = [tunnels.first_ping_s(connected) for _ in range(FIRST_PING_RUNS)]
        yield Measurement(name, statistics.median(runs), "s", f"{upstream} s", "<= 1.0", tuple(runs), how)


def convergences() -> Iterator[Measurement]:
    for count, target, upstream in ((10, "<= 3.0", "11.1 s"), (20, "<= 5.0", "17.1 s")):
        for gap_s, manner in ((1.0, "one started a second"), (0.0, "all started at once")):
            after_last, after_first = tunnels.convergence_s(count, gap_s)
            note = "New nodes with new keys; until every node has pinged every other. "
            note += f"After the first start: {after_first:.1f} s."
            if gap_s == 0:
                note += f" The processors that start all {count} programs are the limit here."
            name = f"{count} nodes, {manner}: all ping all after the last start"
            yield Measurement(name, after_last, "s", upstream, target, (), note)


def footprints() -> Iterator[Measurement]:
    seen = footprint.two_idle_nodes()
    shares = ", ".join(f"{name} {share} %" for name, share in sorted(seen.idle_cpu_by_process_percent.items()))
    processes = ", ".join(f"{name} {size} MB" for name, size in sorted(seen.pss_by_process_mb.items()))
    yield Measurement(
        "memory of a node", seen.pss_mb, "MB", "13.4 MB", "<= 90", (),
        f"Sum of PSS of all processes of a node but the userspace WireGuard: {processes}.",
    )  # fmt: skip
    yield Measurement(
        "idle processor time of two nodes", seen.idle_cpu_percent, "%", "0.25 to 0.6 %", "<= 0.6", (),
        f"Over {footprint.IDLE_S:.0f} s, of one processor, without the userspace WireGuard;"
        f" with it {seen.idle_cpu_with_wireguard_percent:.2f} %. One node: {shares}.",
    )  # fmt: skip
    runs = [1000 * run for run in seen.cli_status_s]
    yield Measurement(
        "`wgmesh status --json`", statistics.median(runs), "ms", "10 ms", "<= 150", tuple(runs),
        "A whole start of the program with one question to a running node. Median of 11.",
    )  # fmt: skip


def pure_parts() -> Iterator[Measurement]:
    runs = [1000 * run for run in computations.version_s()]
    yield Measurement("`wgmesh version`", statistics.median(runs), "ms", "", "<= 80", tuple(runs), "Median of 11.")
    yield Measurement("envelopes sealed", computations.seals_per_second(), "per s")
    yield Measurement("envelopes opened and checked", computations.opens_per_second(), "per s")
    for name, span_s in computations.plan_s().items():
        label = f"plan of 1,000 peers, {name.replace('_', ' ')}"
        yield Measurement(label, 1000 * span_s, "ms", "", "<= 20", (), "Median of 7." if name == "steady" else "")


def main() -> int:
    missing = missing_prerequisites()
    if missing:
        print("the benchmarks cannot run: " + "; ".join(missing), file=sys.stderr)
        return 1
    parts: tuple[Callable[[], Iterator[Measurement]], ...] = (first_pings, convergences, footprints, pure_parts)
    measurements = []
    for part in parts:
        for measurement in part():
            print(f"{measurement.name}: {measurement.value:.4g} {measurement.unit}", flush=True)
            measurements.append(measurement)
    (DOCS / "benchmarks.json").write_text(json.dumps(document(measurements, machine()), indent=2) + "\n")
    (DOCS / "benchmarks.md").write_text(markdown(measurements, machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
