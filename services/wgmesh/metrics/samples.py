"""The newest value of every series, as the services last exported it.

A service exports all of its series each time, cumulatively. So an export replaces what the service said before:
a series that is missing from it is gone (a peer was forgotten), and a service that falls silent is dead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    DataPointFlags,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

EXPIRE_AFTER_S = 60.0  # four export intervals: a process that is restarted keeps its place, a dead one does not
MAX_SERVICES = 32  # a node has about seven
MAX_SERIES_PER_SERVICE = 20_000  # a thousand peers with twenty series each

Labels = tuple[tuple[str, str], ...]

_NAME_BAD = re.compile(r"[^a-zA-Z0-9_:]")
_LABEL_BAD = re.compile(r"[^a-zA-Z0-9_]")


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Buckets:
    """One histogram: `counts` has one entry more than `bounds`, for what is above the last; none is cumulative."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


@dataclass(frozen=True, slots=True)
class Series:
    """One line of numbers: its name, its labels (sorted), its newest value."""

    name: str
    kind: Kind
    help: str
    service: str
    labels: Labels
    value: float | Buckets


@dataclass(frozen=True, slots=True)
class _Export:
    received_at: float
    series: tuple[Series, ...]


class SampleStore:
    """The newest export of each service. `now` is seconds and never decreases."""

    def __init__(self, expire_after_s: float = EXPIRE_AFTER_S, max_series: int = MAX_SERIES_PER_SERVICE) -> None:
        self._expire_after_s = expire_after_s
        self._max_series = max_series
        self._exports: dict[str, _Export] = {}
        self.dropped_series = 0  # since the start: above a bound, or of a kind that Prometheus has no form for

    def accept(self, request: ExportMetricsServiceRequest, now: float) -> None:
        """Takes one export. It replaces what the services in it exported before."""
        self._expire(now)
        by_service: dict[str, list[Metric]] = {}
        for resource in request.resource_metrics:
            found = by_service.setdefault(service_of(resource.resource.attributes), [])
            found.extend(metric for scope in resource.scope_metrics for metric in scope.metrics)
        for service, metrics in by_service.items():
            if service in self._exports or len(self._exports) < MAX_SERVICES:
                self._exports[service] = _Export(now, self._bounded(series_of(metrics, service)))
            else:
                self.dropped_series += 1

    def series(self, now: float) -> list[Series]:
        """Returns every living series, ordered by name, then labels, then service."""
        self._expire(now)
        found = [series for export in self._exports.values() for series in export.series]
        return sorted(found, key=lambda series: (series.name, series.labels, series.service))

    def services(self, now: float) -> frozenset[str]:
        """Returns the services that exported lately, without their `wgmesh-` prefix."""
        self._expire(now)
        return frozenset(self._exports)

    def _bounded(self, found: Iterator[Series | None]) -> tuple[Series, ...]:
        kept: dict[tuple[str, Labels], Series] = {}
        for series in found:
            if series is None or len(kept) >= self._max_series:
                self.dropped_series += 1
            else:
                kept[series.name, series.labels] = series
        return tuple(kept.values())

    def _expire(self, now: float) -> None:
        alive = {name: e for name, e in self._exports.items() if now - e.received_at < self._expire_after_s}
        self._exports = alive


def service_of(attributes: Iterable[KeyValue]) -> str:
    """Returns the resource's service.name without our prefix, or "unknown"."""
    for attribute in attributes:
        if attribute.key == "service.name":
            return attribute.value.string_value.removeprefix("wgmesh-") or "unknown"
    return "unknown"


def series_of(metrics: Iterable[Metric], service: str) -> Iterator[Series | None]:
    """Yields a series for each data point, and None for each that Prometheus cannot show.

    Those are deltas, exponential histograms and points that say "no value".
    """
    for metric in metrics:
        name = sanitized_name(metric.name)
        match metric.WhichOneof("data"):
            case "gauge":
                kind, points = Kind.GAUGE, list(metric.gauge.data_points)
            case "sum" if metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE:
                kind = Kind.COUNTER if metric.sum.is_monotonic else Kind.GAUGE
                points = list(metric.sum.data_points)
            case "histogram" if metric.histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE:
                for histogram_point in metric.histogram.data_points:
                    buckets = _buckets_of(histogram_point)
                    labels = labels_of(histogram_point.attributes)
                    yield (
                        None
                        if buckets is None
                        else Series(name, Kind.HISTOGRAM, metric.description, service, labels, buckets)
                    )
                continue
            case _:
                yield None
                continue
        for point in points:
            value = _number_of(point)
            labels = labels_of(point.attributes)
            yield None if value is None else Series(name, kind, metric.description, service, labels, value)


def _number_of(point: NumberDataPoint) -> float | None:
    if point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
        return None
    return float(point.as_int) if point.WhichOneof("value") == "as_int" else point.as_double


def _buckets_of(point: HistogramDataPoint) -> Buckets | None:
    bounds, counts = tuple(point.explicit_bounds), tuple(point.bucket_counts)
    if len(counts) != len(bounds) + 1 or any(a >= b for a, b in pairwise(bounds)):
        return None
    return Buckets(bounds, counts, point.sum)


def labels_of(attributes: Iterable[KeyValue]) -> Labels:
    """Returns the attributes as sorted labels. Of two that sanitize to one name the first stays."""
    labels: dict[str, str] = {}
    for attribute in attributes:
        labels.setdefault(sanitized_label(attribute.key), _text_of(attribute.value))
    return tuple(sorted(labels.items()))


def _text_of(value: AnyValue) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return repr(value.double_value)
        case _:  # lists and maps are no labels
            return ""


def sanitized_name(name: str) -> str:
    """Returns a valid Prometheus metric name: other characters become `_`."""
    return _not_leading_digit(_NAME_BAD.sub("_", name))


def sanitized_label(name: str) -> str:
    """Returns a valid Prometheus label name; a leading `__` is reserved and shortened."""
    return _not_leading_digit(re.sub("^__+", "_", _LABEL_BAD.sub("_", name)))


def _not_leading_digit(name: str) -> str:
    return name if name and not name[0].isdigit() else f"_{name}"
