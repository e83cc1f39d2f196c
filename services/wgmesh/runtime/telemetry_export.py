"""Collects the spans and metrics of one process and sends them, bounded and quiet.

The receiver may be missing, late, restarting or hanging: nothing here waits for it, logs it or grows because of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from wgmesh.runtime.histograms import ForgettableHistogram

EXPORT_INTERVAL_S = 15.0  # measured: 3 ms of CPU an export, so 0.02 % of a core; as often as Prometheus usually asks
FIRST_EXPORT_S = 1.0  # not in the first second, which belongs to finding peers; then 2, 4 and 8 s later
MAX_SPANS = 2048  # OpenTelemetry's own default for a batch processor's queue
GIVE_UP_AFTER_TRIES = 7  # a minute without a receiver: this node has none, and nobody will read the spans
MAX_SPANS_A_CALL = 512
CALL_TIMEOUT_S = 2.0
LAST_EXPORT_TIMEOUT_S = 0.4  # what stopping may cost at most

METRICS_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Sink(Protocol):
    """Where telemetry goes. Each export says whether it was taken."""

    def is_there(self) -> bool: ...

    async def export_metrics(self, request: ExportMetricsServiceRequest) -> bool: ...

    async def export_spans(self, request: ExportTraceServiceRequest) -> bool: ...


class RemoteSink:
    """The metrics process, on its unix socket. A call that fails is False, never an exception."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path
        self._channel: grpc.aio.Channel | None = None

    def is_there(self) -> bool:
        """Tells whether there is a socket: one stat, where collecting and failing would cost a hundred times that."""
        return self._socket_path.exists()

    async def export_metrics(self, request: ExportMetricsServiceRequest) -> bool:
        """Sends one collection."""
        return await self._call(METRICS_EXPORT, request.SerializeToString())

    async def export_spans(self, request: ExportTraceServiceRequest) -> bool:
        """Sends one batch of spans."""
        return await self._call(TRACES_EXPORT, request.SerializeToString())

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def _call(self, method: str, payload: bytes) -> bool:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(
                f"unix:{self._socket_path}",
                options=[("grpc.max_reconnect_backoff_ms", int(EXPORT_INTERVAL_S * 1000))],
            )
        # Without serializers a call takes and gives bytes.
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        try:
            await call(payload, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return True


class SpanBuffer(SpanProcessor):
    """Ended spans that wait for the next export. When it is full the oldest make room."""

    def __init__(self, capacity: int = MAX_SPANS) -> None:
        self._spans: deque[ReadableSpan] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._spans)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do: a span counts when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keeps a sampled span."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._spans.append(span)

    def take(self, count: int = MAX_SPANS_A_CALL) -> list[ReadableSpan]:
        """Removes and returns up to `count` spans, oldest first."""
        return [self._spans.popleft() for _ in range(min(count, len(self._spans)))]

    def clear(self) -> None:
        """Drops all."""
        self._spans.clear()

    def give_back(self, spans: list[ReadableSpan]) -> None:
        """Puts spans that could not be sent back in front, as far as there is room."""
        room = (self._spans.maxlen or 0) - len(self._spans)
        if room > 0:
            self._spans.extendleft(reversed(spans[-room:]))


class Pipeline:
    """The providers of one process and the task that empties them into a sink."""

    def __init__(self, resource: Resource, interval_s: float = EXPORT_INTERVAL_S) -> None:
        self._resource = resource
        self._sink: Sink | None = None
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self._tries_without_receiver = 0
        self.histograms: list[ForgettableHistogram] = []
        self._spans = SpanBuffer()
        self._reader = InMemoryMetricReader()
        # The sampler and the exemplar filter are named, so that OTEL_* variables cannot change what a node costs.
        self.tracer_provider = TracerProvider(ParentBased(ALWAYS_ON), resource, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(self._spans)
        self.meter_provider = MeterProvider(
            [self._reader], resource, exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )

    def deliver_to(self, sink: Sink) -> None:
        """Sends to `sink` from now on, and soon for the first time."""
        self._sink = sink
        self._wake.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Exports while the body runs, often at first, and once more when it ends."""
        task = asyncio.get_running_loop().create_task(self._export_forever(), name="telemetry")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()  # a bug in here is told, but only when it can no longer end the service
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_EXPORT_TIMEOUT_S):
                    await self.export_once()
            if isinstance(self._sink, RemoteSink):
                await self._sink.close()

    async def export_once(self) -> None:
        """Sends what there is. What could not be sent is kept (spans, bounded) or sent again next time (metrics)."""
        if self._sink is None or not self._sink.is_there():
            self._tries_without_receiver += 1
            if self._tries_without_receiver >= GIVE_UP_AFTER_TRIES:
                self._spans.clear()
            return
        self._tries_without_receiver = 0
        if not await self._sink.export_metrics(encode_metrics(self._collect())):
            return
        while batch := self._spans.take():
            taken = False
            try:
                taken = await self._sink.export_spans(encode_spans(batch))
            finally:
                if not taken:  # also when stopping interrupted the call: the last export sends it again
                    self._spans.give_back(batch)
            if not taken:
                return

    def _collect(self) -> MetricsData:
        collected = self._reader.get_metrics_data() or MetricsData([])
        own = [metric for histogram in self.histograms if (metric := histogram.collect()) is not None]
        # All in one resource: two of the same would replace each other on the way.
        scopes = [scope for resource in collected.resource_metrics for scope in resource.scope_metrics]
        scopes.append(ScopeMetrics(InstrumentationScope("wgmesh.runtime.histograms"), own, ""))
        return MetricsData([ResourceMetrics(self._resource, scopes, "")])

    async def _export_forever(self) -> None:
        self._wake.clear()
        delay = FIRST_EXPORT_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            self._wake.clear()
            await self.export_once()
            delay = min(2 * delay, self._interval_s)
