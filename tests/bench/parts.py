"""What `make bench` measures, in parts that can be run alone. Targets are the project's own."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator

from bench import (
    amplification,
    computations,
    crowd,
    distance,
    footprint,
    growth,
    hostile,
    interfaces,
    invented,
    private_dht,
    tunnels,
    upstream,
)
from bench.report import Measurement, Ran, Table, Upstream
from support.discovery.discovery_wire import LAN_CHANNEL

FIRST_PING_RUNS = 5
CONVERGENCE_RUNS = 5
MEMORY_RUNS = 3
IDLE_RUNS = 3
INVENTED_RUNS = 3


def first_pings() -> Iterator[Measurement]:
    how = (
        "From the exec of `wgmesh join` on a new second machine, while the first runs, to its first answered ping to"
        f" the first's mesh address, tried every {tunnels.PING_STEP_S * 1000:.0f} ms. The start of the program and the"
        f" making of the key are included. Median of {FIRST_PING_RUNS}."
    )
    for outside, name, theirs in (
        (tunnels.Outside.STUN, "first ping on a LAN", upstream.FIRST_PING),
        (tunnels.Outside.SILENCE, "first ping on a LAN whose STUN servers are silent", upstream.FIRST_PING_SILENT_STUN),
        (tunnels.Outside.NOTHING, "first ping without DNS, STUN and default route", upstream.FIRST_PING_CUT_OFF),
    ):
        runs = [tunnels.first_ping_s(outside) for _ in range(FIRST_PING_RUNS)]
        target = "<= 0.5" if outside is tunnels.Outside.STUN else "<= 1.0"
        yield Measurement(name, statistics.median(runs), "s", Ran.NODES, theirs, target, tuple(runs), how)


def first_pings_over_a_dht() -> Iterator[Measurement]:
    ways: tuple[tuple[str, Callable[[bool], float], Upstream, str], ...] = (
        (
            "the Mainline DHT",
            distance.first_ping_over_mainline_s,
            upstream.FIRST_PING_DHT,
            "a swarm of seven, two of them foreign code",
        ),
        ("a private DHT", distance.first_ping_over_private_dht_s, Upstream(), "a third member"),
    )
    for name, measure, theirs, way_in in ways:
        for cached in (False, True):
            runs = [measure(cached) for _ in range(FIRST_PING_RUNS)]
            state = ", with a peer cache and every way in dead" if cached else " alone"
            how = (
                "Two machines in different subnets, no multicast between them, no STUN. All that they share beside the"
                f" secret is an address of {way_in}. Otherwise as on a LAN. Median of {FIRST_PING_RUNS}."
            )
            yield Measurement(
                f"first ping over {name}{state}", statistics.median(runs), "s", Ran.NODES,
                Upstream() if cached else theirs, "<= 1.0" if cached else "<= 2.0", tuple(runs), how,
            )  # fmt: skip


def convergences() -> Iterator[Measurement]:
    one, all_at_once = "one started a second", "all started at once"
    for count, gap_s, manner, target, theirs in (
        (10, 1.0, one, "<= 3.0", Upstream()),
        (10, 0.0, all_at_once, "<= 3.3", upstream.TEN_AT_ONCE),
        (20, 1.0, one, "<= 2.5", Upstream()),
        (20, 0.0, all_at_once, "<= 5.0", upstream.TWENTY_AT_ONCE),
    ):
        seen = [tunnels.convergence(count, gap_s) for _ in range(CONVERGENCE_RUNS)]
        after_last = tuple(each.after_last_s for each in seen)
        after_first = statistics.median(each.after_first_s for each in seen)
        note = f"New nodes with new keys; until every node has pinged every other. Median of {CONVERGENCE_RUNS}."
        note += f" After the first start: {after_first:.1f} s."
        if gap_s == 0:
            note += f" The processors that start all {count} programs are the limit here."
        name = f"{count} nodes, {manner}"
        yield Measurement(
            f"{name}: all ping all after the last start", statistics.median(after_last), "s", Ran.NODES, theirs,
            target, after_last, note,
        )  # fmt: skip
        if gap_s == 0:
            cpu = tuple(each.cpu_s for each in seen)
            yield Measurement(
                f"{name}: processor time of a start", statistics.median(cpu), "s", Ran.NODES, Upstream(),
                "<= 0.8" if count == 10 else "", cpu,
                "Of one node, from its start until all ping all, without the userspace WireGuard. Median of"
                f" {CONVERGENCE_RUNS}.",
            )  # fmt: skip


def footprints() -> Iterator[Measurement]:
    for flags, name, target, theirs in (
        ((), "a node", "<= 98", upstream.MEMORY),
        (("--no-dht",), "a node without DHT", "<= 85", Upstream()),
    ):
        memory = [footprint.lone_node(*flags) for _ in range(MEMORY_RUNS)]
        processes = ", ".join(f"{name} {size} MB" for name, size in sorted(memory[0].pss_by_process.items()))
        runs = tuple(run.pss for run in memory)
        yield Measurement(
            f"memory of {name}", statistics.median(runs), "MB", Ran.NODES, theirs, target, runs,
            f"Sum of PSS of all processes but the userspace WireGuard of a node that is alone: {processes}. Median of"
            f" {MEMORY_RUNS}. The pages that they map, each counted once, are"
            f" {statistics.median(run.pages for run in memory):.1f} MB: PSS is less, because the program that measures"
            " maps Python and gRPC as well.",
        )  # fmt: skip


def idle_times() -> Iterator[Measurement]:
    for flags, name, theirs in (((), "all on", upstream.IDLE_CPU), (("--no-dht",), "without DHT", Upstream())):
        idles = [footprint.two_idle_nodes(*flags) for _ in range(IDLE_RUNS)]
        shares = ", ".join(f"{name} {share} %" for name, share in sorted(idles[0].cpu_by_process_percent.items()))
        with_wireguard = statistics.median(idle.cpu_with_wireguard_percent for idle in idles)
        runs = tuple(idle.cpu_percent for idle in idles)
        yield Measurement(
            f"idle processor time of two nodes, {name}", statistics.median(runs), "%", Ran.NODES, theirs, "<= 0.6",
            runs,
            f"Of one processor, without the userspace WireGuard; with it {with_wireguard:.2f} %. One node: {shares}."
            f" {IDLE_RUNS} times {footprint.IDLE_S:.0f} s that begin {footprint.REST_S:.0f} s after the start; median.",
        )  # fmt: skip


def pure_parts() -> Iterator[Measurement]:
    runs = [1000 * run for run in footprint.status_s()]
    yield Measurement(
        "`wgmesh status --json`", statistics.median(runs), "ms", Ran.PROGRAM, upstream.STATUS, "<= 100", tuple(runs),
        "A whole start of the program with one question to a running node. Median of 11.",
    )  # fmt: skip
    runs = [1000 * run for run in computations.version_s()]
    yield Measurement(
        "`wgmesh version`", statistics.median(runs), "ms", Ran.PROGRAM, Upstream(), "<= 25", tuple(runs),
        "A whole start of the program. Median of 11.",
    )  # fmt: skip
    yield Measurement("envelopes sealed", computations.seals_per_second(), "per s", Ran.CODE)
    yield Measurement("envelopes opened and checked", computations.opens_per_second(), "per s", Ran.CODE)
    for name, spans_s in computations.plan_s().items():
        runs = [1000 * span_s for span_s in spans_s]
        yield Measurement(
            f"plan of 1,000 peers, {name.replace('_', ' ')}", statistics.median(runs), "ms", Ran.CODE, Upstream(),
            "<= 20", tuple(runs), f"What `plan` takes to find the changes of a device. Median of {len(runs)}.",
        )  # fmt: skip


def hostile_datagrams() -> Iterator[Measurement]:
    seen = hostile.stand()
    yield Measurement(
        "hostile datagrams stood on one processor", seen.per_second, "per s", Ran.CODE, Upstream(), ">= 40000", (),
        "One discovery core and no socket. Garbage, forgeries, captured and renamed messages, some of 40 kB, from 200"
        f" own and any number of forged addresses, at {hostile.FLOOD_RATE:,.0f} a second of the core's time. Meanwhile"
        f" {seen.honest_answered} of {seen.honest_asked} HELLOs of known peers were answered, and"
        f" {seen.newcomers_answered} of {seen.newcomers} newcomers.",
    )  # fmt: skip
    lan = hostile.stand(LAN_CHANNEL)
    yield Measurement(
        "hostile datagrams stood at the socket of a LAN on one processor", lan.per_second, "per s", Ran.CODE,
        Upstream(), ">= 40000", (),
        "The same core and flood, at the multicast socket of one interface. Meanwhile"
        f" {lan.honest_answered} of {lan.honest_asked} HELLOs of known peers were answered, and"
        f" {lan.newcomers_answered} of {lan.newcomers} newcomers.",
    )  # fmt: skip
    dht = hostile.stand_of_private_dht()
    yield Measurement(
        "hostile datagrams stood by the private DHT's node on one processor", dht.per_second, "per s", Ran.CODE,
        Upstream(), ">= 40000", (),
        "One node and no socket. The same flood, of which seven in ten look like a member's datagrams. Meanwhile"
        f" {dht.honest_answered} of {dht.honest_asked} pings of a known node were answered.",
    )  # fmt: skip


def amplifications() -> Iterator[Measurement]:
    for where, ratios, how in (
        (
            "the exchange socket",
            amplification.at_the_exchange_socket(),
            "A member says each type of message once: in its own name or in nobody's, with the host's address in it or"
            f" as its source. All that goes to the host in the {amplification.LATER_S:.0f} s that follow counts.",
        ),
        (
            "the private DHT",
            amplification.at_the_private_dht(),
            "A member calls a node once, with the host's address as its source.",
        ),
        (
            "the Mainline DHT",
            amplification.at_the_mainline_dht(),
            "A stranger asks once, with the host's address as its source, for a name that"
            f" {amplification.MAINLINE_PEERS} have announced. libtorrent answers with eight nodes, as BEP 5 demands of"
            " every node, and sends 8 kB a second at most.",
        ),
    ):
        parts = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        yield Measurement(
            f"bytes sent to a host that never answered for each that came, {where}", max(ratios.values()), "", Ran.CODE,
            Upstream(), "< 3.0", tuple(ratios.values()), f"{how} Worst of all: {parts}.",
        )  # fmt: skip


def invented_names() -> Iterator[Measurement]:
    runs = [invented.under_invented_names() for _ in range(INVENTED_RUNS)]
    name = f"while a member speaks in {invented.NAMES:,} invented names and more"
    how = (
        f"Two nodes on a LAN, and a member that says HELLO to one of them, in {1 / invented.GAP_S:.0f} new names a"
        f" second, from {invented.SOURCES} addresses. Worst of {INVENTED_RUNS} runs."
    )
    for what, values, unit, target in (
        ("a newcomer's first ping", [run.newcomer_s for run in runs], "s", "<= 2.0"),
        ("log lines of the node", [run.log_lines_per_s for run in runs], "per s", "<= 1.0"),
        ("of the names, heard of by the other node", [run.heard_of_by_others for run in runs], "names", "<= 0"),
        ("of the names, in the peer cache", [run.in_the_cache for run in runs], "names", "<= 0"),
    ):
        yield Measurement(
            f"{name}: {what}", max(values), unit, Ran.NODES, Upstream(), target, tuple(map(float, values)), how
        )  # fmt: skip


def idle_crowd() -> Iterator[Measurement]:
    seen = crowd.fifty_idle_nodes()
    name = f"{crowd.NODES} nodes without DHT and STUN"
    how = (
        f"Bytes that a node sends, at the IP layer, over {crowd.MEASURE_S / 60:.0f} minutes that begin"
        f" {crowd.SETTLE_S / 60:.0f} minutes after all knew all; extrapolated to a day. Mean of all nodes."
    )
    control = [each.control for each in seen.sent]
    yield Measurement(
        f"{name}, unicast control traffic of an idle node", statistics.mean(control), "MB/day", Ran.NODES, Upstream(),
        "<= 3", tuple(control),
        f"{how} It is what the program itself sends to single addresses, with what the tunnel adds to that."
        f" Exchange outside the tunnel {_mean(each.exchange for each in seen.sent)}, exchange and gossip inside it"
        f" {_mean(each.gossip for each in seen.sent)}, probes {_mean(each.probes for each in seen.sent)}. Not in it:"
        " LAN multicast and WireGuard's own packets,"
        " which have rows of their own; the DHT and STUN, which are off here; ARP and neighbour discovery.",
    )  # fmt: skip
    multicast = [each.multicast for each in seen.sent]
    yield Measurement(
        f"{name}, LAN multicast of an idle node", statistics.mean(multicast), "MB/day", Ran.NODES, Upstream(), "",
        tuple(multicast), how,
    )  # fmt: skip
    wireguard = [each.wireguard for each in seen.sent]
    yield Measurement(
        f"{name}, all of an idle node's WireGuard packets", statistics.mean(wireguard), "MB/day", Ran.NODES,
        Upstream(), "", tuple(wireguard),
        f"{how} All that leaves the WireGuard port: keepalives and handshakes, and the gossip and probes above.",
    )  # fmt: skip
    yield Measurement(
        f"{name}, memory of a node", statistics.mean(seen.pss_mb), "MB", Ran.NODES, Upstream(), "", tuple(seen.pss_mb),
        f"As above, mean of {len(seen.pss_mb)} nodes. Pages that all {crowd.NODES} use count for each by a fiftieth.",
    )  # fmt: skip
    yield Measurement(
        f"{name}, all know all after the last start", statistics.median(seen.converged_s), "s", Ran.NODES, Upstream(),
        "", tuple(seen.converged_s),
        f"One start every {crowd.GAP_S:.0f} s, all on the processors of this machine. Median of"
        f" {len(seen.converged_s)}.",
    )  # fmt: skip


def _mean(values: Iterable[float]) -> str:
    return f"{statistics.mean(values):.2f}"


PARTS: dict[str, Callable[[], Iterator[Measurement | Table]]] = {
    "lan": first_pings,
    "dht": first_pings_over_a_dht,
    "convergence": convergences,
    "footprint": footprints,
    "idle": idle_times,
    "interfaces": interfaces.many_interfaces,
    "pure": pure_parts,
    "hostile": hostile_datagrams,
    "amplification": amplifications,
    "invented": invented_names,
    "private-dht": private_dht.private_dht,
    "growth": growth.growth,
    "crowd": idle_crowd,
}
