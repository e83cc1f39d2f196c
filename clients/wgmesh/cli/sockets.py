"""Finds the control socket of the running node.

The candidates are tried by whether something answers there, not by whether a directory could be written. What stands in
the way is told apart: nothing running, no permission, a file that is no socket, several nodes.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from wgmesh.core.errors import DaemonNotRunning, InvalidSetting, MeshError, PermissionDenied

SYSTEM_DIRECTORY = Path("/run/wgmesh")
SOCKET_NAME = "node.sock"
SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux, without the final zero
CONNECT_TIMEOUT_S = 2.0  # a local connect is instant unless the backlog of a stuck process is full


@dataclass(frozen=True, slots=True)
class SocketChoice:
    """What flags and environment say about where the node is. None means not said."""

    socket_path: Path | None = None
    interface: str | None = None
    runtime_dir: Path | None = None


class Presence(Enum):
    """What is found at a path."""

    ABSENT = auto()
    ANSWERS = auto()
    SILENT = auto()
    FORBIDDEN = auto()
    NOT_A_SOCKET = auto()


def find_socket(choice: SocketChoice, environ: Mapping[str, str], system_directory: Path = SYSTEM_DIRECTORY) -> Path:
    """Returns the socket of the one node that is meant.

    Raises DaemonNotRunning, PermissionDenied, InvalidSetting (several nodes run and none was named) or MeshError (a
    file stands where the socket should be).
    """
    if choice.socket_path is not None:
        return _only(choice.socket_path)
    directories = node_directories(choice, environ, system_directory)
    if choice.interface is not None:
        return _first([directory / choice.interface / SOCKET_NAME for directory in directories], choice.interface)
    return _single(directories)


def presence_of_node(choice: SocketChoice, environ: Mapping[str, str]) -> Presence:
    """What is found where the node of `choice.interface` would have its socket. Needs an interface or a path."""
    if choice.socket_path is not None:
        return presence(choice.socket_path)
    assert choice.interface is not None
    paths = (directory / choice.interface / SOCKET_NAME for directory in node_directories(choice, environ))
    return next((found for path in paths if (found := presence(path)) is not Presence.ABSENT), Presence.ABSENT)


def presence(path: Path) -> Presence:
    """Looks at a path and, if it is a socket, whether anybody answers. Raises MeshError for a path that is too long."""
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise InvalidSetting("--socket-path", f"{path} is longer than {SOCKET_PATH_BYTES_MAX} bytes")
    try:
        mode = path.lstat().st_mode if not path.is_symlink() else path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Presence.ABSENT
    except PermissionError:
        return Presence.FORBIDDEN
    if not stat.S_ISSOCK(mode):
        return Presence.NOT_A_SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        try:
            probe.connect(os.fspath(path))
        except PermissionError:
            return Presence.FORBIDDEN
        except TimeoutError:
            return Presence.SILENT
        except OSError as error:
            if error.errno in (errno.ECONNREFUSED, errno.ENOENT, errno.EAGAIN):
                return Presence.SILENT
            raise MeshError(f"{path}: {error.strerror}") from error
    return Presence.ANSWERS


def _only(path: Path) -> Path:
    return _judged(path, presence(path))


def _first(paths: list[Path], interface: str) -> Path:
    """The first of several places where anything is."""
    for path in paths:
        found = presence(path)
        if found is not Presence.ABSENT:
            return _judged(path, found)
    raise DaemonNotRunning(
        f"no wgmesh is running on {interface}; start it with `sudo wgmesh join --interface {interface}`"
    )


def _judged(path: Path, found: Presence) -> Path:
    match found:
        case Presence.ANSWERS:
            return path
        case Presence.FORBIDDEN:
            raise PermissionDenied(f"{path} may not be opened by this user; use sudo")
        case Presence.NOT_A_SOCKET:
            raise MeshError(f"{path} is a file and not a socket, and stays; name another path with --socket-path")
        case Presence.ABSENT | Presence.SILENT:
            raise DaemonNotRunning(f"no wgmesh answers at {path}; start it with `sudo wgmesh join`")


def _single(directories: list[Path]) -> Path:
    """The only node that answers in the first directory that has any; else the best reason why there is none."""
    reasons: list[tuple[Path, Presence]] = []
    for directory in directories:
        try:
            names = sorted(entry.name for entry in os.scandir(directory))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            reasons.append((directory, Presence.FORBIDDEN))
            continue
        found = [(path, presence(path)) for path in (directory / name / SOCKET_NAME for name in names)]
        running = [path for path, state in found if state is Presence.ANSWERS]
        if len(running) > 1:
            interfaces = ", ".join(path.parent.name for path in running)
            raise InvalidSetting("--interface", f"several nodes are running ({interfaces}); say which one is meant")
        if running:
            return running[0]
        reasons += found
    for state in (Presence.FORBIDDEN, Presence.NOT_A_SOCKET):
        for path, reason in reasons:
            if reason is state:
                return _judged(path, reason)
    raise DaemonNotRunning("no wgmesh is running on this machine; start it with `sudo wgmesh join`")


def node_directories(
    choice: SocketChoice, environ: Mapping[str, str], system_directory: Path = SYSTEM_DIRECTORY
) -> list[Path]:
    """Returns where the directories of interfaces are looked for."""
    if choice.runtime_dir is not None:
        return [choice.runtime_dir]
    user = environ.get("XDG_RUNTIME_DIR")
    return [system_directory, *([Path(user) / "wgmesh"] if user else [])]
