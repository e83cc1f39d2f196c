"""The directories of a node, with modes that no umask changes.

The kind: nobody but root, and the processes that must, can make an entry where a node keeps or looks for something of
its own. What lies there already is looked at by its owner before it is used.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from wgmesh.core.errors import InvalidSetting, PermissionDenied

OPEN_MODE = 0o755  # everybody may look; what matters lies in directories of its own


def make(directory: Path) -> None:
    """Makes the directory and what is missing above it, with mode 0755 under the supervisor's umask. Raises OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)


def ensure_writable(directory: Path, setting: str) -> None:
    """Makes the directory if it is missing. Raises PermissionDenied, or InvalidSetting if it cannot be a directory."""
    try:
        make(directory)
    except NotADirectoryError:
        raise InvalidSetting(setting, f"{directory} lies below a file. Choose another one.") from None
    except OSError as error:
        raise PermissionDenied(_unusable(directory, setting, str(error.strerror))) from None
    if not directory.is_dir():
        raise InvalidSetting(setting, f"{directory} exists and is not a directory. Choose another one.")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionDenied(_unusable(directory, setting, "it may not be written"))


def _unusable(directory: Path, setting: str, reason: str) -> str:
    return f"{directory} cannot be used ({reason}). Start as root, or give a writable directory with {setting}."


def claim_run(runtime_dir: Path, interface_dir: Path) -> None:
    """Makes the directory of one interface, where only the supervisor's own user can make entries.

    Raises InvalidSetting where somebody else could put another in its place, and PermissionDenied where he has.
    """
    try:
        make(runtime_dir)
        above = runtime_dir.stat()
        make(interface_dir)
        descriptor = os.open(interface_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise PermissionDenied(_unusable(interface_dir, "--runtime-dir", str(error.strerror))) from None
    try:
        owner = os.fstat(descriptor).st_uid
        if owner != os.geteuid():
            raise PermissionDenied(_unusable(interface_dir, "--runtime-dir", f"it belongs to user {owner}"))
        if os.geteuid() == 0 and (above.st_uid != 0 or above.st_mode & 0o022) and not above.st_mode & stat.S_ISVTX:
            raise InvalidSetting(
                "--runtime-dir",
                f"others than root may replace what lies in {runtime_dir} (user {above.st_uid}, mode "
                f"{stat.S_IMODE(above.st_mode):04o}). Give it to root with mode 0755, or choose another.",
            )
        os.fchmod(descriptor, OPEN_MODE)
    finally:
        os.close(descriptor)


def given(directory: Path, uid: int, gid: int, mode: int) -> None:
    """Makes a directory of exactly this owner, group and mode. What of others stands in its place or in it is removed.

    To be used where only the caller can make entries. Raises OSError.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        directory.unlink()
    directory.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)  # after the change of owner, which may clear bits
        for entry in list(os.scandir(descriptor)):
            if entry.stat(follow_symlinks=False).st_uid != uid:
                remove(entry.name, descriptor)
    finally:
        os.close(descriptor)


def remove(name: str, directory: int) -> None:
    """Removes an entry of an opened directory, whatever it is, and follows no link. Raises OSError."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=directory)
    except FileNotFoundError:
        return
