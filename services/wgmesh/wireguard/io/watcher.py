"""Looks at the device again and again, and lets the controller publish what changed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from wgmesh.core.errors import MeshError
from wgmesh.runtime.logs import BoundLogger
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.pace import Pace


async def watch(controller: DeviceController, log: BoundLogger) -> None:
    """Runs until cancelled. A look that fails is logged once, and published beside what was last seen."""
    pace = Pace()
    trouble = ""
    while True:
        before = controller.snapshots.value.device
        try:
            await controller.look(full=pace.wants_full_look(time.monotonic()))
        except MeshError as error:
            if str(error) != trouble:
                log.warning("device could not be looked at", reason=str(error))
            trouble = str(error)
            controller.note_trouble(trouble)
        else:
            trouble = ""
        seen = controller.snapshots.value.device
        delay_s = pace.on_look(time.monotonic(), before, seen, is_curious=controller.is_curious)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await controller.changed.wait()
                controller.changed.clear()
                pace.on_applied(time.monotonic())
