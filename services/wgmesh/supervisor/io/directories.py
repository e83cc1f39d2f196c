"""The directories of a node, so that each child can write its own files and none of another's.

Both the state directory and the directory of sockets become root:wgmesh 01770: the group may create files, the sticky
bit keeps a child from replacing or removing those of another user. A directory that holds anything foreign is left as
it is: somebody who names /etc or a home directory must not lose it.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from wgmesh.core.errors import InvalidSetting, PermissionDenied
from wgmesh.supervisor.io.privileges import Account

SHARED_MODE = 0o1770
PRIVATE_MODE = 0o600
OWN_SUFFIXES = frozenset({".json", ".nodes", ".tmp", ".sock", ".lock"})  # what wgmesh, also upstream's, leaves there
OWN_NAMES = frozenset({"lock"})


def ensure_writable(directory: Path, setting: str) -> None:
    """Makes the directory if it is missing. Raises PermissionDenied, or InvalidSetting if it cannot be a directory."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise InvalidSetting(setting, f"{directory} exists and is not a directory. Choose another one.") from None
    except NotADirectoryError:
        raise InvalidSetting(setting, f"{directory} lies below a file. Choose another one.") from None
    except OSError as error:
        raise PermissionDenied(_unusable(directory, setting, str(error.strerror))) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionDenied(_unusable(directory, setting, "it may not be written"))


def _unusable(directory: Path, setting: str, reason: str) -> str:
    return f"{directory} cannot be used ({reason}). Start as root, or give a writable directory with {setting}."


def share(directory: Path, group: int) -> None:
    """Gives a directory of ours to the group. Leaves one with foreign content alone."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not all(_is_own(entry) for entry in os.scandir(descriptor)):
            return
        os.fchown(descriptor, 0, group)
        os.fchmod(descriptor, SHARED_MODE)
    finally:
        os.close(descriptor)


def _is_own(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink() or entry.is_dir(follow_symlinks=False):
        return False
    return entry.name in OWN_NAMES or os.path.splitext(entry.name)[1] in OWN_SUFFIXES


def hand_over_state(directory: Path, interface: str, wireguard: Account, mesh: Account) -> None:
    """Gives an interface's existing files to who writes them: the private key to `wireguard`, all else to `mesh`."""
    _hand_over(directory / f"{interface}.json", wireguard)
    _hand_over(directory / f"{interface}-peers.json", mesh)
    # not every -*.json: that would be the private key of an interface whose name goes on after a dash
    for path in sorted(directory.glob(f"{interface}-*.nodes")):
        _hand_over(path, mesh)


def _hand_over(path: Path, account: Account) -> None:
    try:
        # O_NONBLOCK: a FIFO in the way must not hold up the start
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # not there, or a link: whoever reads it will say what is wrong with it
        return
    try:
        status = os.fstat(descriptor)
        # a second name could be a hard link that a child made of a file that is not ours
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            os.fchown(descriptor, account.uid, account.gid)
            os.fchmod(descriptor, PRIVATE_MODE)
    finally:
        os.close(descriptor)


def clear_sockets(directory: Path) -> None:
    """Removes sockets and their locks that a killed node has left, unless a process still holds the lock.

    A run as another user could not replace them, because of the sticky bit.
    """
    for lock_path in sorted(directory.glob("*.sock.lock")):
        try:
            descriptor = os.open(lock_path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # not ours to clear
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock_path.with_suffix("").unlink(missing_ok=True)
            lock_path.unlink(missing_ok=True)
        except OSError:  # held by a living process, or not to be removed: its service will say so
            continue
        finally:
            os.close(descriptor)
