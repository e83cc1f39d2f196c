"""A histogram whose series can end.

The SDK's histogram never drops a set of labels: a peer that left would be exported until the process ends.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric

MAX_LABEL_SETS = 2000  # the SDK's own bound for one instrument

Labels = frozenset[tuple[str, str]]


@dataclass(slots=True)
class _Counts:
    started_ns: int
    buckets: list[int]
    sum: float
    lowest: float
    highest: float


class ForgettableHistogram:
    """Counts values by labels, cumulatively, until the labels are forgotten. `clock_ns` is wall time."""

    def __init__(self, name: str, description: str, bounds: Sequence[float], clock_ns: Callable[[], int]) -> None:
        self._name = name
        self._description = description
        self._bounds = tuple(bounds)
        self._clock_ns = clock_ns
        self._counts: dict[Labels, _Counts] = {}

    def record(self, value: float, labels: Mapping[str, str]) -> None:
        """Counts one value. A set of labels beyond the bound is not taken."""
        key = frozenset(labels.items())
        counts = self._counts.get(key)
        if counts is None:
            if len(self._counts) >= MAX_LABEL_SETS:
                return
            counts = _Counts(self._clock_ns(), [0] * (len(self._bounds) + 1), 0.0, value, value)
            self._counts[key] = counts
        counts.buckets[bisect_left(self._bounds, value)] += 1  # a bucket includes its upper bound
        counts.sum += value
        counts.lowest, counts.highest = min(counts.lowest, value), max(counts.highest, value)

    def forget(self, labels: Mapping[str, str]) -> None:
        """Ends the series with exactly these labels; unknown ones are no error."""
        self._counts.pop(frozenset(labels.items()), None)

    def collect(self) -> Metric | None:
        """Returns everything as the SDK would export it, or None when there is nothing."""
        if not self._counts:
            return None
        # a process that collects has loaded the SDK already; one that only records need not
        from opentelemetry.sdk.metrics.export import AggregationTemporality, Histogram, HistogramDataPoint, Metric

        now_ns = self._clock_ns()
        points = [
            HistogramDataPoint(
                attributes=dict(labels),
                start_time_unix_nano=counts.started_ns,
                time_unix_nano=now_ns,
                count=sum(counts.buckets),
                sum=counts.sum,
                bucket_counts=tuple(counts.buckets),
                explicit_bounds=self._bounds,
                min=counts.lowest,
                max=counts.highest,
            )
            for labels, counts in self._counts.items()
        ]
        return Metric(self._name, self._description, "", Histogram(points, AggregationTemporality.CUMULATIVE))
