"""The standard OTLP services, as every OpenTelemetry exporter expects them."""

from __future__ import annotations

from typing import Any

import grpc.aio
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    DESCRIPTOR as METRICS_FILE,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    DESCRIPTOR as TRACE_FILE,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from wgmesh.metrics.receiver import Receiver

SERVICE_NAMES = tuple(
    service.full_name for file in (METRICS_FILE, TRACE_FILE) for service in file.services_by_name.values()
)


class MetricsServicer(MetricsServiceServicer):
    """opentelemetry.proto.collector.metrics.v1.MetricsService."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def Export(
        self, request: ExportMetricsServiceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ExportMetricsServiceResponse:
        """Takes one collection of metrics."""
        await self._receiver.export_metrics(request)
        return ExportMetricsServiceResponse()


class TraceServicer(TraceServiceServicer):
    """opentelemetry.proto.collector.trace.v1.TraceService."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def Export(
        self, request: ExportTraceServiceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ExportTraceServiceResponse:
        """Takes one batch of spans."""
        await self._receiver.export_spans(request)
        return ExportTraceServiceResponse()


def register(receiver: Receiver, server: grpc.aio.Server) -> None:
    """Adds both services to the server."""
    # OpenTelemetry's generated code carries no types.
    add_MetricsServiceServicer_to_server(MetricsServicer(receiver), server)  # type: ignore[no-untyped-call]
    add_TraceServiceServicer_to_server(TraceServicer(receiver), server)  # type: ignore[no-untyped-call]
