"""One supervisor a run directory: two namespaces may each have an interface of one name, and share the directory.

Within one network namespace it is interface_lock.py that counts.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wgmesh.core.errors import AlreadyRunning, PermissionDenied
from wgmesh.supervisor.io import directories

MODE = 0o600  # who may open a file may hold its lock
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
TRIES_MAX = 3  # one for a leftover, one for two starts at the same moment


@contextmanager
def held(directory: Path, interface: str) -> Iterator[int]:
    """Holds the lock of an interface, with the pid in it, and gives its descriptor.

    The directory is one where only the supervisor's own user can make entries. A lock that another user has made, or
    could open, is replaced: it holds up nobody but another supervisor.

    Raises AlreadyRunning, naming the pid of the holder, or PermissionDenied. The file stays: removing it would let two
    processes lock two different files.
    """
    descriptor = _taken(directory, interface)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def renew(directory: Path, interface: str, descriptor: int) -> None:
    """Takes the lock in a directory that was made again, under the descriptor that `held` gave. Raises as `held`."""
    again = _taken(directory, interface)
    try:
        os.dup2(again, descriptor, inheritable=False)  # the number is what children know not to keep
    finally:
        os.close(again)


def path_in(directory: Path) -> Path:
    """Returns the path of the lock."""
    return directory / "lock"


def _taken(directory: Path, interface: str) -> int:
    try:
        descriptor = _locked(path_in(directory), interface)
    except OSError as error:
        raise PermissionDenied(
            f"{directory} cannot be used ({error.strerror}). Start as root, or give a directory with --runtime-dir."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _locked(path: Path, interface: str) -> int:
    for _ in range(TRIES_MAX):
        try:
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, MODE)
        except FileExistsError:
            try:
                descriptor = os.open(path, _FLAGS)
            except OSError:
                _remove(path)
                continue
        status = os.fstat(descriptor)
        is_private = status.st_uid == os.geteuid() and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o077
        if _lock(descriptor):
            if is_private:
                return descriptor
        elif is_private or _is_held_by_a_supervisor(descriptor):
            refusal = _refusal(interface, descriptor)
            os.close(descriptor)
            raise AlreadyRunning(refusal)
        os.close(descriptor)
        _remove(path)
    raise AlreadyRunning(f"wgmesh is being started on {interface} by another process. Try again.")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_held_by_a_supervisor(descriptor: int) -> bool:
    """Whether a lock that others could open is held by a node of an earlier version, and not by one of those."""
    if os.fstat(descriptor).st_uid != os.geteuid():
        return False
    pid = _holder(descriptor)
    return pid.isdigit() and Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}").stat().st_uid == os.geteuid()


def _remove(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        directories.remove(path.name, descriptor)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode(errors="replace").strip()


def _refusal(interface: str, descriptor: int) -> str:
    text = _holder(descriptor)
    holder = f"pid {text}" if text.isdigit() else "another process"
    return f"wgmesh already runs on {interface} ({holder}). Stop it first, or choose another interface."
