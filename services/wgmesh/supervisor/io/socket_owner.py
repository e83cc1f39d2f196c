"""Whose device a WireGuard control socket belongs to, found out without changing anything."""

from __future__ import annotations

import os
import socket
import stat
from enum import Enum
from pathlib import Path

from wgmesh.core.errors import CorruptState, MeshError
from wgmesh.supervisor.io.wakeup import signals_held_back
from wgmesh.wireguard import uapi
from wgmesh.wireguard.identity_file import MAX_FILE_BYTES, StoredIdentity, decode_identity

ANSWER_TIMEOUT_S = 2.0  # a program answers within milliseconds; one that hangs is not ours to touch either
ANSWER_BYTES_MAX = 64 * 1024 * 1024
READ_BYTES = 65_536


class Owner(Enum):
    """Who answers on a socket."""

    NOBODY = 0  # a leftover
    OURS = 1
    OTHERS = 2  # or somebody who does not say


def owner(path: Path, identity: Path) -> Owner:
    """Asks the program on the socket `path` for its key, and compares it with the one in the file `identity`.

    Both keys are read in a process of their own, which ends at once: this one has no key, nor do those forked from it.
    """
    with signals_held_back():
        pid = os.fork()
        if pid == 0:
            answer = Owner.OTHERS
            try:
                answer = _owner(path, identity)
            finally:
                os._exit(answer.value)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return Owner(code) if code in (each.value for each in Owner) else Owner.OTHERS


def _owner(path: Path, identity: Path) -> Owner:
    try:
        answer = _ask(path)
    except (ConnectionRefusedError, FileNotFoundError):
        return Owner.NOBODY
    except OSError:
        return Owner.OTHERS
    try:
        key = uapi.parse_state(answer).private_key
        stored = _stored(identity)
    except (MeshError, OSError):
        return Owner.OTHERS
    return Owner.OURS if key is not None and key.public_key == stored.public_key else Owner.OTHERS


def _ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(uapi.GET_REQUEST)
        answer = bytearray()
        while not answer.endswith(uapi.ANSWER_END) and len(answer) < ANSWER_BYTES_MAX:
            received = connection.recv(READ_BYTES)
            if not received:
                break
            answer += received
        return bytes(answer)


def _stored(path: Path) -> StoredIdentity:
    # not `runtime.files`: it may belong to the user of an earlier life, whom it is about to be taken from
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise CorruptState(f"{path} is no file.")
        return decode_identity(file.read(MAX_FILE_BYTES + 1), str(path))
