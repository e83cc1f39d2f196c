"""How asyncio tests wait: on conditions, never for a while.

Processes and threads are waited for with `wgmesh.demo.waiting.wait_for`, which does the same without a loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

POLL_S = 0.005  # most conditions come true within a few of these
PATIENCE_S = 60.0  # on a machine with ten times as much to do as it can; elsewhere nothing here takes two seconds


async def until(is_so: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Returns once something is so. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(POLL_S)


async def turn_of_the_loop() -> None:
    """Lets every task that can go on do so, up to where it waits again. No time passes."""
    await asyncio.sleep(0)
