"""The metric names that dashboards made for upstream already use (its README and QUICKSTART)."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.otlp import counter, export, gauge, histogram
from wgmesh.metrics.exposition import render
from wgmesh.metrics.samples import SampleStore

RECONCILE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PROBE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
PEER = {"peer_key": "pUbl1cKe"}
PROCESS = [({"service": "node"}, 1.0), ({"service": "nat"}, 2.0)]

EXPORTS = (
    export(
        "node",
        gauge("wgmesh_active_peers", [({}, 2)]),
        gauge("wgmesh_relayed_peers", [({}, 1)]),
        histogram("wgmesh_reconcile_duration_seconds", RECONCILE_BUCKETS, [1] * 12, 3.0),
    ),
    export(
        "discovery",
        counter("wgmesh_discovery_events_total", [({"layer": layer}, 4) for layer in ("dht", "lan", "gossip")]),
        counter("wgmesh_nat_traversal_attempts_total", [({"method": m}, 3) for m in ("dht", "dht-ipv6-sync")]),
        counter("wgmesh_nat_traversal_successes_total", [({"method": m}, 2) for m in ("dht", "dht-ipv6-sync")]),
    ),
    export(
        "nat",
        gauge("wgmesh_nat_type", [({"type": word}, word == "cone") for word in ("cone", "symmetric", "unknown")]),
        histogram("wgmesh_probe_rtt_seconds", PROBE_BUCKETS, [1] * 10, 0.5, PEER),
        gauge("wgmesh_probe_rtt_summary_seconds", [({**PEER, "quantile": q}, 0.1) for q in ("0.5", "0.95", "0.99")]),
        counter("wgmesh_probe_rtt_summary_seconds_sum", [(PEER, 1.5)]),
        counter("wgmesh_probe_rtt_summary_seconds_count", [(PEER, 15)]),
    ),
    export(
        "metrics",
        gauge("wgmesh_build_info", [({"version": "1.0", "python": "3.11", "interface": "wg0"}, 1)]),
        counter("process_cpu_seconds_total", PROCESS),
        gauge("process_resident_memory_bytes", PROCESS),
        gauge("process_pss_bytes", PROCESS),
        gauge("process_open_fds", PROCESS),
        gauge("process_start_time_seconds", PROCESS),
        counter("python_gc_collections_total", [({"service": "node", "generation": "0"}, 5)]),
    ),
)

# The parser names a counter without its suffix.
EXPECTED = [
    ("wgmesh_active_peers", "gauge", set()),
    ("wgmesh_relayed_peers", "gauge", set()),
    ("wgmesh_nat_type", "gauge", {"type"}),
    ("wgmesh_discovery_events", "counter", {"layer"}),
    ("wgmesh_reconcile_duration_seconds", "histogram", {"le"}),
    ("wgmesh_probe_rtt_seconds", "histogram", {"peer_key", "le"}),
    ("wgmesh_probe_rtt_summary_seconds", "summary", {"peer_key", "quantile"}),
    ("wgmesh_nat_traversal_attempts", "counter", {"method"}),
    ("wgmesh_nat_traversal_successes", "counter", {"method"}),
    ("wgmesh_build_info", "gauge", {"version", "python", "interface"}),
    ("process_cpu_seconds", "counter", {"service"}),
    ("process_resident_memory_bytes", "gauge", {"service"}),
    ("process_pss_bytes", "gauge", {"service"}),
    ("process_open_fds", "gauge", {"service"}),
    ("process_start_time_seconds", "gauge", {"service"}),
    ("python_gc_collections", "counter", {"service", "generation"}),
]


@pytest.fixture(scope="module")
def text() -> str:
    store = SampleStore()
    for request in EXPORTS:
        store.accept(request, now=0.0)
    return render(store.series(0.0)).decode()


@pytest.mark.parametrize(("name", "kind", "labels"), EXPECTED, ids=[name for name, _, _ in EXPECTED])
def test_a_name_comes_out_with_its_type_and_labels(text: str, name: str, kind: str, labels: set[str]) -> None:
    families = {family.name: family for family in text_string_to_metric_families(text)}

    assert families[name].type == kind
    assert set().union(*(sample.labels for sample in families[name].samples)) == labels


def test_every_family_is_expected_and_has_help_and_type(text: str) -> None:
    names = {family.name for family in text_string_to_metric_families(text)}

    assert names == {name for name, _, _ in EXPECTED}
    assert text.count("# HELP ") == text.count("# TYPE ") == len(EXPECTED)


def test_the_buckets_are_upstreams(text: str) -> None:
    families = {family.name: family for family in text_string_to_metric_families(text)}

    for name, bounds in (
        ("wgmesh_reconcile_duration_seconds", RECONCILE_BUCKETS),
        ("wgmesh_probe_rtt_seconds", PROBE_BUCKETS),
    ):
        found = [float(s.labels["le"]) for s in families[name].samples if s.name.endswith("_bucket")]
        assert found == [*bounds, float("inf")]


def test_the_summary_has_upstreams_quantiles(text: str) -> None:
    families = {family.name: family for family in text_string_to_metric_families(text)}

    samples = families["wgmesh_probe_rtt_summary_seconds"].samples
    assert {s.labels["quantile"] for s in samples if "quantile" in s.labels} == {"0.5", "0.95", "0.99"}
    assert {s.name: s.value for s in samples if "quantile" not in s.labels} == {
        "wgmesh_probe_rtt_summary_seconds_sum": 1.5,
        "wgmesh_probe_rtt_summary_seconds_count": 15.0,
    }
