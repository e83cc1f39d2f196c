from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_DELTA,
    DataPointFlags,
    Metric,
    NumberDataPoint,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Sum as OtlpSum
from support.otlp import counter, export, gauge, histogram
from wgmesh.metrics.samples import EXPIRE_AFTER_S, MAX_SERVICES, Kind, SampleStore, sanitized_label, sanitized_name


def values(store: SampleStore, now: float = 0.0) -> dict[tuple[str, tuple[tuple[str, str], ...]], object]:
    return {(one.name, one.labels): one.value for one in store.series(now)}


def test_a_later_export_replaces_what_the_same_service_said_before() -> None:
    store = SampleStore()

    store.accept(export("node", gauge("wgmesh_active_peers", [({}, 3)])), now=0.0)
    store.accept(export("node", gauge("wgmesh_active_peers", [({}, 2)])), now=5.0)

    assert values(store, 5.0) == {("wgmesh_active_peers", ()): 2.0}


def test_the_series_of_a_peer_that_is_no_longer_exported_is_gone() -> None:
    store = SampleStore()
    alice, bob = {"peer_key": "alice"}, {"peer_key": "bob"}

    store.accept(export("nat", gauge("rtt", [(alice, 0.1), (bob, 0.2)])), now=0.0)
    store.accept(export("nat", gauge("rtt", [(bob, 0.2)])), now=5.0)

    assert values(store, 5.0) == {("rtt", (("peer_key", "bob"),)): 0.2}


def test_two_resources_of_one_service_in_one_export_add_up() -> None:
    store = SampleStore()
    request = export("node", gauge("a", [({}, 1)]))
    request.MergeFrom(export("node", gauge("b", [({}, 2)])))

    store.accept(request, now=0.0)

    assert {name for name, _ in values(store)} == {"a", "b"}


def test_services_do_not_replace_each_other() -> None:
    store = SampleStore()

    store.accept(export("node", gauge("a", [({}, 1)])), now=0.0)
    store.accept(export("nat", gauge("b", [({}, 2)])), now=0.0)

    assert {name for name, _ in values(store)} == {"a", "b"}
    assert store.services(0.0) == {"node", "nat"}


def test_a_silent_service_expires_and_the_others_stay() -> None:
    store = SampleStore()
    store.accept(export("node", gauge("a", [({}, 1)])), now=0.0)
    store.accept(export("nat", gauge("b", [({}, 2)])), now=10.0)

    assert {name for name, _ in values(store, EXPIRE_AFTER_S - 0.1)} == {"a", "b"}
    assert {name for name, _ in values(store, EXPIRE_AFTER_S)} == {"b"}
    assert store.services(EXPIRE_AFTER_S) == {"nat"}


def test_the_number_of_series_is_bounded_and_the_rest_is_counted() -> None:
    store = SampleStore(max_series=10)

    store.accept(export("nat", gauge("rtt", [({"peer_key": str(n)}, n) for n in range(25)])), now=0.0)

    assert len(store.series(0.0)) == 10
    assert store.dropped_series == 15


def test_the_number_of_services_is_bounded_until_one_expires() -> None:
    store = SampleStore()
    for number in range(MAX_SERVICES + 3):
        store.accept(export(f"s{number}", gauge("a", [({}, 1)])), now=0.0)
    assert len(store.services(0.0)) == MAX_SERVICES

    store.accept(export("late", gauge("a", [({}, 1)])), now=EXPIRE_AFTER_S)

    assert store.services(EXPIRE_AFTER_S) == {"late"}


def test_sums_that_may_fall_are_gauges_and_the_others_counters() -> None:
    store = SampleStore()
    falling = counter("open", [({}, 1)])
    falling.sum.is_monotonic = False

    store.accept(export("node", counter("events_total", [({}, 1)]), falling), now=0.0)

    assert {one.name: one.kind for one in store.series(0.0)} == {"events_total": Kind.COUNTER, "open": Kind.GAUGE}


def test_points_that_prometheus_cannot_show_are_dropped_alone() -> None:
    store = SampleStore()
    delta = Metric(name="delta", sum=OtlpSum(aggregation_temporality=AGGREGATION_TEMPORALITY_DELTA))
    no_value = gauge("gone", [])
    no_value.gauge.data_points.append(
        NumberDataPoint(flags=DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK, as_int=7)
    )
    wrong_buckets = histogram("wrong", [1.0, 2.0], [1, 1], 2.0)
    falling_bounds = histogram("falling", [2.0, 1.0], [1, 1, 1], 2.0)

    store.accept(export("node", delta, no_value, wrong_buckets, falling_bounds, gauge("good", [({}, 1)])), now=0.0)

    assert values(store) == {("good", ()): 1.0}
    assert store.dropped_series == 4


def test_names_become_valid_for_prometheus() -> None:
    assert sanitized_name("rpc.server.duration-ms") == "rpc_server_duration_ms"
    assert sanitized_name("9lives") == "_9lives"
    assert sanitized_label("__name__") == "_name__"
    assert sanitized_label("host.name:x") == "host_name_x"


@given(st.text(max_size=20))
def test_any_label_name_becomes_valid_and_stays_so(name: str) -> None:
    once = sanitized_label(name)

    assert once.isidentifier() and once.isascii()
    assert sanitized_label(once) == once
