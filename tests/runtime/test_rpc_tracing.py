from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
import grpc.aio
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from wgmesh.runtime import rpc_tracing
from wgmesh.runtime.rpc_tracing import ServerTracing, StreamTracing, UnaryTracing

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
METHOD = "/wgmesh.v1.DiscoveryService/ListBans"


@dataclass(frozen=True)
class Details:
    method: str
    invocation_metadata: tuple[tuple[str, str], ...] = ((rpc_tracing.TRACEPARENT, TRACEPARENT),)


class CallDetails(NamedTuple):
    metadata: grpc.aio.Metadata | None


class Spans:
    """What a server's tracing has made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracing = ServerTracing(self._provider.get_tracer("test"))

    def finished(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    async def intercepted(self, handler: Any, details: Details) -> Any:
        async def continuation(_details: Any) -> Any:
            return handler

        return await self._tracing.intercept_service(continuation, details)  # type: ignore[arg-type]


@pytest.fixture
def spans() -> Spans:
    return Spans()


async def current_trace(_request: Any, _context: Any) -> int:
    return trace.get_current_span().get_span_context().trace_id


async def test_a_unary_call_gets_a_server_span_below_its_callers(spans: Spans) -> None:
    handler = await spans.intercepted(grpc.unary_unary_rpc_method_handler(current_trace), Details(METHOD))

    assert await handler.unary_unary(None, None) == TRACE_ID

    [span] = spans.finished()
    assert (span.name, span.kind) == (METHOD[1:], SpanKind.SERVER)
    assert span.parent is not None and span.parent.span_id == 0xB7AD6B7169203331


async def test_a_call_without_a_traceparent_starts_a_trace_of_its_own(spans: Spans) -> None:
    handler = await spans.intercepted(grpc.unary_unary_rpc_method_handler(current_trace), Details(METHOD, ()))

    assert await handler.unary_unary(None, None) not in (0, TRACE_ID)
    assert spans.finished()[0].parent is None


async def test_a_failed_call_has_a_failed_span_without_the_errors_text(spans: Spans) -> None:
    async def fails(_request: Any, _context: Any) -> None:
        raise ValueError("a private detail")

    handler = await spans.intercepted(grpc.unary_unary_rpc_method_handler(fails), Details(METHOD))

    with pytest.raises(ValueError, match="a private detail"):
        await handler.unary_unary(None, None)

    [span] = spans.finished()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "private" not in span.to_json()


async def test_an_aborted_call_has_its_status_code_in_the_span(spans: Spans) -> None:
    class Context:
        def code(self) -> int:
            return int(grpc.StatusCode.NOT_FOUND.value[0])

    async def aborts(_request: Any, _context: Any) -> None:
        raise grpc.aio.AbortError

    handler = await spans.intercepted(grpc.unary_unary_rpc_method_handler(aborts), Details(METHOD))

    with pytest.raises(grpc.aio.AbortError):
        await handler.unary_unary(None, Context())

    [span] = spans.finished()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None and span.attributes["rpc.grpc.status_code"] == 5


async def test_a_stream_gets_its_callers_context_and_no_span(spans: Spans) -> None:
    async def watch(request: Any, context: Any) -> AsyncIterator[int]:
        yield await current_trace(request, context)
        yield await current_trace(request, context)

    handler = await spans.intercepted(
        grpc.unary_stream_rpc_method_handler(watch), Details("/wgmesh.v1.NatService/WatchPaths")
    )

    assert [found async for found in handler.unary_stream(None, None)] == [TRACE_ID, TRACE_ID]
    assert spans.finished() == []


@pytest.mark.parametrize(
    "method",
    ["/grpc.health.v1.Health/Check", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"],
)
async def test_health_checks_and_exports_make_no_spans(spans: Spans, method: str) -> None:
    original: Any = grpc.unary_unary_rpc_method_handler(current_trace)

    assert await spans.intercepted(original, Details(method)) is original


async def test_an_unknown_method_stays_unknown(spans: Spans) -> None:
    assert await spans.intercepted(None, Details(METHOD)) is None


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_client_sends_the_current_traceparent_beside_other_metadata(kind: str) -> None:
    sent: list[CallDetails] = []

    async def continuation(details: CallDetails, _request: Any) -> None:
        sent.append(details)

    async def call(details: CallDetails) -> None:
        if kind == "unary":
            await UnaryTracing().intercept_unary_unary(continuation, details, None)
        else:
            await StreamTracing().intercept_unary_stream(continuation, details, None)

    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
        await call(CallDetails(grpc.aio.Metadata(("key", "value"))))
        await call(CallDetails(None))
    await call(CallDetails(None))

    first, second, outside = (dict(details.metadata or ()) for details in sent)
    assert first["key"] == "value"
    assert f"{span.get_span_context().trace_id:032x}" in str(first["traceparent"])
    assert second["traceparent"] == first["traceparent"]
    assert outside == {}
