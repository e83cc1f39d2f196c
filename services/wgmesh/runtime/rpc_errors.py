"""Error -> gRPC status: one table, one interceptor. The inverse is `wgmesh.client.errors`."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeAlias

import grpc
import grpc.aio
from wgmesh.core import errors
from wgmesh.runtime import logs

ERROR_METADATA_KEY = "wgmesh-error"  # trailing metadata: the class name, so that the caller raises the same class

STATUS_BY_ERROR: dict[type[errors.MeshError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.NotReady: grpc.StatusCode.UNAVAILABLE,  # the only status that clients retry
    errors.Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.AlreadyRunning: grpc.StatusCode.ALREADY_EXISTS,
    errors.CorruptState: grpc.StatusCode.DATA_LOSS,
    errors.NotSupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.MeshError: grpc.StatusCode.INTERNAL,
}

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def status_of(error: type[errors.MeshError]) -> grpc.StatusCode:
    """Returns the status of an error class: its own, or that of its nearest ancestor in the table."""
    return next(STATUS_BY_ERROR[ancestor] for ancestor in error.__mro__ if ancestor in STATUS_BY_ERROR)


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns every exception that leaves a handler into a status. A handler itself never chooses one.

    An exception that is not a MeshError is a bug: the log gets the traceback under an id, the caller gets only the id.
    """

    def __init__(self) -> None:
        self._log = logs.logger()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None:  # no such method: gRPC answers UNIMPLEMENTED itself
            return handler
        return self._guarded(handler, handler_call_details.method)

    def _guarded(self, handler: Handler, method: str) -> Handler:
        serialization = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._wrap(handler.unary_unary, method), **serialization)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._wrap(handler.unary_stream, method), **serialization)
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(self._wrap(handler.stream_unary, method), **serialization)
        assert handler.stream_stream is not None
        return grpc.stream_stream_rpc_method_handler(self._wrap(handler.stream_stream, method), **serialization)

    def _wrap(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        # the function decides, not the kind of method: a streaming handler may be a coroutine that writes to a context
        if inspect.isasyncgenfunction(behaviour):
            return self._guard_generator(behaviour, method)
        if inspect.iscoroutinefunction(behaviour):
            return self._guard_coroutine(behaviour, method)
        return behaviour

    def _guard_coroutine(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                return await behaviour(request, context)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                await self._abort(context, error, method)

        return guarded

    def _guard_generator(self, behaviour: Callable[..., Any], method: str) -> Callable[..., Any]:
        async def guarded(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            try:
                async for response in behaviour(request, context):
                    yield response
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                await self._abort(context, error, method)

        return guarded

    async def _abort(self, context: grpc.aio.ServicerContext[Any, Any], error: Exception, method: str) -> NoReturn:
        if isinstance(error, errors.MeshError):
            status, details, name = status_of(type(error)), str(error), type(error).__name__
        else:
            error_id = uuid.uuid4().hex[:12]
            self._log.error("call failed by a bug", method=method, error_id=error_id, exc_info=error)
            status, details, name = (
                grpc.StatusCode.INTERNAL,
                f"internal error; the log has it as {error_id}",
                "MeshError",
            )
        await context.abort(status, details, ((ERROR_METADATA_KEY, name),))
