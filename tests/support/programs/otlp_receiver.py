"""A small real OTLP receiver: prints one JSON line for each span that reaches it.

Run it as a program: `python otlp_receiver.py ADDRESS:PORT`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        for resource in request.resource_spans:
            attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    line = {
                        "service": attributes.get("service.name", ""),
                        "name": span.name,
                        "trace": span.trace_id.hex(),
                        "parent": span.parent_span_id.hex(),
                    }
                    print(json.dumps(line), flush=True)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        return metrics_service_pb2.ExportMetricsServiceResponse()


def spans(log: Path) -> Iterator[dict[str, str]]:
    """The spans in a receiver's output."""
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    # The published stubs carry no types.
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(), server)  # type: ignore[no-untyped-call]
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(), server)  # type: ignore[no-untyped-call]
    if server.add_insecure_port(sys.argv[1]) == 0:
        sys.exit(f"cannot listen on {sys.argv[1]}")
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
