"""Builds the metrics process: receiver, scrape page, forwarding."""

from __future__ import annotations

import functools
import platform
import time
from contextlib import AsyncExitStack
from importlib.metadata import version

from wgmesh.metrics.io.forward import Forwarder
from wgmesh.metrics.io.http import serve_http
from wgmesh.metrics.page import Pages
from wgmesh.metrics.receiver import Receiver
from wgmesh.metrics.samples import SampleStore
from wgmesh.metrics.self_metrics import register_self_metrics
from wgmesh.metrics.servicer import SERVICE_NAMES, register
from wgmesh.metrics.settings import MetricsSettings, parse_listen_address, parse_otlp_endpoint
from wgmesh.runtime import telemetry
from wgmesh.runtime.service import Shell
from wgmesh.runtime.supervisor_socket import ask_in_loop


async def main(shell: Shell, settings: MetricsSettings) -> None:
    """Runs until the shell is told to stop. Raises InvalidSetting for an address that cannot be used."""
    store = SampleStore()
    async with AsyncExitStack() as stack:
        forwarder = None
        if settings.otlp_endpoint is not None:
            forwarder = Forwarder(parse_otlp_endpoint(settings.otlp_endpoint), shell.log)
            await stack.enter_async_context(forwarder.running())
        receiver = Receiver(store, forwarder, time.monotonic)
        build = {
            "version": version("wgmesh"),
            "python": platform.python_version(),
            "interface": shell.settings.interface,
        }
        register_self_metrics(
            telemetry.meter("wgmesh.metrics"),
            build,
            dropped_series=lambda: store.dropped_series,
            dropped_payloads=lambda: forwarder.dropped if forwarder else 0,
        )
        telemetry.deliver_to(receiver)
        if settings.metrics_address is not None:
            address = parse_listen_address(settings.metrics_address)
            report = functools.partial(ask_in_loop, shell.settings.interface)
            bound = await stack.enter_async_context(serve_http(address, Pages(store, time.monotonic, report)))
            shell.log.info("metrics page served", address=str(bound))
        await stack.enter_async_context(shell.serve(functools.partial(register, receiver), SERVICE_NAMES))
        await shell.stopping.wait()
