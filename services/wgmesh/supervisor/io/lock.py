"""One supervisor an interface."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wgmesh.core.errors import AlreadyRunning, PermissionDenied


@contextmanager
def held(directory: Path, interface: str) -> Iterator[int]:
    """Holds the lock of an interface, with the pid in it, and gives its descriptor.

    Raises AlreadyRunning, naming the pid of the holder, or PermissionDenied. The file stays: removing it would let two
    processes lock two different files.
    """
    path = directory / "lock"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise PermissionDenied(
            f"{directory} cannot be used ({error.strerror}). Start as root, or give a directory with --runtime-dir."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(_refusal(interface, descriptor)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def is_any_other_held(runtime_dir: Path, interface: str) -> bool:
    """Returns whether a node runs on another interface."""
    return any(_is_held(path) for path in runtime_dir.glob("*/lock") if path.parent.name != interface)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # gone
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _refusal(interface: str, descriptor: int) -> str:
    text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    holder = f"pid {text}" if text.isdigit() else "another process"
    return f"wgmesh already runs on {interface} ({holder}). Stop it first, or choose another interface."
