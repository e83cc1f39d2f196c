"""What one caller may ask at one time: which methods, how many streams, how many calls of each method.

The kind: whatever one caller keeps open or repeats, there is room for another call of another method. Streams never
end by themselves, and some calls wait for seconds, so each has a limit of its own below that of the server.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc
import grpc.aio
from wgmesh.core.errors import Busy
from wgmesh.runtime.callers import Access

STREAMS_MAX = 64  # a service keeps one watch or two open, a person a handful of terminals
CALLS_MAX = 32  # of one method; most take milliseconds, and a probe up to a minute
RPCS_MAX = 1024  # the server's own limit, which is reached only by all methods together

# What belongs to gRPC itself, and tells nothing of the node
OPEN_SERVICES = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
)

STREAMS = "streams"

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class BoundsInterceptor(grpc.aio.ServerInterceptor):
    """Refuses what a caller may not ask, and what is too much. Stands inside of the interceptor that names errors."""

    def __init__(self, access: Access | None) -> None:
        self._access = access
        self._open: Counter[str] = Counter()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        if not self._may_call(method):
            return None  # as a method that does not exist: UNIMPLEMENTED
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        serialization = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            what = f"{CALLS_MAX} calls of this kind"
            bounded = self._bounded(handler.unary_unary, method, CALLS_MAX, what)
            return grpc.unary_unary_rpc_method_handler(bounded, **serialization)
        if handler.unary_stream is not None:
            bounded = self._bounded(handler.unary_stream, STREAMS, STREAMS_MAX, f"{STREAMS_MAX} watches")
            return grpc.unary_stream_rpc_method_handler(bounded, **serialization)
        return handler  # of reflection alone, which is served only to those who debug

    def _may_call(self, method: str) -> bool:
        service = method.removeprefix("/").partition("/")[0]
        return self._access is None or service in OPEN_SERVICES or self._access.allows(method)

    def _bounded(self, behaviour: Callable[..., Any], kind: str, most: int, what: str) -> Callable[..., Any]:
        async def generator(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            with self._counted(kind, most, what):
                async for response in behaviour(request, context):
                    yield response

        async def coroutine(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            with self._counted(kind, most, what):
                return await behaviour(request, context)

        # the function decides, not the kind of method, as for the errors
        if inspect.isasyncgenfunction(behaviour):
            return generator
        return coroutine if inspect.iscoroutinefunction(behaviour) else behaviour

    @contextmanager
    def _counted(self, kind: str, most: int, what: str) -> Iterator[None]:
        if self._open[kind] >= most:
            raise Busy(f"{what} are open on this socket already, and more are not served. End some of them.")
        self._open[kind] += 1
        try:
            yield
        finally:
            self._open[kind] -= 1
