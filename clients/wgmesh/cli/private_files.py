"""Writes files that only their owner may read, and never over another file."""

from __future__ import annotations

import os
from pathlib import Path

from wgmesh.core.errors import MeshError, PermissionDenied


def write_private(path: Path, data: bytes) -> None:
    """Creates `path` with mode 0600. Raises MeshError if it exists or cannot be written, PermissionDenied."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise MeshError(f"{path} exists already and is not overwritten; choose another name") from None
    except PermissionError:
        raise PermissionDenied(f"{path} may not be written by this user; choose another place or use sudo") from None
    except OSError as error:
        raise MeshError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask took away
            file.write(data)
    except OSError as error:
        path.unlink(missing_ok=True)  # half a secret would keep the next try from this name
        raise MeshError(f"{path} cannot be written: {error.strerror}") from None
