"""The identity on disk: `<state-dir>/<iface>.json`, upstream's file, so that its identity is taken over."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from wgmesh.core.errors import CorruptState, PermissionDenied, UnreadableFile
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import KEY_BYTES
from wgmesh.runtime.files import read_state, write_atomically
from wgmesh.wireguard.identity_file import MAX_FILE_BYTES, StoredIdentity, decode_identity, encode_identity


class IdentityStore:
    """Reads and writes the identity of one interface. Writes nothing that stands there already."""

    def __init__(self, state_dir: Path, interface: str) -> None:
        self._path = state_dir / f"{interface}.json"
        self._saved: StoredIdentity | None = None
        self._place: tuple[int, int] | None = None  # the directory that it was last in

    def load_or_create(self) -> StoredIdentity:
        """Returns the stored identity, or a new one that is stored already.

        Raises CorruptState for a file that cannot be used, which is then left as it is, and PermissionDenied.
        """
        data = self._read()
        if data is None:
            self.save(StoredIdentity(PrivateKey(secrets.token_bytes(KEY_BYTES))))
        else:
            self._saved = decode_identity(data, str(self._path))
            self._place = _place_of(self._path.parent)
        assert self._saved is not None
        return self._saved

    def save(self, identity: StoredIdentity) -> None:
        """Stores the identity with mode 0600. Raises PermissionDenied; the old file is then untouched."""
        if identity == self._saved:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._path, encode_identity(identity), 0o600)
        except OSError as error:
            raise PermissionDenied(
                f"Could not write the identity to {self._path}: {error.strerror}. Choose a writable --state-dir."
            ) from None
        self._saved = identity
        self._place = _place_of(self._path.parent)

    def put_back(self) -> None:
        """Stores the identity again where the whole directory has gone: the next life would be somebody else.

        A file that was taken out of a directory that stays is what an operator does who wants another identity. Raises
        PermissionDenied.
        """
        if self._saved is None or self._place == _place_of(self._path.parent) or os.path.lexists(self._path):
            return
        identity, self._saved = self._saved, None
        try:
            self.save(identity)
        finally:
            self._saved = identity

    def _read(self) -> bytes | None:
        try:
            return read_state(self._path, MAX_FILE_BYTES)
        except UnreadableFile as error:
            if not error.permitted:
                raise PermissionDenied(
                    f"Could not read the identity {self._path}: {error.problem}. Give the file to this user."
                ) from None
            raise CorruptState(
                f"The identity {self._path} cannot be read: {error.problem}. Restore it from a backup,"
                " or move it away to start with a new identity, which the other nodes see as a new peer."
            ) from None


def _place_of(directory: Path) -> tuple[int, int] | None:
    """Which directory it is, by device and inode; None where there is none."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
