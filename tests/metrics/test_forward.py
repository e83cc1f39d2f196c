from __future__ import annotations

from wgmesh.metrics.io.forward import MAX_METRIC_SERVICES, MAX_SPAN_BATCHES, MAX_SPAN_BYTES, Forwarder
from wgmesh.metrics.settings import OtlpEndpoint
from wgmesh.runtime import logs


def forwarder() -> Forwarder:
    return Forwarder(OtlpEndpoint("192.0.2.1:4317", False), logs.logger())


def test_only_the_newest_metrics_of_a_service_wait() -> None:
    queue = forwarder()

    queue.offer_metrics("node", b"old")
    queue.offer_metrics("nat", b"other")
    queue.offer_metrics("node", b"new")

    assert queue.waiting == 2
    assert queue.dropped == 0


def test_the_number_of_waiting_services_is_bounded() -> None:
    queue = forwarder()

    for number in range(MAX_METRIC_SERVICES + 5):
        queue.offer_metrics(str(number), b"x")

    assert (queue.waiting, queue.dropped) == (MAX_METRIC_SERVICES, 5)


def test_the_oldest_spans_make_room_when_there_are_too_many() -> None:
    queue = forwarder()

    for _ in range(MAX_SPAN_BATCHES + 3):
        queue.offer_spans(b"batch")

    assert (queue.waiting, queue.dropped) == (MAX_SPAN_BATCHES, 3)


def test_the_oldest_spans_make_room_when_they_are_too_large() -> None:
    queue = forwarder()
    half = b"x" * (MAX_SPAN_BYTES // 2)

    for _ in range(3):
        queue.offer_spans(half)

    assert (queue.waiting, queue.dropped) == (2, 1)


def test_a_batch_that_could_never_fit_is_dropped() -> None:
    queue = forwarder()

    queue.offer_spans(b"x" * (MAX_SPAN_BYTES + 1))

    assert (queue.waiting, queue.dropped) == (0, 1)
