from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import NoOpTracer
from wgmesh.discovery.events import DatagramRejected
from wgmesh.discovery.io.instruments import Instruments
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.tombstones import Departure
from wgmesh.discovery.messages.inbox import Rejection


def test_every_series_of_a_closed_set_is_there_with_0_before_anything_has_happened() -> None:
    reader = InMemoryMetricReader()
    instruments = Instruments(MeterProvider([reader]).get_meter("test"), NoOpTracer())

    before = points(reader)
    instruments.count(DatagramRejected(Rejection.STALE))
    after = points(reader)

    wanted = {
        "wgmesh_discovery_events_total": {"lan", "exchange", "gossip"},
        "wgmesh_discovery_rejected_datagrams_total": {str(reason) for reason in Rejection},
        "wgmesh_discovery_departures_total": {str(reason) for reason in Departure},
    }
    for name, values in wanted.items():
        assert {label: value for (metric, label), value in before.items() if metric == name} == dict.fromkeys(values, 0)
    for name in ("attempts", "successes"):
        found = {label for metric, label in before if metric == f"wgmesh_nat_traversal_{name}_total"}
        assert len(found) == len(Origin) + 1
    assert {key for key in after if after[key] != before[key]} == {
        ("wgmesh_discovery_rejected_datagrams_total", "stale")
    }


def points(reader: InMemoryMetricReader) -> dict[tuple[str, str], float]:
    """Each series by the name of its metric and the value of its only label."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (metric.name, str(next(iter((point.attributes or {}).values()), ""))): point.value  # type: ignore[union-attr]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
