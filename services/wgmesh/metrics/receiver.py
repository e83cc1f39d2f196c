"""Takes what the processes export: metrics into the store, both kinds on to a backend if there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from wgmesh.metrics.samples import SampleStore, service_of


class Backend(Protocol):
    """Where telemetry is forwarded to. Offering never waits and never fails."""

    def offer_metrics(self, service: str, payload: bytes) -> None:
        """Takes the newest collection of one service; it replaces one that was not sent yet."""

    def offer_spans(self, payload: bytes) -> None:
        """Takes one batch of spans."""


class Receiver:
    """The one entrance: for the gRPC servicers, and directly for the metrics process's own telemetry."""

    def __init__(self, store: SampleStore, backend: Backend | None, clock: Callable[[], float]) -> None:
        self._store = store
        self._backend = backend
        self._clock = clock

    def is_there(self) -> bool:
        """Always: this is the sink of the process's own telemetry."""
        return True

    async def export_metrics(self, request: ExportMetricsServiceRequest) -> bool:
        """Takes one collection of metrics. Always True: what is above a bound is dropped and counted."""
        self._store.accept(request, self._clock())
        if self._backend is not None:
            services = {service_of(resource.resource.attributes) for resource in request.resource_metrics}
            self._backend.offer_metrics(",".join(sorted(services)), request.SerializeToString())
        return True

    async def export_spans(self, request: ExportTraceServiceRequest) -> bool:
        """Takes one batch of spans. Without a backend nobody would ever read them, so they end here."""
        if self._backend is not None:
            self._backend.offer_spans(request.SerializeToString())
        return True
