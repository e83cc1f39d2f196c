"""Real processes export over a real unix socket to the real metrics process; a backend and a scraper listen."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.metrics.samples import service_of

PROGRAM = Path(__file__).parents[1] / "support" / "programs" / "exporting_service.py"


class Traces(TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.arrived = asyncio.Condition()

    async def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:
        async with self.arrived:
            for resource in request.resource_spans:
                service = service_of(resource.resource.attributes)
                for scope in resource.scope_spans:
                    self.spans.update({f"{service}: {span.name}": span for span in scope.spans})
            self.arrived.notify_all()
        return ExportTraceServiceResponse()

    async def holds(self, *names: str) -> None:
        async with asyncio.timeout(PATIENCE_S), self.arrived:
            await self.arrived.wait_for(lambda: set(names) <= self.spans.keys())


class Metrics(MetricsServiceServicer):
    def __init__(self) -> None:
        self.services: set[str] = set()

    async def Export(self, request: Any, context: Any) -> ExportMetricsServiceResponse:
        self.services |= {service_of(resource.resource.attributes) for resource in request.resource_metrics}
        return ExportMetricsServiceResponse()


@asynccontextmanager
async def backend(traces: Traces, metrics: Metrics, port: int = 0) -> AsyncIterator[int]:
    server = grpc.aio.server()
    add_TraceServiceServicer_to_server(traces, server)  # type: ignore[no-untyped-call]
    add_MetricsServiceServicer_to_server(metrics, server)  # type: ignore[no-untyped-call]
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0)


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def ended(child: asyncio.subprocess.Process) -> tuple[int, list[dict[str, Any]]]:
    """Waits until a process ends; returns its exit code and the log lines that were not read yet."""
    async with asyncio.timeout(PATIENCE_S):
        _, stderr = await child.communicate()
    assert child.returncode is not None
    return child.returncode, [json.loads(line) for line in stderr.splitlines()]


async def stopped(child: asyncio.subprocess.Process) -> tuple[int, list[dict[str, Any]]]:
    """Stops a process in order."""
    child.terminate()
    return await ended(child)


async def log_line(child: asyncio.subprocess.Process, *events: str) -> dict[str, Any]:
    """Waits until a process has said all of these, in any order, and returns the line that was the last."""
    assert child.stderr is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for raw in child.stderr:
                line: dict[str, Any] = json.loads(raw)
                said.append(line["event"])
                if set(events) <= set(said):
                    return line
    except TimeoutError:
        raise AssertionError(f"the process has not said {events}, but {said}") from None
    raise AssertionError(f"the process ended without saying {events}, but {said}")


async def get(url: str) -> tuple[int, str]:
    def fetch() -> tuple[int, str]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


@pytest.fixture
def directory() -> Any:
    with tempfile.TemporaryDirectory(prefix="wgm") as name:  # a socket path has 107 bytes
        yield name


async def test_what_two_processes_measure_is_scraped_and_their_trace_reaches_a_backend(directory: str) -> None:
    traces, metrics = Traces(), Metrics()
    async with (
        backend(traces, metrics) as port,
        process("metrics", directory, ":0", f"http://127.0.0.1:{port}") as collector,
    ):
        address = (await log_line(collector, "metrics page served"))["address"]
        await log_line(collector, "service ready")
        async with process("callee", directory) as callee:
            await log_line(callee, "service ready")
            async with process("caller", directory) as caller:
                caller_code, caller_log = await ended(caller)
            callee_code, _ = await stopped(callee)

        status, text = await get(f"http://{address}/metrics")
        await traces.holds("node: parent", "nat: wgmesh.v1.RuntimeService/SetLogLevel")
        ready_status, ready_text = await get(f"http://{address}/readyz")
        code, _ = await stopped(collector)

    assert (caller_code, callee_code, code, status) == (0, 0, 0, 200)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert [(s.labels, s.value) for s in families["wgmesh_discovery_events"].samples] == [({"layer": "lan"}, 3.0)]
    assert [s.labels for s in families["wgmesh_nat_type"].samples] == [{"type": "cone"}]
    assert families["wgmesh_build_info"].samples[0].labels["interface"] == "wg0"
    for name in ("process_cpu_seconds", "process_resident_memory_bytes", "process_pss_bytes", "process_open_fds"):
        assert {s.labels["service"] for s in families[name].samples} == {"node", "nat", "metrics"}
        assert all(s.value > 0 for s in families[name].samples)
    started = {s.value for s in families["process_start_time_seconds"].samples}
    assert all(0 <= time.time() - value < 60 for value in started)

    parent, child = traces.spans["node: parent"], traces.spans["nat: wgmesh.v1.RuntimeService/SetLogLevel"]
    assert child.trace_id == parent.trace_id
    assert child.parent_span_id == parent.span_id
    assert [line["trace_id"] for line in caller_log if line["event"] == "calling"] == [parent.trace_id.hex()]
    assert metrics.services >= {"node", "nat"}
    assert (ready_status, ready_text) == (503, "nothing heard lately from: discovery, wireguard\n")


async def test_without_a_metrics_process_a_service_starts_stops_quickly_and_says_nothing(directory: str) -> None:
    async with process("callee", directory) as callee:
        await log_line(callee, "service ready")
        asked = time.monotonic()
        code, log = await stopped(callee)

    assert code == 0
    assert [line for line in log if line["level"] not in ("info", "debug")] == []
    assert time.monotonic() - asked < promised(4.0)  # a stop that hangs is cut after 5 s


async def test_spans_wait_for_a_backend_that_comes_late(directory: str, unused_port: int) -> None:
    traces = Traces()
    async with process("metrics", directory, "", f"127.0.0.1:{unused_port}") as collector:
        await log_line(collector, "service ready", "telemetry backend not reached")  # it sends telemetry of its own
        async with process("callee", directory) as callee:
            await log_line(callee, "service ready")
            async with process("caller", directory) as caller:
                await ended(caller)

            async with backend(traces, Metrics(), unused_port):
                await traces.holds("node: parent")


async def test_a_taken_port_is_told_with_the_name_of_the_flag_and_ends_the_process(directory: str) -> None:
    async with process("metrics", directory, ":0") as first:
        address = (await log_line(first, "metrics page served"))["address"]

        async with process("metrics", f"{directory}/other", address) as second:
            assert second.stderr is not None
            text = (await second.stderr.read()).decode()
            code = await second.wait()

    assert code != 0
    assert "--metrics: cannot listen on 127.0.0.1:" in text
    assert "Traceback" not in text


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
