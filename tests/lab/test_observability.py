"""What a node tells Prometheus and OpenTelemetry, fetched over real sockets."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

from support.lab.meshes import start_nodes, the_peer
from support.lab.metrics_page import FLAGS, samples
from support.programs import otlp_receiver
from support.repository import ROOT
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for
from wgmesh.discovery.messages.inbox import Rejection

PAGE = ROOT / "docs" / "reference" / "metrics.md"
# Prometheus' text format gives a histogram and a summary several names.
SAMPLES = {"histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}
GROWING = (
    "process_cpu_seconds_total",
    "wgmesh_reconcile_duration_seconds_count",
    "wgmesh_reconcile_duration_seconds_sum",
)
_UPSTREAMS = re.compile(r"^\| `(\w+)` \| (\w+) \|.*\| yes \|$", re.MULTILINE)


def values(node: MeshNode) -> dict[str, list[float]]:
    """What is on the page, by name."""
    found = defaultdict(list)
    for sample in samples(node):
        found[sample.name].append(sample.value)
    return found


def promised() -> list[str]:
    """The names under which the metrics of upstream's documents are served."""
    return [name + suffix for name, kind in _UPSTREAMS.findall(PAGE.read_text()) for suffix in SAMPLES.get(kind, ("",))]


def test_prometheus_sees_a_live_value_for_every_promised_name(fabric: Fabric) -> None:
    names = promised()
    assert len(names) > 10
    a, b = start_nodes(fabric, ["a", "b"], *FLAGS)
    the_peer(a)

    def complete() -> dict[str, list[float]] | None:
        found = values(a)
        live = found["wgmesh_active_peers"] == [1.0] and sum(found["wgmesh_probe_rtt_seconds_count"]) > 0
        return found if live and all(found[name] for name in names) else None

    found = wait_for(complete, PATIENCE_S, "every metric has a value", poll_s=0.5)
    assert sum(found["wgmesh_nat_type"]) == 1.0
    assert sum(found["wgmesh_discovery_events_total"]) > 0
    assert sum(found["wgmesh_reconcile_duration_seconds_count"]) > 0
    assert len(found["process_resident_memory_bytes"]) >= 5

    b.running_process().stop()

    def follows() -> bool:
        later = values(a)
        grown = all(sum(later[name]) > sum(found[name]) for name in GROWING)
        return later["wgmesh_active_peers"] == [0.0] and grown

    wait_for(follows, 2 * PATIENCE_S, "the metrics follow what happens", poll_s=0.5)


def test_without_the_flag_nothing_listens(fabric: Fabric) -> None:
    a, _ = start_nodes(fabric, ["a", "b"])
    wait_for(
        lambda: all(each.connected for each in a.wait_until_ready().services), PATIENCE_S, "all services are ready"
    )
    listening = [line.split()[3] for line in a.host.exec("ss", "-Hltn").splitlines()]
    addresses = {address.rpartition(":")[0].partition("%")[0].strip("[]") for address in listening}
    assert addresses <= {a.wait_until_ready().mesh_ipv4, a.wait_until_ready().mesh_ipv6}


def test_one_trace_follows_a_join_through_at_least_four_processes(fabric: Fabric) -> None:
    collector = fabric.add_host("collector")
    address = f"{collector.ipv4}:4317"
    receiver = collector.spawn(sys.executable, str(Path(otlp_receiver.__file__)), address, name="otlp")
    wait_for(lambda: "listening" in receiver.output(), PATIENCE_S, "the receiver listens")
    secret = new_secret()
    flags = ("--otlp-endpoint", f"http://{address}")
    nodes = [MeshNode(host, secret, *flags) for host in fabric.add_hosts(["a", "b"])]
    for node in nodes:
        node.start()
    wait_for_full_mesh(nodes)

    def joined() -> dict[str, set[str]] | None:
        traces: defaultdict[str, set[str]] = defaultdict(set)
        for span in otlp_receiver.spans(receiver.log):
            traces[span["trace"]].add(span["service"])
        wide = {trace: services for trace, services in traces.items() if len(services) >= 4}
        return wide or None

    wait_for(joined, PATIENCE_S, "a trace with spans of four processes", poll_s=0.5)


def test_the_page_has_all_that_may_be_counted_from_the_start_and_the_two_go_names(fabric: Fabric) -> None:
    a = MeshNode(fabric.add_host("a"), new_secret(), *FLAGS, "--no-stun", "--no-dht")
    a.start()
    a.wait_until_ready()

    def page() -> dict[tuple[str, str], float] | None:
        seen = {
            (sample.name, sample.labels.get("reason") or sample.labels.get("service", "")): sample.value
            for sample in samples(a)
        }
        return seen if ("go_goroutines", "node") in seen and any("rejected" in name for name, _ in seen) else None

    shown = wait_for(page, PATIENCE_S, "the page is complete")
    rejected = {label for name, label in shown if name == "wgmesh_discovery_rejected_datagrams_total"}
    assert rejected == {str(reason) for reason in Rejection}
    for service in ("discovery", "nat", "node", "wireguard", "metrics"):
        assert shown["go_goroutines", service] >= 1
        assert shown["go_memstats_heap_alloc_bytes", service] > 100_000
