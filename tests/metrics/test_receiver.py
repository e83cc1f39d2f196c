from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.otlp import export, gauge
from wgmesh.metrics.receiver import Receiver
from wgmesh.metrics.samples import SampleStore


class FakeBackend:
    def __init__(self) -> None:
        self.metrics: list[tuple[str, bytes]] = []
        self.spans: list[bytes] = []

    def offer_metrics(self, service: str, payload: bytes) -> None:
        self.metrics.append((service, payload))

    def offer_spans(self, payload: bytes) -> None:
        self.spans.append(payload)


async def test_metrics_are_kept_and_forwarded_as_they_came() -> None:
    store, backend = SampleStore(), FakeBackend()
    request = export("node", gauge("a", [({}, 1)]))

    assert await Receiver(store, backend, lambda: 7.0).export_metrics(request)

    assert [series.name for series in store.series(7.0)] == ["a"]
    assert backend.metrics == [("node", request.SerializeToString())]


async def test_spans_are_only_forwarded() -> None:
    backend = FakeBackend()
    request = ExportTraceServiceRequest()

    assert await Receiver(SampleStore(), backend, lambda: 0.0).export_spans(request)

    assert backend.spans == [request.SerializeToString()]


async def test_without_a_backend_everything_is_still_taken() -> None:
    receiver = Receiver(SampleStore(), None, lambda: 0.0)

    assert await receiver.export_metrics(export("node"))
    assert await receiver.export_spans(ExportTraceServiceRequest())
