from __future__ import annotations

import asyncio
from pathlib import Path

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from support.waiting import PATIENCE_S, turn_of_the_loop, until
from wgmesh.runtime.telemetry_export import (
    GIVE_UP_AFTER_TRIES,
    MAX_SPANS,
    MAX_SPANS_A_CALL,
    Pipeline,
    RemoteSink,
    SpanBuffer,
)


class FakeSink:
    def __init__(self) -> None:
        self.there = True
        self.takes = True
        self.span_names: list[str] = []
        self.batches: list[int] = []
        self.metric_exports: list[dict[str, float]] = []
        self.exported = asyncio.Event()

    def is_there(self) -> bool:
        return self.there

    async def export_metrics(self, request: ExportMetricsServiceRequest) -> bool:
        if self.takes:
            self.metric_exports.append(
                {
                    metric.name: point.as_int
                    for resource in request.resource_metrics
                    for scope in resource.scope_metrics
                    for metric in scope.metrics
                    for point in [*metric.sum.data_points, *metric.gauge.data_points]
                }
            )
            self.exported.set()
        return self.takes

    async def export_spans(self, request: ExportTraceServiceRequest) -> bool:
        if self.takes:
            names = [s.name for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
            self.span_names += names
            self.batches.append(len(names))
        return self.takes


def pipeline_with(sink: FakeSink) -> Pipeline:
    pipeline = Pipeline(Resource({"service.name": "wgmesh-test"}))
    pipeline.deliver_to(sink)
    pipeline.meter_provider.get_meter("t").create_counter("a_total").add(1)
    return pipeline


def end_spans(pipeline: Pipeline, count: int, start: int = 0) -> None:
    tracer = pipeline.tracer_provider.get_tracer("t")
    for number in range(start, start + count):
        tracer.start_span(f"span {number}").end()


async def test_spans_and_metrics_go_out_and_spans_only_once() -> None:
    sink = FakeSink()
    pipeline = pipeline_with(sink)
    end_spans(pipeline, 2)

    await pipeline.export_once()
    await pipeline.export_once()

    assert sink.span_names == ["span 0", "span 1"]
    assert sink.metric_exports == [{"a_total": 1}, {"a_total": 1}]


async def test_spans_that_were_not_taken_are_sent_later_in_order() -> None:
    sink = FakeSink()
    pipeline = pipeline_with(sink)
    sink.takes = False
    end_spans(pipeline, 2)
    await pipeline.export_once()

    sink.takes = True
    end_spans(pipeline, 1, start=2)
    await pipeline.export_once()

    assert sink.span_names == ["span 0", "span 1", "span 2"]


async def test_many_spans_go_in_bounded_calls_and_the_oldest_make_room() -> None:
    sink = FakeSink()
    pipeline = pipeline_with(sink)
    end_spans(pipeline, MAX_SPANS + 10)

    await pipeline.export_once()

    assert sink.batches == [MAX_SPANS_A_CALL] * (MAX_SPANS // MAX_SPANS_A_CALL)
    assert sink.span_names[0] == "span 10"


async def test_without_a_receiver_spans_are_given_up_after_a_while_and_metrics_are_not_collected() -> None:
    sink = FakeSink()
    pipeline = pipeline_with(sink)
    collections: list[float] = []

    def observe(_options: CallbackOptions) -> list[Observation]:
        collections.append(1)
        return [Observation(1)]

    pipeline.meter_provider.get_meter("t").create_observable_gauge("g", [observe])
    sink.there = False
    end_spans(pipeline, 1)
    for _ in range(GIVE_UP_AFTER_TRIES):
        await pipeline.export_once()

    sink.there = True
    end_spans(pipeline, 1, start=1)
    await pipeline.export_once()

    assert sink.span_names == ["span 1"]
    assert len(collections) == 1


async def test_a_receiver_that_comes_a_little_late_gets_everything() -> None:
    sink = FakeSink()
    pipeline = pipeline_with(sink)
    sink.there = False
    end_spans(pipeline, 1)
    for _ in range(GIVE_UP_AFTER_TRIES - 1):
        await pipeline.export_once()

    sink.there = True
    await pipeline.export_once()

    assert sink.span_names == ["span 0"]


async def test_a_series_that_is_no_longer_observed_is_no_longer_exported() -> None:
    sink = FakeSink()
    pipeline = pipeline_with(sink)
    peers = ["alice"]
    pipeline.meter_provider.get_meter("t").create_observable_gauge(
        "rtt", [lambda _: [Observation(1, {"peer": peer}) for peer in peers]]
    )
    await pipeline.export_once()
    peers.clear()
    await pipeline.export_once()

    assert ["rtt" in export for export in sink.metric_exports] == [True, False]


async def test_what_ended_just_before_the_stop_still_goes_out() -> None:
    sink = FakeSink()
    pipeline = pipeline_with(sink)

    async with pipeline.running():
        end_spans(pipeline, 1)

    assert sink.span_names == ["span 0"]


async def test_a_receiver_that_hangs_does_not_hold_up_the_stop() -> None:
    class Hanging(FakeSink):
        async def export_metrics(self, request: ExportMetricsServiceRequest) -> bool:
            await asyncio.Event().wait()
            return True

    async with asyncio.timeout(PATIENCE_S), pipeline_with(Hanging()).running():
        pass


async def test_a_new_receiver_is_served_at_once() -> None:
    pipeline = Pipeline(Resource({"service.name": "wgmesh-test"}))
    pipeline.meter_provider.get_meter("t").create_counter("a_total").add(1)
    sink = FakeSink()

    async with pipeline.running():
        await turn_of_the_loop()
        pipeline.deliver_to(sink)
        await until(sink.exported.is_set)


async def test_a_missing_socket_is_no_receiver(tmp_path: Path) -> None:
    assert not RemoteSink(tmp_path / "metrics.sock").is_there()


async def test_a_socket_that_nobody_serves_is_a_failed_export_and_no_error(tmp_path: Path) -> None:
    leftover = tmp_path / "metrics.sock"
    leftover.touch()
    sink = RemoteSink(leftover)

    assert sink.is_there()
    assert not await sink.export_metrics(ExportMetricsServiceRequest())

    await sink.close()


def test_given_back_spans_never_exceed_the_bound() -> None:
    buffer = SpanBuffer(capacity=3)
    pipeline = Pipeline(Resource({}))
    pipeline.tracer_provider.add_span_processor(buffer)
    end_spans(pipeline, 3)
    taken = buffer.take()
    end_spans(pipeline, 2, start=3)

    buffer.give_back(taken)

    assert [span.name for span in buffer.take()] == ["span 2", "span 3", "span 4"]
