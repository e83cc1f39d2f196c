"""OTLP requests as the services' SDK writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

Points = Iterable[tuple[Mapping[str, str], float]]


def attributes(values: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in values.items()]


def gauge(name: str, points: Points, description: str = "") -> Metric:
    return Metric(name=name, description=description, gauge=Gauge(data_points=_numbers(points)))


def counter(name: str, points: Points, description: str = "") -> Metric:
    return Metric(
        name=name,
        description=description,
        sum=Sum(
            data_points=_numbers(points),
            aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE,
            is_monotonic=True,
        ),
    )


def histogram(
    name: str,
    bounds: Sequence[float],
    counts: Sequence[int],
    total: float,
    labels: Mapping[str, str] | None = None,
) -> Metric:
    point = HistogramDataPoint(
        attributes=attributes(labels or {}),
        explicit_bounds=bounds,
        bucket_counts=counts,
        sum=total,
        count=sum(counts),
    )
    return Metric(
        name=name, histogram=Histogram(data_points=[point], aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE)
    )


def export(service: str, *metrics: Metric) -> ExportMetricsServiceRequest:
    """One export of the service `wgmesh-<service>`."""
    resource = Resource(attributes=attributes({"service.name": f"wgmesh-{service}"}))
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[ScopeMetrics(metrics=metrics)])]
    )


def _numbers(points: Points) -> list[NumberDataPoint]:
    return [NumberDataPoint(attributes=attributes(labels), as_double=value) for labels, value in points]
