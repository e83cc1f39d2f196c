from __future__ import annotations

import bisect

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import Histogram, HistogramDataPoint
from opentelemetry.sdk.resources import Resource
from wgmesh.runtime.histograms import MAX_LABEL_SETS, ForgettableHistogram
from wgmesh.runtime.telemetry_export import Pipeline

ALICE, BOB = {"peer_key": "alice"}, {"peer_key": "bob"}


def histogram(*bounds: float) -> ForgettableHistogram:
    return ForgettableHistogram("rtt_seconds", "Round trips.", bounds or (0.1, 1.0), lambda: 7)


def points(found: ForgettableHistogram) -> dict[str, HistogramDataPoint]:
    metric = found.collect()
    if metric is None:
        return {}
    assert isinstance(metric.data, Histogram)
    return {str((point.attributes or {}).get("peer_key")): point for point in metric.data.data_points}


def test_a_bucket_includes_its_upper_bound() -> None:
    found = histogram(0.1, 1.0)

    for value in (0.05, 0.1, 0.5, 1.0, 5.0):
        found.record(value, ALICE)

    point = points(found)["alice"]
    assert (point.bucket_counts, point.count) == ((2, 2, 1), 5)


def test_a_forgotten_peer_is_no_longer_exported_and_starts_again() -> None:
    found = histogram()
    found.record(0.2, ALICE)
    found.record(0.2, BOB)

    found.forget(ALICE)
    assert set(points(found)) == {"bob"}

    found.record(0.3, ALICE)
    assert points(found)["alice"].count == 1


def test_without_values_there_is_nothing_to_export() -> None:
    found = histogram()
    found.forget(ALICE)

    assert found.collect() is None


def test_the_number_of_label_sets_is_bounded() -> None:
    found = histogram()

    for number in range(MAX_LABEL_SETS + 5):
        found.record(0.1, {"peer_key": str(number)})

    assert len(points(found)) == MAX_LABEL_SETS


@given(st.lists(st.floats(0, 10), min_size=1), st.lists(st.floats(0.01, 9), min_size=1, unique=True).map(sorted))
def test_counts_and_sum_are_those_of_the_values(values: list[float], bounds: list[float]) -> None:
    found = histogram(*bounds)
    for value in values:
        found.record(value, ALICE)

    point = points(found)["alice"]

    assert point.count == len(values)
    assert point.sum == sum(values)
    running = [sum(point.bucket_counts[: index + 1]) for index in range(len(bounds))]
    assert running == [bisect.bisect_right(sorted(values), bound) for bound in bounds]


async def test_it_is_exported_beside_the_sdks_metrics() -> None:
    names: list[str] = []

    class Sink:
        def is_there(self) -> bool:
            return True

        async def export_metrics(self, request: object) -> bool:
            names.extend(
                metric.name
                for resource in request.resource_metrics  # type: ignore[attr-defined]
                for scope in resource.scope_metrics
                for metric in scope.metrics
            )
            return True

        async def export_spans(self, request: object) -> bool:
            return True

    pipeline = Pipeline(Resource({"service.name": "wgmesh-nat"}))
    pipeline.deliver_to(Sink())
    pipeline.meter_provider.get_meter("t").create_counter("a_total").add(1)
    found = histogram()
    found.record(0.1, ALICE)
    pipeline.histograms.append(found)

    await pipeline.export_once()

    assert sorted(names) == ["a_total", "rtt_seconds"]
