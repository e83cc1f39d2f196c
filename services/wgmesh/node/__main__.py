"""The node service: builds everything, in order."""

from __future__ import annotations

import asyncio
from functools import partial

import grpc.aio
from wgmesh.client.discovery import DiscoveryClient
from wgmesh.client.nat import NatClient
from wgmesh.client.wireguard import WireGuardClient
from wgmesh.core.errors import MeshError
from wgmesh.core.version import VERSION
from wgmesh.node.io.reconcile_loop import Clients, ReconcileLoop
from wgmesh.node.io.reloading import Reloading
from wgmesh.node.servicer import NodeServicer
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime import telemetry
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.service import Shell
from wgmesh.runtime.supervisor_socket import ask_in_loop
from wgmesh.v1.node_service_pb2_grpc import add_NodeServiceServicer_to_server

REPORT_TIMEOUT_S = 1.2  # above the second that many questions can take, and far below a command's patience


async def main(shell: Shell, settings: NodeSettings) -> None:
    """Runs the node service until it is told to stop."""
    started_at = CLOCK.now()
    path = shell.settings.socket_path
    interceptors = telemetry.client_interceptors()
    async with (
        WireGuardClient(path("wireguard"), interceptors) as wireguard,
        DiscoveryClient(path("discovery"), interceptors) as discovery,
        NatClient(path("nat"), interceptors) as nat,
    ):
        loop = ReconcileLoop(shell, settings, Clients(wireguard, discovery, nat), started_at)
        reloading = Reloading(shell, settings, loop)
        report = partial(ask_in_loop, settings.interface, REPORT_TIMEOUT_S)
        servicer = NodeServicer(
            settings,
            loop,
            discovery,
            nat,
            reloading.reload,
            shell.ask_to_stop,
            VERSION,
            started_at,
            shell.is_separated,
            report,
        )

        def register(server: grpc.aio.Server) -> None:
            add_NodeServiceServicer_to_server(servicer, server)

        async with shell.serve(register, ["wgmesh.v1.NodeService"]), asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(loop.run()), tasks.create_task(_reload_on_signal(shell, reloading))]
            await shell.stopping.wait()
            for task in work:
                task.cancel()


async def _reload_on_signal(shell: Shell, reloading: Reloading) -> None:
    while True:
        await shell.reload.wait()
        shell.reload.clear()
        try:
            await reloading.reload()
        except MeshError as error:
            shell.log.warning("reload failed", reason=str(error))
