"""What `make bench` measures, in parts that can be run alone. Targets are the project's own."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from bench import computations, crowd, distance, footprint, growth, hostile, tunnels
from bench.report import Measurement, Table

FIRST_PING_RUNS = 5


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


def first_pings_over_a_dht() -> Iterator[Measurement]:
    ways: tuple[tuple[str, Callable[[bool], float], str, str], ...] = (
        (
            "the Mainline DHT",
            distance.first_ping_over_mainline_s,
            "5.1 s",
            "a swarm of seven, two of them foreign code",
        ),
        ("a private DHT", distance.first_ping_over_private_dht_s, "", "a third member"),
    )
    for name, measure, upstream, way_in in ways:
        for cached in (False, True):
            runs = [measure(cached) for _ in range(FIRST_PING_RUNS)]
            state = ", with a peer cache and every way in dead" if cached else " alone"
            how = (
                "Two machines in different subnets, no multicast between them, no STUN. All that they share beside the"
                f" secret is an address of {way_in}. Otherwise as on a LAN. Median of {FIRST_PING_RUNS}."
            )
            yield Measurement(
                f"first ping over {name}{state}", statistics.median(runs), "s", "" if cached else upstream,
                "<= 1.0" if cached else "<= 2.0", tuple(runs), how,
            )  # fmt: skip


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
    for flags, name in (((), "a node"), (("--no-dht",), "a node without DHT")):
        seen = footprint.two_idle_nodes(*flags)
        shares = ", ".join(f"{name} {share} %" for name, share in sorted(seen.idle_cpu_by_process_percent.items()))
        processes = ", ".join(f"{name} {size} MB" for name, size in sorted(seen.pss_by_process_mb.items()))
        yield Measurement(
            f"memory of {name}", seen.pss_mb, "MB", "13.4 MB", "<= 90", (),
            f"Sum of PSS of all processes of a node but the userspace WireGuard: {processes}.",
        )  # fmt: skip
        yield Measurement(
            f"idle processor time of two nodes, {name.removeprefix('a node').strip() or 'all on'}",
            seen.idle_cpu_percent, "%", "0.25 to 0.6 %", "<= 0.6", (),
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


def hostile_datagrams() -> Iterator[Measurement]:
    seen = hostile.stand()
    yield Measurement(
        "hostile datagrams stood on one processor", seen.per_second, "per s", "", ">= 20000", (),
        "Garbage, forgeries, captured and renamed messages, some of 40 kB, from 200 own and any number of forged"
        f" addresses, at {hostile.FLOOD_RATE:,.0f} a second of the core's time. Meanwhile {seen.honest_answered} of"
        f" {seen.honest_asked} HELLOs of known peers were answered, and {seen.newcomers_answered} of"
        f" {seen.newcomers} newcomers.",
    )  # fmt: skip


def idle_crowd() -> Iterator[Measurement]:
    seen = crowd.fifty_idle_nodes()
    mb = 1e6
    how = (
        f"Bytes at the IP layer over {crowd.MEASURE_S / 60:.0f} minutes, {crowd.SETTLE_S / 60:.0f} minutes after all"
        " knew all, extrapolated to a day. What goes through the tunnel is counted with what WireGuard adds."
    )
    yield Measurement(
        f"{crowd.NODES} nodes, unicast control traffic of an idle node", seen.control / mb, "MB/day", "", "<= 3", (),
        f"{how} Exchange {seen.exchange / mb:.2f}, gossip {seen.gossip / mb:.2f}, probes {seen.probes / mb:.2f}.",
    )  # fmt: skip
    yield Measurement(f"{crowd.NODES} nodes, LAN multicast of an idle node", seen.multicast / mb, "MB/day")
    yield Measurement(
        f"{crowd.NODES} nodes, WireGuard's own packets of an idle node", seen.wireguard / mb, "MB/day", "", "", (),
        "All that leaves the WireGuard port: keepalives and handshakes, and the gossip and probes above.",
    )  # fmt: skip
    yield Measurement(f"{crowd.NODES} nodes, memory of a node", seen.pss_mb, "MB", "", "", (), "As above, without DHT.")
    yield Measurement(
        f"{crowd.NODES} nodes, all know all after the last start", seen.converged_s, "s", "", "", (),
        f"One start every {crowd.GAP_S:.0f} s, all on the processors of this machine.",
    )  # fmt: skip


PARTS: dict[str, Callable[[], Iterator[Measurement | Table]]] = {
    "lan": first_pings,
    "dht": first_pings_over_a_dht,
    "convergence": convergences,
    "footprint": footprints,
    "pure": pure_parts,
    "hostile": hostile_datagrams,
    "growth": growth.growth,
    "crowd": idle_crowd,
}
