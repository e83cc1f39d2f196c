"""The composition root of the wireguard service."""

from __future__ import annotations

import asyncio

from wgmesh.runtime.service import Shell
from wgmesh.v1.wireguard_service_pb2_grpc import add_WireGuardServiceServicer_to_server
from wgmesh.wireguard.io.backend import open_device
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.io.host_watch import follow_host
from wgmesh.wireguard.io.identity_store import IdentityStore
from wgmesh.wireguard.io.own_addresses import follow_own_addresses
from wgmesh.wireguard.io.watcher import watch
from wgmesh.wireguard.servicer import SERVICE_NAME, WireGuardServicer
from wgmesh.wireguard.settings import WireGuardSettings


async def main(shell: Shell, settings: WireGuardSettings) -> None:
    """Takes over the device of an earlier life if there is one, serves until asked to stop, and removes the device.

    After SIGKILL the device stays and keeps carrying traffic; the next start adopts it.
    """
    store = IdentityStore(settings.state_dir, settings.interface)
    identity = store.load_or_create()
    mesh = settings.limits.mesh
    async with open_device(settings.interface, identity.private_key, mesh, settings.state_dir) as device:
        controller = DeviceController(device, store, identity, settings.limits, shell.log)
        # Before serving: an interface that is not ours, a host that uses the mesh's networks already, or one that can
        # have no interface, ends the service here, with the reason.
        await controller.prepare()
        servicer = WireGuardServicer(controller, identity.private_key)
        async with (
            shell.serve(lambda server: add_WireGuardServiceServicer_to_server(servicer, server), [SERVICE_NAME]),
            asyncio.TaskGroup() as tasks,
        ):
            work = [
                tasks.create_task(watch(controller)),
                tasks.create_task(follow_host(settings.interface, controller, shell.log)),
                tasks.create_task(follow_own_addresses(settings.interface, controller.forget_sources, shell.log)),
            ]
            await shell.stopping.wait()
            for task in work:
                task.cancel()
        if not settings.keep_interface:
            await controller.remove()
