"""Real processes for the telemetry test. Run it as a program: `exporting_service.py ROLE DIRECTORY [METRICS OTLP]`.

metrics   the real metrics process
callee    a service named `nat` that serves RuntimeService and measures something
caller    a service named `node` that calls the callee inside a span, measures something, and ends
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import grpc.aio
from opentelemetry.metrics import Observation
from wgmesh.metrics.__main__ import main as metrics_main
from wgmesh.metrics.settings import MetricsSettings
from wgmesh.runtime import telemetry
from wgmesh.runtime.service import Shell, run_service
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.v1.runtime_service_pb2 import SetLogLevelRequest
from wgmesh.v1.runtime_service_pb2_grpc import RuntimeServiceStub


async def callee(shell: Shell) -> None:
    telemetry.meter("test").create_observable_gauge("wgmesh_nat_type", [lambda _: [Observation(1, {"type": "cone"})]])
    async with shell.serve(lambda server: None, ()):
        await shell.stopping.wait()


async def caller(shell: Shell) -> None:
    telemetry.meter("test").create_counter("wgmesh_discovery_events_total").add(3, {"layer": "lan"})
    target = f"unix:{shell.settings.socket_path('nat')}"
    async with grpc.aio.insecure_channel(target, interceptors=[*telemetry.client_interceptors()]) as channel:
        with telemetry.tracer("test").start_as_current_span("parent"):
            shell.log.info("calling")
            await RuntimeServiceStub(channel).SetLogLevel(SetLogLevelRequest(level="debug"), timeout=5.0)


def ready() -> None:
    print("ready", flush=True)


def run(role: str, directory: Path, metrics_address: str = "", otlp_endpoint: str = "") -> int:
    match role:
        case "metrics":
            settings = MetricsSettings(metrics_address or None, otlp_endpoint or None)
            return run_service(_runtime("metrics", directory), partial(metrics_main, settings=settings), ready)
        case "callee":
            return run_service(_runtime("nat", directory), callee, ready)
        case _:
            return run_service(_runtime("node", directory), caller, ready)


def _runtime(service: str, directory: Path) -> RuntimeSettings:
    return RuntimeSettings(service, "wg0", directory, log_format="json", log_level="debug")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
