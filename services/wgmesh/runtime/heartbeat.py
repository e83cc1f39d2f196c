"""The heartbeat of a process: its event loop says once a second that it runs.

It is a timer of the loop and not a thread, so that a loop that is blocked, busy or stopped falls silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BEAT_EVERY_S = 1.0  # one wake-up among twenty; three that are missing are a silence, and one is nothing


def start(loop: asyncio.AbstractEventLoop, beat: Callable[[], None]) -> None:
    """Calls `beat` now and then at each whole second of the monotonic clock, as long as the loop runs.

    All processes of a node share that clock: they wake the machine together, and not one after the other.
    """
    beat()
    now = loop.time()
    loop.call_at(now - now % BEAT_EVERY_S + BEAT_EVERY_S, start, loop, beat)
