"""Traces and metrics of one process, sent over OTLP to the metrics process of the same interface.

    telemetry.configure(settings, service_version=version)      # after the fork, before or inside the event loop
    async with telemetry.exporting():                           # inside the event loop, around the service's life
        ...

`tracer` and `meter` may be used at import time: what they return wakes up at `configure`.

The SDK's own exporters each bring a thread and a blocking channel, and PeriodicExportingMetricReader another; measured,
that is more than the rest of an idle service. Here one task in the event loop collects, encodes and sends both.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import grpc.aio
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from wgmesh.runtime import process_stats, rpc_tracing
from wgmesh.runtime.histograms import ForgettableHistogram
from wgmesh.runtime.settings import RuntimeSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from wgmesh.runtime.telemetry_export import Pipeline, Sink

METRICS_SERVICE = "metrics"

_propagator = TraceContextTextMapPropagator()


class _State:
    """One a process, as OpenTelemetry's providers are."""

    def __init__(self) -> None:
        self.pipeline: Pipeline | None = None
        self.service = ""
        self.histograms: list[ForgettableHistogram] = []


_state = _State()


def configure(settings: RuntimeSettings, *, service_version: str) -> None:
    """Wakes up every tracer and meter of this process. Opens nothing and waits for nothing.

    Call it once, after the fork: OpenTelemetry keeps one provider a process. Later calls change nothing. The SDK is
    loaded here, because a node that exports nothing should not pay its 7 MB and 50 ms.
    """
    if _state.pipeline is not None or not settings.telemetry:
        return
    from wgmesh.runtime.telemetry_export import Pipeline, RemoteSink

    pipeline = Pipeline(describe_process(settings, service_version))
    pipeline.histograms = _state.histograms
    _state.pipeline = pipeline
    trace.set_tracer_provider(pipeline.tracer_provider)
    metrics.set_meter_provider(pipeline.meter_provider)
    if settings.service != METRICS_SERVICE:  # the metrics process gives its own sink, so that it does not call itself
        pipeline.deliver_to(RemoteSink(settings.socket_path(METRICS_SERVICE)))
    _state.service = settings.service
    process_stats.register(meter("wgmesh.runtime"), settings.service)


def describe_process(settings: RuntimeSettings, service_version: str) -> Resource:
    """Returns the OTLP resource of this process, without the SDK's detectors: they scan every installed package."""
    from opentelemetry.sdk.resources import Resource

    return Resource(
        {
            "service.name": f"wgmesh-{settings.service}",
            "service.namespace": "wgmesh",
            "service.version": service_version,
            "service.instance.id": str(uuid.uuid4()),
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
            "wgmesh.interface": settings.interface,
        }
    )


@contextlib.asynccontextmanager
async def exporting() -> AsyncIterator[None]:
    """Exports while the body runs, and once more at its end, for at most half a second.

    Without `configure` it does nothing. A missing receiver is no error.
    """
    if _state.pipeline is None:
        yield
        return
    process_stats.register_tasks(meter("wgmesh.runtime"), _state.service, asyncio.get_running_loop())
    async with _state.pipeline.running():
        yield


def deliver_to(sink: Sink) -> None:
    """Gives this process's telemetry to `sink` from the next export on, instead of to the metrics process's socket."""
    if _state.pipeline is not None:
        _state.pipeline.deliver_to(sink)


def tracer(name: str) -> Tracer:
    """Returns a tracer; its spans are dropped until `configure`."""
    return trace.get_tracer(name)


def meter(name: str) -> Meter:
    """Returns a meter; its instruments record nothing until `configure`."""
    return metrics.get_meter(name)


def forgettable_histogram(name: str, description: str, bounds: Sequence[float]) -> ForgettableHistogram:
    """Returns a histogram by labels whose series end with `forget`, for labels that name a peer.

    Call it once a name; it is exported until the process ends.
    """
    histogram = ForgettableHistogram(name, description, bounds, time.time_ns)
    _state.histograms.append(histogram)
    return histogram


def inject() -> str:
    """Returns the W3C traceparent of the current context, or "" when there is no span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


def context_from(traceparent: str) -> Context:
    """Returns the context that a traceparent names; anything malformed gives a context without a span."""
    return _propagator.extract({"traceparent": traceparent}, context=Context())


def server_interceptors() -> Sequence[grpc.aio.ServerInterceptor]:
    """Returns what gives unary calls a server span and streams their caller's context: nothing until `configure`."""
    return (rpc_tracing.ServerTracing(),) if _state.pipeline else ()


def client_interceptors() -> Sequence[grpc.aio.ClientInterceptor]:
    """Returns what sends the current traceparent with unary calls and response streams: nothing until `configure`.

    gRPC runs an intercepted call in tasks of its own, which a node that exports nothing need not pay.
    """
    return (rpc_tracing.UnaryTracing(), rpc_tracing.StreamTracing()) if _state.pipeline else ()
