"""What a node tells Prometheus and OpenTelemetry, fetched over real sockets."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

from support import otlp_receiver
from support.meshes import start_nodes, the_peer
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import CommandFailed
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

# The names that upstream's documents promise.
METRICS = (
    "wgmesh_active_peers",
    "wgmesh_relayed_peers",
    "wgmesh_nat_type",
    "wgmesh_discovery_events_total",
    "wgmesh_reconcile_duration_seconds_bucket",
    "wgmesh_reconcile_duration_seconds_count",
    "wgmesh_probe_rtt_seconds_bucket",
    "wgmesh_probe_rtt_seconds_count",
    "wgmesh_probe_rtt_summary_seconds",
    "wgmesh_nat_traversal_attempts_total",
    "wgmesh_nat_traversal_successes_total",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
)
EXPORT_TIMEOUT_S = 30.0  # metrics and spans are exported in batches, some seconds apart
_FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=3).read().decode())"


def fetch(node: MeshNode, path: str) -> str:
    """Gets a page of the node's metrics server; empty while there is none."""
    try:
        return node.host.exec(sys.executable, "-c", _FETCH, f"http://127.0.0.1:9090{path}")
    except CommandFailed:
        return ""


def samples(text: str) -> dict[str, list[float]]:
    """The values by metric name."""
    found = defaultdict(list)
    for line in text.splitlines():
        sample = re.fullmatch(r"([a-z_]+)(?:\{.*\})? (\S+)(?: \d+)?", line)
        if sample:
            found[sample.group(1)].append(float(sample.group(2)))
    return found


def test_prometheus_sees_a_live_value_for_every_promised_name(fabric: Fabric) -> None:
    a, _ = start_nodes(fabric, ["a", "b"], "--metrics", "127.0.0.1:9090")
    the_peer(a)

    def complete() -> dict[str, list[float]] | None:
        found = samples(fetch(a, "/metrics"))
        live = found["wgmesh_active_peers"] == [1.0] and sum(found["wgmesh_probe_rtt_seconds_count"]) > 0
        return found if live and all(found[name] for name in METRICS) else None

    found = wait_for(complete, EXPORT_TIMEOUT_S, "every metric has a value", poll_s=0.5)
    assert sum(found["wgmesh_nat_type"]) == 1.0
    assert sum(found["wgmesh_discovery_events_total"]) > 0
    assert sum(found["wgmesh_reconcile_duration_seconds_count"]) > 0
    assert len(found["process_resident_memory_bytes"]) >= 5


def test_without_the_flag_nothing_listens(fabric: Fabric) -> None:
    a, _ = start_nodes(fabric, ["a", "b"])
    listening = [line.split()[3] for line in a.host.exec("ss", "-Hltn").splitlines()]
    addresses = {address.rpartition(":")[0].partition("%")[0].strip("[]") for address in listening}
    assert addresses <= {a.wait_until_ready().mesh_ipv4, a.wait_until_ready().mesh_ipv6}


def test_one_trace_follows_a_join_through_at_least_four_processes(fabric: Fabric) -> None:
    collector = fabric.add_host("collector")
    address = f"{collector.ipv4}:4317"
    receiver = collector.spawn(sys.executable, str(Path(otlp_receiver.__file__)), address, name="otlp")
    wait_for(lambda: "listening" in receiver.output(), 10.0, "the receiver listens")
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

    wait_for(joined, EXPORT_TIMEOUT_S, "a trace with spans of four processes", poll_s=0.5)
