from __future__ import annotations

from support.otlp import export, gauge
from wgmesh.metrics.page import EXPECTED_SERVICES, Pages, Reply
from wgmesh.metrics.samples import EXPIRE_AFTER_S, SampleStore
from wgmesh.runtime.node_report import RESTARTING, RUNNING, SILENT, NodeReport, ServiceReport


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def nobody() -> NodeReport | None:
    """A supervisor that cannot be asked."""
    return None


async def test_the_metrics_page_holds_what_was_exported_even_with_a_query() -> None:
    store, clock = SampleStore(), Clock()
    store.accept(export("node", gauge("wgmesh_active_peers", [({}, 3)])), now=0.0)

    reply = await Pages(store, clock, nobody)("/metrics?x=1")

    assert reply.status == 200
    assert b"wgmesh_active_peers 3.0\n" in reply.body
    assert reply.content_type.startswith("text/plain; version=0.0.4")


async def test_health_says_that_this_process_lives() -> None:
    assert (await Pages(SampleStore(), Clock(), nobody)("/healthz")).status == 200


async def test_readiness_names_the_services_that_are_silent() -> None:
    store, clock = SampleStore(), Clock()
    pages = Pages(store, clock, nobody)
    for service in EXPECTED_SERVICES - {"nat"}:
        store.accept(export(service), now=0.0)
    assert await pages("/readyz") == Reply(503, b"nothing heard lately from: nat\n")

    store.accept(export("nat"), now=0.0)
    assert (await pages("/readyz")).status == 200

    clock.now = EXPIRE_AFTER_S
    assert (await pages("/readyz")).status == 503


async def test_a_node_with_a_process_that_does_not_run_is_not_ready_although_all_were_heard_lately() -> None:
    store, clock = SampleStore(), Clock()
    for service in EXPECTED_SERVICES:
        store.accept(export(service), now=0.0)
    services = [
        ServiceReport("node", RUNNING, 100.0),
        ServiceReport("nat", SILENT, 3.1),
        ServiceReport("discovery", RESTARTING, 1.0, attempt=2),
    ]

    async def report() -> NodeReport | None:
        return NodeReport("wg0", 1, "/run/wgmesh/wg0", "/run/wgmesh/wg0/node.sock", "", tuple(services))

    pages = Pages(store, clock, report)
    expected = b"not running: nat (not answering for 3 s), discovery (restarting for 1 s, attempt 2)\n"
    assert await pages("/readyz") == Reply(503, expected)

    del services[1:]
    assert (await pages("/readyz")).status == 200


async def test_another_path_is_not_found() -> None:
    assert (await Pages(SampleStore(), Clock(), nobody)("/")).status == 404
