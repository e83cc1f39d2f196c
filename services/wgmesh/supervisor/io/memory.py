"""Makes the supervisor's memory fit to be shared with its children."""

from __future__ import annotations

import asyncio
import ctypes
import gc


def rehearse() -> None:
    """Runs an event loop once: what Python makes for the first one is then made before the fork, for all children."""
    asyncio.run(asyncio.wait_for(asyncio.sleep(0), 1.0))


def settle() -> None:
    """Gives back what imports have left over, and keeps the collector away from what remains.

    What is not looked at again keeps its pages shared. A C library without malloc_trim keeps its leftovers.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
