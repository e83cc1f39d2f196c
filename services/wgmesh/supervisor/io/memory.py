"""Makes the supervisor's memory fit to be shared with its children."""

from __future__ import annotations

import ctypes
import gc


def settle() -> None:
    """Gives back what imports have left over, and keeps the collector away from what remains.

    What is not looked at again keeps its pages shared. A C library without malloc_trim keeps its leftovers.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
