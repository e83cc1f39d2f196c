"""A file with what the next run would like to know: read whole, replaced whole, never worth an error.

Whatever stands in its place, the node goes on without it and says so once; where that can be replaced, the next write
replaces it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from wgmesh.core.errors import UnreadableFile
from wgmesh.runtime.files import read_state, write_atomically
from wgmesh.runtime.logs import BoundLogger

KEEP_FIRST_S = 10.0  # one that is killed soon after its start should not start from nothing again
KEEP_S = 120.0  # upstream's


class RememberedFile:
    """Reads and writes one file. A disk that refuses is reported once, and the next write tries again."""

    def __init__(self, path: Path, what: str, bytes_max: int, log: BoundLogger) -> None:
        """`what` names the content in the log, for example "peer cache". One larger than `bytes_max` is not read."""
        self._path = path
        self._what = what
        self._bytes_max = bytes_max
        self._log = log
        self._trouble: str | None = None

    def read(self) -> bytes | None:
        """Returns the content of the file; None where there is none, or where it cannot be read."""
        try:
            return read_state(self._path, self._bytes_max)
        except UnreadableFile as error:
            self._log.warning("file not read", content=self._what, path=str(self._path), reason=error.problem)
            return None

    async def write(self, data: bytes) -> bool:
        """Replaces the content. Whether that worked."""
        try:
            await asyncio.to_thread(write_atomically, self._path, data)
        except OSError as error:
            if error.strerror != self._trouble:
                self._log.warning("file not written", content=self._what, path=str(self._path), reason=error.strerror)
            self._trouble = error.strerror
            return False
        self._trouble = None
        return True

    async def keep(self, content: Callable[[], bytes | None]) -> None:
        """Writes what `content` gives, now and then until cancelled, and once more then. None is not worth a write."""
        pause_s = KEEP_FIRST_S
        try:
            while True:
                await asyncio.sleep(pause_s)
                await self._write_if_any(content())
                pause_s = KEEP_S
        finally:
            await self._write_if_any(content())

    async def _write_if_any(self, data: bytes | None) -> None:
        if data is not None:
            await self.write(data)
