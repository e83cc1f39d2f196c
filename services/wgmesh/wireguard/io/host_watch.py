"""Has the device put right as soon as it, or the host around it, has changed by another's hand."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress

from wgmesh.runtime.link_changes import EVERYTHING, LinkChanges
from wgmesh.runtime.logs import BoundLogger
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.io.netfilter import GuardChanges

RETRY_S = 5.0


async def follow_host(interface: str, controller: DeviceController, log: BoundLogger) -> None:
    """Takes a turn after each change of links, addresses, routes, rules and the guard, until cancelled."""
    while True:
        try:
            await _follow(interface, controller)
        except OSError as error:
            log.warning("changes of the host not heard of", reason=str(error))
        await asyncio.sleep(RETRY_S)


async def _follow(interface: str, controller: DeviceController) -> None:
    changed = asyncio.Event()
    with LinkChanges(EVERYTHING, changed) as changes, ExitStack() as guard:
        with suppress(OSError):  # a kernel without nf_tables: the look itself says so
            guard.enter_context(GuardChanges(interface, changed))
        while True:
            await changes.next()
            await controller.repair()
