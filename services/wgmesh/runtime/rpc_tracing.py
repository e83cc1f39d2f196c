"""Carries the trace context through gRPC calls.

OpenTelemetry's own gRPC instrumentation does the same for 167 ms and 36 MB of imports in every process,
so these are three small interceptors of our own.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT = "traceparent"

# Health checks are asked every second, and a span for each export would make the next export.
UNTRACED_SERVICES = ("/grpc.", "/opentelemetry.")

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("wgmesh.runtime.rpc")


class ServerTracing(grpc.aio.ServerInterceptor):
    """Makes a server span for each unary call. A stream gets its caller's context but no span: it may last for days."""

    def __init__(self, tracer: Tracer = _tracer) -> None:
        self._tracer = tracer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Returns the handler, wrapped when the call is one that is traced."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith(UNTRACED_SERVICES):
            return handler
        parent = _context_of(handler_call_details)
        if handler.unary_unary and inspect.iscoroutinefunction(handler.unary_unary):
            return grpc.unary_unary_rpc_method_handler(
                _spanned(handler.unary_unary, method, parent, self._tracer),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.unary_stream and inspect.isasyncgenfunction(handler.unary_stream):
            return grpc.unary_stream_rpc_method_handler(
                _in_context(handler.unary_stream, parent),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return handler


def _spanned(behaviour: Any, method: str, parent: Context, tracer: Tracer) -> Any:
    service, _, name = method.lstrip("/").partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        with tracer.start_as_current_span(
            method.lstrip("/"),
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,  # the caller gets the reason; a stack in every trace would be noise
            set_status_on_exception=False,
        ) as span:
            try:
                return await behaviour(request, context)
            except grpc.aio.AbortError:  # an error that the error interceptor has turned into a status
                span.set_attribute("rpc.grpc.status_code", _number(context.code()))
                span.set_status(Status(StatusCode.ERROR))
                raise
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    return call


def _number(code: Any) -> int:
    return int(code.value[0] if isinstance(code, grpc.StatusCode) else code)


def _in_context(behaviour: Any, parent: Context) -> Any:
    async def stream(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        # gRPC drives a stream's handler in a task of its own, so the context ends with the task.
        otel_context.attach(parent)
        async for response in behaviour(request, context):
            yield response

    return stream


class UnaryTracing(grpc.aio.UnaryUnaryClientInterceptor):
    """Sends the current traceparent with a unary call."""

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Goes on with the traceparent added."""
        return await continuation(_with_traceparent(client_call_details), request)


class StreamTracing(grpc.aio.UnaryStreamClientInterceptor):
    """Sends the current traceparent with a call that answers with a stream."""

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Goes on with the traceparent added."""
        return await continuation(_with_traceparent(client_call_details), request)


def _context_of(details: grpc.HandlerCallDetails) -> Context:
    values = [str(value) for key, value in details.invocation_metadata or () if key == TRACEPARENT]
    return _propagator.extract({TRACEPARENT: values[0]} if values else {}, context=Context())


def _with_traceparent(details: Any) -> Any:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    if not carrier:
        return details
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    metadata.add(TRACEPARENT, carrier[TRACEPARENT])
    return details._replace(metadata=metadata)
