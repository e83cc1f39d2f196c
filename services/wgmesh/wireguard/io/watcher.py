"""Looks at the device for ever and lets the keeper publish what changed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from wgmesh.core.errors import MeshError
from wgmesh.runtime.logs import BoundLogger
from wgmesh.wireguard.io.keeper import DeviceKeeper
from wgmesh.wireguard.pace import Pace


async def watch(keeper: DeviceKeeper, log: BoundLogger) -> None:
    """Runs until cancelled. A look that fails is logged once and leaves the last snapshot standing."""
    pace = Pace()
    trouble = ""
    while True:
        changed = False
        try:
            changed = await keeper.look(full=pace.wants_full_look(time.monotonic()))
        except MeshError as error:
            if str(error) != trouble:
                log.warning("device could not be looked at", reason=str(error))
            trouble = str(error)
        else:
            trouble = ""
        device = keeper.snapshots.value.device
        peers = device.peers if device else ()
        awaiting = any(peer.handshake_at is None for peer in peers)
        delay_s = pace.on_look(time.monotonic(), changed=changed, awaiting_handshake=awaiting, peer_count=len(peers))
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await keeper.changed.wait()
                keeper.changed.clear()
                pace.on_applied(time.monotonic())
