"""Work that is not left half done when the task that began it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Waits for the work as `await` does; cancelled, it lets the work end first, which must have a bound of its own.

    So what the caller holds, it holds until then. Raises what the work raises, and CancelledError if the caller was
    cancelled.
    """
    task, is_cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled and not task.cancelled():
        task.exception()  # seen: there is nobody left to tell
        raise asyncio.CancelledError
    return task.result()
