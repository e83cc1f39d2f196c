"""A channel to one service's unix socket, with deadlines, typed errors and watches that reconnect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio
from wgmesh.client.errors import error_from_rpc

Value = TypeVar("Value")

CALL_TIMEOUT_S = 5.0  # a local call takes milliseconds; five seconds means that the other side is stuck
RECONNECT_S = 0.1  # a restarted service is back within a fraction of a second
MESSAGE_BYTES_MAX = 16 * 1024 * 1024  # a snapshot of 1,000 peers with 16 candidates each stays below 2 MB

_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),  # a proxy variable in the environment must not catch a unix socket
    ("grpc.use_local_subchannel_pool", 1),
    (
        "grpc.http2.bdp_probe",
        0,
    ),  # asks for a bandwidth that a unix socket has anyway: half of an idle client's work
]

_HEALS_BY_WAITING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class ServiceClient:
    """The part that all typed clients share. Use it as an asynchronous context manager."""

    def __init__(self, socket_path: Path, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> None:
        self._channel = grpc.aio.insecure_channel(
            f"unix:{socket_path}", options=_OPTIONS, interceptors=list(interceptors)
        )
        self._name = f"the {socket_path.stem} process"
        self.connected = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def _call(self, method: Callable[..., Any], request: object, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Calls a unary method. Raises the MeshError that the server raised; NotReady if it does not answer."""
        try:
            response = await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure, self._name) from None
        self.connected = True
        return response

    async def _stream(
        self, method: Callable[..., Any], request: object, convert: Callable[[Any], Value], timeout_s: float
    ) -> AsyncGenerator[Value, None]:
        """Yields the values of a stream that ends. Raises the MeshError that the server raised; NotReady if none."""
        try:
            async for response in method(request, timeout=timeout_s):
                yield convert(response)
        except grpc.aio.AioRpcError as failure:
            raise error_from_rpc(failure, self._name) from None

    async def _watch(
        self, method: Callable[..., Any], request: object, convert: Callable[[Any], Value]
    ) -> AsyncIterator[Value]:
        """Yields the values of a watch, and never ends: a stream that ends is opened again.

        Watches carry whole snapshots, so nothing is lost by a gap. Raises only what cannot be healed by waiting.
        """
        while True:
            try:
                async for response in method(request):
                    self.connected = True
                    yield convert(response)
            except grpc.aio.AioRpcError as failure:
                if failure.code() not in _HEALS_BY_WAITING:
                    raise error_from_rpc(failure, self._name) from None
            finally:
                self.connected = False
            await asyncio.sleep(RECONNECT_S)
