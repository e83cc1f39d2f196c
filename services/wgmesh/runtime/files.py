"""Every file that a node or a command reads or replaces goes through here: read as a door, written whole or not at all.

A path is a door: somebody else may have put a FIFO, a device, a link or a disk image behind it, or a file that he has
written. So nothing here waits for a writer, opens a device, takes more bytes than its caller has named, or takes what
belongs to another user than root and this one; and a file that is there and cannot be read is an error, never "nothing
there". What no flag prevents is a file system that itself hangs, such as a dead NFS server.
"""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path

from wgmesh.core.errors import UnreadableFile

PIPE_S = 60.0  # somebody may type the passphrase of a password store meanwhile
_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISLNK, "a symbolic link"),
)


def read_state(path: Path, bytes_max: int) -> bytes | None:
    """Returns a file that wgmesh itself keeps, None if there is none. Raises UnreadableFile.

    We make no links, so one in its place is somebody else's and is not followed.
    """
    return _read_regular(path, bytes_max, os.O_NOFOLLOW)


def read_given(path: Path, bytes_max: int) -> bytes | None:
    """Returns a file that the operator writes, None if there is none. Raises UnreadableFile.

    It may be reached by a link, as Kubernetes and many package managers make them.
    """
    return _read_regular(path, bytes_max, 0)


def read_named(path: Path, bytes_max: int, pipe_s: float = PIPE_S) -> bytes:
    """Returns a file that somebody names to a command. Raises UnreadableFile, also if there is none.

    It may be a pipe, as `<(pass show mesh)` and /dev/stdin are; one that says nothing for `pipe_s` is an error.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            return _read_pipe(path, bytes_max, pipe_s)
    except OSError as error:
        raise _unreadable(path, error) from None
    data = _read_regular(path, bytes_max, 0, is_named=True)
    if data is None:
        raise UnreadableFile(str(path), os.strerror(2))
    return data


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replaces `path` by a file with `data`; a reader, or a crash at any instant, sees the old or the new content.

    The file belongs to the caller afterwards, and has `mode` whatever the umask is. Raises OSError; the old file is
    then untouched. Its temporary name cannot be foretold, so nobody can put a link or a directory there before.
    """
    temporary = path.parent / f".{path.name}.{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_directory(path.parent)


def _read_regular(path: Path, bytes_max: int, flags: int, *, is_named: bool = False) -> bytes | None:
    try:
        # looked at before it is opened: to open a device may do something, such as arm a watchdog
        _require_regular(path, path.lstat() if flags & os.O_NOFOLLOW else path.stat())
        # O_NONBLOCK: it may have become a FIFO since, or be leased by its owner
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _require_regular(path, status)
            if not is_named:
                _require_own(path, status)
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > bytes_max:
        raise _too_large(path, bytes_max)
    return data


def _read_pipe(path: Path, bytes_max: int, pipe_s: float) -> bytes:
    deadline = time.monotonic() + pipe_s
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    data = b""
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            try:
                chunk = os.read(descriptor, bytes_max + 1 - len(data))
            except BlockingIOError:
                continue
            data += chunk
            if not chunk:
                return data
            if len(data) > bytes_max:
                raise _too_large(path, bytes_max)
    finally:
        os.close(descriptor)
    raise UnreadableFile(str(path), f"it is a pipe that was not written and closed within {pipe_s:g} s")


def _require_regular(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "a device")
        raise UnreadableFile(str(path), f"it is {kind} and not a regular file")


def _require_own(path: Path, status: os.stat_result) -> None:
    """In a directory that several may write, a name says nothing of who has written the file."""
    if status.st_uid not in (0, os.geteuid()):
        raise UnreadableFile(str(path), f"it belongs to user {status.st_uid}", permitted=False)


def _too_large(path: Path, bytes_max: int) -> UnreadableFile:
    return UnreadableFile(str(path), f"it is larger than {bytes_max} bytes")


def _unreadable(path: Path, error: OSError) -> UnreadableFile:
    return UnreadableFile(str(path), error.strerror or str(error), permitted=not isinstance(error, PermissionError))


def _sync_directory(directory: Path) -> None:
    # without it a power cut may bring the old directory entry back
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
