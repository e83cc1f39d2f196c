"""Closes a TCP listener that a library in this process opened and gives no way to leave out."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

from wgmesh.core.model import Endpoint

_DESCRIPTORS = "/proc/self/fd"


def close_tcp_listener(endpoint: Endpoint) -> bool:
    """Ends the listening of this process on a TCP address; the port is then closed.

    Returns whether there was one. The descriptor stays with its owner, whose waiting accept fails with EINVAL once.
    """
    for number in _sockets():
        with suppress(OSError), _duplicate(number) as duplicate:
            if _listens_on(duplicate, endpoint):
                duplicate.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _duplicate(number: int) -> socket.socket:
    """Raises OSError where another thread has closed the descriptor meanwhile."""
    duplicate = os.dup(number)
    try:
        return socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise


def _sockets() -> Iterator[int]:
    for name in os.listdir(_DESCRIPTORS):
        with suppress(OSError):  # the descriptor of the listing itself is gone
            if os.readlink(f"{_DESCRIPTORS}/{name}").startswith("socket:"):
                yield int(name)


def _listens_on(candidate: socket.socket, endpoint: Endpoint) -> bool:
    if candidate.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    if not candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    host, port = candidate.getsockname()[:2]
    return Endpoint.of(host, port) == endpoint
