"""Whether a directory can take what a node keeps there: asked now and then, so that trouble and its end are told."""

from __future__ import annotations

import os
from pathlib import Path

CHECK_S = 15.0  # three system calls; trouble with a disk is worth knowing before the next start needs it
ROOM_BYTES = 16 * 1024  # a peer cache of a small mesh, written beside the one that it replaces


def storage_problem(directory: Path) -> str:
    """What keeps a file from being written there, in words that follow the name of the directory; empty if nothing."""
    try:
        room = os.statvfs(directory)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    if room.f_flag & os.ST_RDONLY:
        return "lies on a disk that is read-only"
    if not os.access(directory, os.W_OK | os.X_OK):
        return "may not be written any more"
    if room.f_bavail * room.f_frsize < ROOM_BYTES or (room.f_files and not room.f_favail):
        return "lies on a disk that is full"
    return ""
