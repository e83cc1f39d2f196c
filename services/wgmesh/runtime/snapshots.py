"""Latest-value broadcast: how a snapshot reaches every watcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class SnapshotCell(Generic[T]):
    """Holds the latest value and wakes its watchers.

    Nothing is queued: a slow watcher skips values and gets the newest. All calls belong to one event loop.
    """

    def __init__(self, value: T) -> None:
        self._value = value
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        """The latest value."""
        return self._value

    def publish(self, value: T) -> None:
        """Replaces the value. Publishing an equal value wakes nobody."""
        if value == self._value:
            return
        self._value = value
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self) -> AsyncIterator[T]:
        """Yields the current value at once, then the newest after each change. Never ends by itself."""
        seen = -1
        while True:
            if seen == self._version:
                await self._changed.wait()
            seen = self._version
            yield self._value
