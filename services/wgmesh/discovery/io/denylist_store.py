"""The deny-list on disk: read once at the start, replaced whole at every change."""

from __future__ import annotations

import asyncio
from pathlib import Path

from wgmesh.core.errors import CorruptState, PermissionDenied, UnreadableFile
from wgmesh.discovery.members.denylist import MAX_FILE_BYTES, DenyList, decode_denylist, encode_denylist
from wgmesh.runtime.files import read_state, write_atomically
from wgmesh.runtime.logs import BoundLogger


class DenyListStore:
    """Reads and writes one file."""

    def __init__(self, path: Path, log: BoundLogger) -> None:
        self._path = path
        self._log = log

    def load(self) -> DenyList:
        """Returns what is stored; nobody is banned where there is no file.

        Raises CorruptState or PermissionDenied for a file that cannot be read: to go on without it would let everybody
        in whom the operator has banned.
        """
        try:
            data = read_state(self._path, MAX_FILE_BYTES)
        except UnreadableFile as error:
            if not error.permitted:
                raise PermissionDenied(
                    f"Could not read the banned peers in {self._path}: {error.problem}. Give the file to this user."
                ) from None
            raise CorruptState(
                f"The banned peers in {self._path} cannot be read: {error.problem}. Repair it; "
                "who moves it away starts with nobody banned."
            ) from None
        if data is None:
            return DenyList()
        denylist = decode_denylist(data, str(self._path))
        if denylist.unread:
            self._log.warning("banned peers read in part", path=str(self._path), dropped=len(denylist.unread))
        return denylist

    async def save(self, denylist: DenyList) -> None:
        """Stores the list with mode 0600. Raises PermissionDenied; the old file is then untouched."""
        try:
            await asyncio.to_thread(write_atomically, self._path, encode_denylist(denylist), 0o600)
        except OSError as error:
            raise PermissionDenied(
                f"{self._path} could not be written: {error.strerror}. "
                "Make room or give this user access, and try again."
            ) from None
