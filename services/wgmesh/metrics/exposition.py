"""Series -> the Prometheus text format, version 0.0.4.

prometheus_client writes the text, so that escaping and numbers are its concern. Here series become its families.

A summary has no form in OpenTelemetry's SDK. It arrives as a gauge whose points carry the label `quantile`, beside
counters with the same name plus `_sum` and `_count`; the three become one family.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from math import inf

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from wgmesh.metrics.samples import Buckets, Kind, Labels, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

QUANTILE = "quantile"
SUMMARY_PARTS = ("", "_sum", "_count")


def render(series: Iterable[Series]) -> bytes:
    """Returns the text of all series. Series of one name must have one kind; of two kinds the first stays."""
    return generate_latest(_Families(families_of(series)))


class _Families(Collector):
    """What prometheus_client wants of a registry."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


def families_of(series: Iterable[Series]) -> list[Metric]:
    """Groups series into families, ordered by name."""
    by_name: dict[str, list[Series]] = defaultdict(list)
    for one in series:
        if not by_name[one.name] or by_name[one.name][0].kind is one.kind:
            by_name[one.name].append(one)
    families = {}
    for name in _summary_names(by_name):
        families[name] = _summary(name, [by_name.pop(name + part, []) for part in SUMMARY_PARTS])
    for name, found in by_name.items():
        families[name] = _family(name, found)
    return [families[name] for name in sorted(families)]


def _summary_names(by_name: Mapping[str, Sequence[Series]]) -> list[str]:
    """Two counters X_sum and X_count make a summary, also while X itself has no quantile to show."""
    found = []
    for name in [name.removesuffix("_sum") for name in by_name if name.endswith("_sum")]:
        counters = [*by_name[f"{name}_sum"], *by_name.get(f"{name}_count", ())]
        quantiles = by_name.get(name, ())
        if (
            f"{name}_count" in by_name
            and all(one.kind is Kind.COUNTER for one in counters)
            and all(one.kind is Kind.GAUGE and QUANTILE in dict(one.labels) for one in quantiles)
        ):
            found.append(name)
    return found


def _family(name: str, found: Sequence[Series]) -> Metric:
    first = found[0]
    # prometheus_client knows a counter by its name without `_total` and writes the suffix itself.
    base = name.removesuffix("_total") if first.kind is Kind.COUNTER else name
    family = Metric(base, first.help or name, first.kind.value)
    for one, labels in _distinct(found):
        if isinstance(one.value, Buckets):
            _add_buckets(family, base, labels, one.value)
        else:
            suffix = "_total" if one.kind is Kind.COUNTER else ""
            family.add_sample(base + suffix, labels, one.value)
    return family


def _add_buckets(family: Metric, name: str, labels: dict[str, str], buckets: Buckets) -> None:
    bounds = (*buckets.bounds, inf)
    total = 0
    for bound, total in zip(bounds, accumulate(buckets.counts), strict=True):
        family.add_sample(f"{name}_bucket", {**labels, "le": _bound_text(bound)}, total)
    family.add_sample(f"{name}_count", labels, total)
    family.add_sample(f"{name}_sum", labels, buckets.sum)


def _bound_text(bound: float) -> str:
    return "+Inf" if bound == inf else repr(bound)


def _summary(name: str, parts: Sequence[Sequence[Series]]) -> Metric:
    family = Metric(name, next(one.help for found in parts for one in found) or name, "summary")
    for part, found in zip(SUMMARY_PARTS, parts, strict=True):
        for one, labels in _distinct(found):
            assert isinstance(one.value, float)  # gauges and counters hold numbers
            family.add_sample(name + part, labels, one.value)
    return family


def _distinct(found: Sequence[Series]) -> Iterator[tuple[Series, dict[str, str]]]:
    """Yields each series with its labels. Two services that export the very same series are told apart by `service`.

    A page that repeats a series is refused by Prometheus as a whole.
    """
    times: Counter[Labels] = Counter(one.labels for one in found)
    for one in found:
        labels = dict(one.labels)
        yield one, {**labels, "service": one.service} if times[one.labels] > 1 else labels
