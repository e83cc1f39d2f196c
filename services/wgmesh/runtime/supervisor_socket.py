"""Where a node's supervisor says how its processes are: an abstract unix socket, named after the interface.

Such a name lives in the network namespace, as the interface does, and in no directory: it cannot be deleted, and the
kernel takes it back when its holder ends. Everybody may take any name, so an answer counts only from root, or from
this process's own user.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.runtime.node_report import REPORT_BYTES_MAX, NodeReport, decoded

PREFIX = "wgmesh/"
TABLE = "/proc/net/unix"  # of this process's namespace; abstract names stand there with an @ (unix(7))
ANSWER_TIMEOUT_S = 2.0  # it answers within a second while others ask it without end, and else in a millisecond
CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
ROOT = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who listens at a name; `pid` is 0 where it lives out of sight, in another PID namespace."""

    pid: int
    uid: int

    @property
    def is_trusted(self) -> bool:
        """Whether it could be a supervisor, and not just anybody who has taken the name."""
        return self.uid in (ROOT, os.geteuid())


def address_of(interface: str) -> str:
    """Returns the abstract address for `interface`."""
    return f"\0{PREFIX}{interface}"


def holder(connected: socket.socket) -> Holder:
    """Returns who listened at the other end of a connected socket."""
    data = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, _ = CREDENTIALS.unpack(data)
    return Holder(pid, uid)


def ask(interface: str, timeout_s: float = ANSWER_TIMEOUT_S) -> NodeReport | None:
    """Returns what the supervisor of `interface` says, or None if there is none that answers.

    Waits for a supervisor alone: a name that others have taken, and where nobody lets us in, costs no time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.setblocking(False)
            connection.connect(address_of(interface))
            connection.settimeout(timeout_s)
            if not holder(connection).is_trusted:
                return None
            return _read(connection)
        except (OSError, MalformedMessage):
            return None


async def ask_in_loop(interface: str, timeout_s: float = ANSWER_TIMEOUT_S) -> NodeReport | None:
    """The same, for a process with an event loop."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(address_of(interface), limit=REPORT_BYTES_MAX)
            try:
                if not holder(writer.get_extra_info("socket")).is_trusted:
                    return None
                return decoded(await reader.readuntil(b"\n"))
            finally:
                writer.close()
    except (OSError, EOFError, asyncio.LimitOverrunError, MalformedMessage):  # TimeoutError is an OSError
        return None


def interfaces() -> list[str]:
    """Returns the interfaces in this network namespace for which somebody listens."""
    try:
        with open(TABLE, encoding="utf-8", errors="replace") as table:
            names = {line.rsplit(" @", 1)[1].rstrip("\n") for line in table if f" @{PREFIX}" in line}
    except OSError:
        return []
    return sorted(name.removeprefix(PREFIX) for name in names)


def _read(connection: socket.socket) -> NodeReport:
    data = b""
    while len(data) < REPORT_BYTES_MAX and (more := connection.recv(REPORT_BYTES_MAX - len(data))):
        data += more
    return decoded(data)
