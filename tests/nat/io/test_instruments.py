from __future__ import annotations

import ipaddress
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from wgmesh.core.model import Mapping, NatReport, PortMapping, PublicKey
from wgmesh.nat.io.instruments import RTT_BOUNDARIES_S, PathInstruments
from wgmesh.nat.tunnel_probe import ProbeTarget
from wgmesh.runtime.histograms import ForgettableHistogram

KEY = PublicKey(bytes(32))
OTHER = PublicKey(bytes([1] * 32))
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ROUTES = ((ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.2")),)


class Bench:
    """Instruments with everything that they record at hand."""

    def __init__(self) -> None:
        self.report = NatReport()
        self._reader = InMemoryMetricReader()
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meter = MeterProvider([self._reader]).get_meter("test")
        self.rtt = ForgettableHistogram("wgmesh_probe_rtt_seconds", "", RTT_BOUNDARIES_S, lambda: 0)
        self.instruments = PathInstruments(meter, tracers.get_tracer("test"), self.rtt, lambda: self.report)

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        found = [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return [point for metric in found for point in metric.data.data_points]

    def round_trips(self) -> list[Any]:
        metric = self.rtt.collect()
        return list(metric.data.data_points) if metric else []

    def spans(self) -> list[Any]:
        return list(self._exporter.get_finished_spans())


def test_the_nat_type_is_one_for_the_current_kind_and_zero_for_the_others() -> None:
    bench = Bench()
    bench.report = NatReport(mapping=Mapping.ENDPOINT_INDEPENDENT)

    values = {point.attributes["type"]: point.value for point in bench.points("wgmesh_nat_type")}

    assert values == {"cone": 1, "symmetric": 0, "unknown": 0}


def test_an_answer_is_counted_in_histogram_and_summary() -> None:
    bench = Bench()
    bench.instruments.answered(KEY, 0.004)

    (histogram,) = bench.round_trips()
    assert histogram.explicit_bounds == RTT_BOUNDARIES_S
    assert histogram.attributes == {"peer_key": KEY.short}
    quantiles = {point.attributes["quantile"] for point in bench.points("wgmesh_probe_rtt_summary_seconds")}
    assert quantiles == {"0.5", "0.95", "0.99"}
    assert [point.value for point in bench.points("wgmesh_probe_rtt_summary_seconds_sum")] == [0.004]
    assert [point.value for point in bench.points("wgmesh_probe_rtt_summary_seconds_count")] == [1]


def test_the_series_of_a_removed_peer_disappear() -> None:
    bench = Bench()
    bench.instruments.answered(KEY, 0.004)
    bench.instruments.answered(OTHER, 0.004)

    bench.instruments.retain({OTHER})

    peers = {point.attributes["peer_key"] for point in bench.points("wgmesh_probe_rtt_summary_seconds_count")}
    assert peers == {OTHER.short}
    assert [point.attributes["peer_key"] for point in bench.round_trips()] == [OTHER.short]


def test_one_span_covers_the_way_from_the_first_probe_to_the_first_answer() -> None:
    bench = Bench()
    target = ProbeTarget(KEY, ROUTES, traceparent=TRACE)
    bench.instruments.asked(target)
    bench.instruments.asked(target)
    bench.instruments.answered(KEY, 0.004)
    bench.instruments.asked(target)
    bench.instruments.answered(KEY, 0.004)

    (span,) = bench.spans()
    assert span.name == "path.probe"
    assert f"{span.context.trace_id:032x}" == TRACE.split("-")[1]
    assert f"{span.parent.span_id:016x}" == TRACE.split("-")[2]
    assert span.attributes == {"peer": KEY.short, "answered": True}


def test_the_span_of_a_peer_that_goes_unanswered_ends_with_it() -> None:
    bench = Bench()
    bench.instruments.asked(ProbeTarget(KEY, ROUTES, traceparent=TRACE))

    bench.instruments.retain(set())

    assert [span.attributes["answered"] for span in bench.spans()] == [False]


def test_the_port_mapping_is_one_for_its_protocol_once_it_is_confirmed() -> None:
    bench = Bench()

    def values() -> dict[str, int]:
        return {point.attributes["protocol"]: point.value for point in bench.points("wgmesh_port_mapping")}

    nothing = {"PCP": 0, "NAT-PMP": 0, "UPnP-IGD": 0}
    assert values() == nothing
    bench.report = NatReport(port_mapping=PortMapping(True, "PCP"))
    assert values() == nothing
    bench.report = NatReport(port_mapping=PortMapping(True, "PCP", is_confirmed=True))
    assert values() == nothing | {"PCP": 1}
