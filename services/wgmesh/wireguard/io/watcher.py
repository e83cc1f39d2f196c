"""Looks at the device again and again, and lets the controller publish what it finds.

The kernel tells of what changes around WireGuard (host_watch.py). It does not tell what is changed in WireGuard itself,
by `wg set` for example: that is polled, as often as pace.py says.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from wgmesh.core.errors import MeshError
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.pace import Pace


async def watch(controller: DeviceController) -> None:
    """Runs until cancelled. A look that fails is logged once, and tried again."""
    pace = Pace()
    while True:
        before = controller.snapshots.value.device
        spent_s = time.process_time()
        try:
            if controller.due_in_s() <= 0:
                await controller.repair()
            else:
                await controller.look(full=pace.wants_full_look(time.monotonic()))
        except MeshError as error:
            controller.say_once([str(error)])
        spent_s = time.process_time() - spent_s
        seen = controller.snapshots.value.device
        delay_s = pace.on_look(time.monotonic(), before, seen, spent_s, is_curious=controller.is_curious)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(delay_s, controller.due_in_s())):
                await controller.changed.wait()
                controller.changed.clear()
                pace.on_applied(time.monotonic())
