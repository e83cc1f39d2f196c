"""Where the processes of a node call each other, and where people call it.

Each pair has a directory of its own below that of the interface, and only these two users can enter it: the serving
user owns it, and the calling user's own group may pass. What is made in it gets that group from the directory, so no
process need be in the group of another. The control socket's group is `wgmesh`; its path is a link, which root makes,
so that no process of the node has to write where it lies.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from wgmesh.core.errors import AlreadyRunning, InvalidSetting, PermissionDenied
from wgmesh.runtime.callers import CALLERS, CONTROL, socket_path
from wgmesh.runtime.rpc_server import check_path_length
from wgmesh.supervisor.io import directories
from wgmesh.supervisor.io.privileges import Account, group_id
from wgmesh.supervisor.settings import CONTROL_GROUP, SupervisorSettings

PAIR_MODE = 0o2710  # set-group-id: what the serving user makes in it gets the calling user's group
OWN_MODE = 0o700  # of an ordinary user, who can give nothing to another group
CONNECT_TIMEOUT_S = 2.0  # a local connect is instant unless the backlog of a stuck process is full


def make(directory: Path, accounts: Mapping[str, Account | None], services: Iterable[str] | None = None) -> None:
    """Makes the directory of each pair in `directory`, where only the caller can make entries. Raises OSError.

    `services` are those to do it for, by default all. Locks and sockets of another user, as of an earlier version that
    ran as others, are removed.
    """
    _clear_earlier(directory)
    separate = os.geteuid() == 0
    for service in accounts if services is None else services:
        directories.given(directory / service, os.geteuid(), os.getegid(), directories.OPEN_MODE)
        for caller in CALLERS[service]:
            uid, gid = _owner(accounts[service]), _group(caller, accounts)
            mode = PAIR_MODE if separate else OWN_MODE
            directories.given(directory / service / caller, uid, gid, mode)


def _owner(account: Account | None) -> int:
    return os.geteuid() if account is None else account.uid


def _group(caller: str, accounts: Mapping[str, Account | None]) -> int:
    if caller == CONTROL:
        return group_id(CONTROL_GROUP) if os.geteuid() == 0 else os.getegid()
    account = accounts.get(caller)
    return os.getegid() if account is None else account.gid


def _clear_earlier(directory: Path) -> None:
    """Earlier versions had all sockets and locks side by side, in a directory where the group could make entries."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for service in CALLERS:
            for name in (f"{service}.sock", f"{service}.sock.lock"):
                directories.remove(name, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def published(settings: SupervisorSettings) -> Iterator[None]:
    """Has the control path lead to the node's socket while the context is open. Raises as `publish`."""
    publish(settings)
    try:
        yield
    finally:
        with suppress(OSError):
            if os.readlink(settings.control_path) == control_target(settings):
                settings.control_path.unlink()


def publish(settings: SupervisorSettings) -> None:
    """Makes the control path lead to the node's socket.

    A leftover is replaced, and so is what another user has put there. Raises AlreadyRunning where another node of ours
    answers, InvalidSetting for a path that cannot be a socket, PermissionDenied.
    """
    path, target = settings.control_path, control_target(settings)
    try:
        directories.make(path.parent)
        _check(path, target)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.symlink_to(target)
        temporary.replace(path)
    except OSError as error:
        raise PermissionDenied(
            f"{path} cannot be made ({error.strerror}). Start as root, or choose another --socket-path."
        ) from None


def control_target(settings: SupervisorSettings) -> str:
    """Returns what the link at the control path says."""
    path, served = settings.control_path, socket_path(settings.interface_dir, "node", CONTROL)
    return os.path.relpath(served, path.parent) if path.parent == settings.interface_dir else str(served.absolute())


def _check(path: Path, target: str) -> None:
    check_path_length(path, "--socket-path")
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        is_ours = status.st_uid == os.geteuid() and os.readlink(path) != target
    elif stat.S_ISSOCK(status.st_mode):
        is_ours = status.st_uid == os.geteuid()
    else:
        raise InvalidSetting("--socket-path", f"{path} exists and is not a socket. Move it away or use another path.")
    if is_ours and _answers(path):
        raise AlreadyRunning(f"Another node answers at {path}. Stop it first, or use another --socket-path.")


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
