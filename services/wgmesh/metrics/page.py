"""What the scrape server answers: path -> status and text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wgmesh.metrics.exposition import CONTENT_TYPE, render
from wgmesh.metrics.samples import SampleStore
from wgmesh.runtime.node_report import NodeReport

PLAIN = "text/plain; charset=utf-8"

# A node without one of these has no mesh; metrics itself is answering.
EXPECTED_SERVICES = frozenset({"node", "discovery", "nat", "wireguard"})


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = PLAIN


class Pages:
    """`/metrics`, `/healthz` (this process lives) and `/readyz` (the whole node reports)."""

    def __init__(
        self, store: SampleStore, clock: Callable[[], float], report: Callable[[], Awaitable[NodeReport | None]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._report = report

    async def __call__(self, path: str) -> Reply:
        """Returns the answer to GET path."""
        match path.partition("?")[0]:
            case "/metrics":
                return Reply(200, render(self._store.series(self._clock())), CONTENT_TYPE)
            case "/healthz":
                return Reply(200, b"ok\n")
            case "/readyz":
                return self._readiness(await self._report())
            case _:
                return Reply(404, b"Not found. Try /metrics, /healthz or /readyz.\n")

    def _readiness(self, report: NodeReport | None) -> Reply:
        if report is not None and report.troubled:
            troubles = ", ".join(f"{service.name} ({service.text()})" for service in report.troubled)
            return Reply(503, f"not running: {troubles}\n".encode())
        missing = EXPECTED_SERVICES - self._store.services(self._clock())
        if not missing:
            return Reply(200, b"ready\n")
        return Reply(503, f"nothing heard lately from: {', '.join(sorted(missing))}\n".encode())
