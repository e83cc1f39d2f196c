"""Looks at the device and the host around it as soon as one of them has changed by another's hand."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress

from wgmesh.core.errors import MeshError
from wgmesh.runtime.link_changes import EVERYTHING, LinkChanges
from wgmesh.runtime.logs import BoundLogger
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.io.netfilter import GuardChanges

RETRY_S = 5.0
# Between two looks: one reads all routes, and on some hosts they change all the time. What appears is respected within
# a second all the same.
PAUSE_S = 0.3


async def follow_host(interface: str, controller: DeviceController, log: BoundLogger) -> None:
    """Takes a full look after each change of links, addresses, routes, rules and the guard, until cancelled."""
    while True:
        try:
            await _follow(interface, controller, log)
        except OSError as error:
            log.warning("changes of the host not heard", reason=str(error))
        await asyncio.sleep(RETRY_S)


async def _follow(interface: str, controller: DeviceController, log: BoundLogger) -> None:
    changed = asyncio.Event()
    with LinkChanges(EVERYTHING, changed) as changes, ExitStack() as guard:
        with suppress(OSError):  # a kernel without nf_tables: the look itself says so
            guard.enter_context(GuardChanges(interface, changed))
        while True:
            await changes.next()
            try:
                await controller.look(full=True)
            except MeshError as error:  # the device's own watcher tells of it
                log.debug("host not looked at", reason=str(error))
            await asyncio.sleep(PAUSE_S)
