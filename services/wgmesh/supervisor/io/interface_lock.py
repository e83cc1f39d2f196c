"""One supervisor an interface, by a name that no deleted directory takes away, and its answers to those who ask.

The name is that of `runtime/supervisor_socket.py`. Processes that can make the device of that name see the same names,
and the kernel takes it back at the moment when the supervisor ends.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wgmesh.core.errors import AlreadyRunning
from wgmesh.runtime import logs
from wgmesh.runtime.node_report import NodeReport
from wgmesh.runtime.supervisor_socket import Holder, address_of, holder

BACKLOG = 64  # a person and some scripts; who comes while it is full is told that nobody answers
ANSWERS_PER_LOOK = 64  # a program that asks without end costs the supervisor 3 ms a second, and others wait for one


class Answers:
    """Tells everybody who connects how the processes are, and closes. Never waits."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._left = ANSWERS_PER_LOOK
        self.descriptor = listener.fileno()

    @property
    def is_tired(self) -> bool:
        """Whether the next ones must wait for the next look."""
        return self._left <= 0

    def refresh(self) -> None:
        """Says that a look has been taken."""
        self._left = ANSWERS_PER_LOOK

    def answer(self, report: NodeReport) -> None:
        """Answers the next that waits."""
        self._left -= 1
        with suppress(OSError):  # it is gone again, or does not read: its own loss
            connection, _ = self._listener.accept()
            with connection:
                connection.setblocking(False)
                connection.send(report.encoded())


@contextmanager
def held(interface: str) -> Iterator[Answers | None]:
    """Holds the name of an interface. Gives None where it cannot: another user who has taken it holds up nobody.

    Raises AlreadyRunning, with the pid of the holder, if root or our own user holds it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        try:
            listener.bind(address_of(interface))
        except OSError as error:
            found = _holder(interface) if error.errno == errno.EADDRINUSE else None
            if found is not None and found.is_trusted:
                raise AlreadyRunning(_refusal(interface, found.pid)) from None
            _tell(found, error)
            yield None
            return
        listener.listen(BACKLOG)
        yield Answers(listener)


def _refusal(interface: str, pid: int) -> str:
    where = f"pid {pid}" if pid else "in another container"
    return f"wgmesh already runs on {interface} ({where}). Stop it first, or choose another interface."


def _tell(found: Holder | None, error: OSError) -> None:
    log = logs.logger()
    log.warning(
        "interface name not held",
        reason=error.strerror,
        **({"pid": found.pid, "user": found.uid} if found else {}),
    )


def _holder(interface: str) -> Holder | None:
    """Who listens at the name, or None if that cannot be found out: a supervisor would be seen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address_of(interface))
        except OSError:
            return None
        return holder(probe)
