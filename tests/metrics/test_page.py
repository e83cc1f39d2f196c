from __future__ import annotations

from support.otlp import export, gauge
from wgmesh.metrics.page import EXPECTED_SERVICES, Pages
from wgmesh.metrics.samples import EXPIRE_AFTER_S, SampleStore


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_metrics_page_holds_what_was_exported_even_with_a_query() -> None:
    store, clock = SampleStore(), Clock()
    store.accept(export("node", gauge("wgmesh_active_peers", [({}, 3)])), now=0.0)

    reply = Pages(store, clock)("/metrics?x=1")

    assert reply.status == 200
    assert b"wgmesh_active_peers 3.0\n" in reply.body
    assert reply.content_type.startswith("text/plain; version=0.0.4")


def test_health_says_that_this_process_lives() -> None:
    assert Pages(SampleStore(), Clock())("/healthz").status == 200


def test_readiness_names_the_services_that_are_silent() -> None:
    store, clock = SampleStore(), Clock()
    pages = Pages(store, clock)
    for service in EXPECTED_SERVICES - {"nat"}:
        store.accept(export(service), now=0.0)
    assert (pages("/readyz").status, pages("/readyz").body) == (503, b"nothing heard lately from: nat\n")

    store.accept(export("nat"), now=0.0)
    assert pages("/readyz").status == 200

    clock.now = EXPIRE_AFTER_S
    assert pages("/readyz").status == 503


def test_another_path_is_not_found() -> None:
    assert Pages(SampleStore(), Clock())("/").status == 404
