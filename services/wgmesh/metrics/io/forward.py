"""Forwards telemetry to an OpenTelemetry backend over OTLP gRPC: bounded, retried, never in the way."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncIterator

import grpc
import grpc.aio
from wgmesh.metrics.settings import OtlpEndpoint
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.telemetry_export import METRICS_EXPORT, TRACES_EXPORT

MAX_SPAN_BATCHES = 256  # of up to 512 spans; some minutes of a busy node
MAX_SPAN_BYTES = 8 * 1024 * 1024
MAX_METRIC_SERVICES = 32
CALL_TIMEOUT_S = 10.0  # OpenTelemetry's default for an OTLP exporter
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
LAST_FLUSH_S = 0.5  # what stopping may cost at most

# OTLP specification, "Failures": these may succeed later, all others never will.
RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class Forwarder:
    """A bounded queue in front of the backend.

    Of a service's metrics only the newest wait, since they are cumulative. Of spans the oldest make room.
    """

    def __init__(self, endpoint: OtlpEndpoint, log: BoundLogger) -> None:
        self._endpoint = endpoint
        self._log = log
        self._metrics: dict[str, bytes] = {}
        self._spans: deque[bytes] = deque()
        self._span_bytes = 0
        self._wake = asyncio.Event()
        self._reachable = True
        self.dropped = 0  # payloads that no longer fitted or that the backend refused for good

    @property
    def waiting(self) -> int:
        """The number of payloads that were not sent yet."""
        return len(self._metrics) + len(self._spans)

    def offer_metrics(self, service: str, payload: bytes) -> None:
        """Takes the newest collection of one service; it replaces one that was not sent yet."""
        if service not in self._metrics and len(self._metrics) >= MAX_METRIC_SERVICES:
            self.dropped += 1
            return
        self._metrics[service] = payload
        self._wake.set()

    def offer_spans(self, payload: bytes) -> None:
        """Takes one batch of spans; the oldest batches make room."""
        self._spans.append(payload)
        self._span_bytes += len(payload)
        while self._spans and (len(self._spans) > MAX_SPAN_BATCHES or self._span_bytes > MAX_SPAN_BYTES):
            self._span_bytes -= len(self._spans.popleft())
            self.dropped += 1
        self._wake.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Forwards while the body runs, then tries once more to empty the queue, for at most half a second."""
        async with self._channel() as channel:
            task = asyncio.get_running_loop().create_task(self._forward_forever(channel), name="otlp-forward")
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait({task})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_FLUSH_S):
                        await self._send_all(channel)

    def _channel(self) -> grpc.aio.Channel:
        options = [("grpc.max_reconnect_backoff_ms", int(LAST_RETRY_S * 1000))]
        if self._endpoint.encrypted:
            return grpc.aio.secure_channel(self._endpoint.target, grpc.ssl_channel_credentials(), options=options)
        return grpc.aio.insecure_channel(self._endpoint.target, options=options)

    async def _forward_forever(self, channel: grpc.aio.Channel) -> None:
        delay = FIRST_RETRY_S
        while True:
            await self._wake.wait()
            self._wake.clear()
            if await self._send_all(channel):
                delay = FIRST_RETRY_S
                continue
            # Jitter, so that a fleet does not come back to its backend in one instant.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LAST_RETRY_S)
            self._wake.set()

    async def _send_all(self, channel: grpc.aio.Channel) -> bool:
        """Returns False as soon as a payload must be tried again later; it stays queued."""
        while self._spans:
            batch = self._spans[0]
            if not await self._send(channel, TRACES_EXPORT, batch):
                return False
            if self._spans and self._spans[0] is batch:  # else it already made room for a newer one
                self._span_bytes -= len(self._spans.popleft())
        for service, payload in list(self._metrics.items()):
            if not await self._send(channel, METRICS_EXPORT, payload):
                return False
            if self._metrics.get(service) is payload:
                del self._metrics[service]
        return True

    async def _send(self, channel: grpc.aio.Channel, method: str, payload: bytes) -> bool:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        try:
            await call(payload, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() in RETRYABLE:
                self._note_unreachable(error)
                return False
            self.dropped += 1
            self._log.warning("telemetry refused by the backend", reason=error.details(), status=error.code().name)
            return True
        if not self._reachable:
            self._reachable = True
            self._log.info("telemetry backend reached again", endpoint=self._endpoint.target)
        return True

    def _note_unreachable(self, error: grpc.aio.AioRpcError) -> None:
        if self._reachable:
            self._reachable = False
            reason = error.details()
            self._log.warning("telemetry backend not reached", endpoint=self._endpoint.target, reason=reason)
