"""ICMP echo through the tunnels of many machines at once, from one program.

A raw socket belongs to the namespace in which it was made. So each is made by a thread that enters the machine's
namespace for that moment; afterwards the program sends and receives on all of them as on any socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from wgmesh.demo.fabric import NETNS_DIR
from wgmesh.demo.host import Host

CLONE_NEWNET = 0x40000000  # linux/sched.h
ECHO_REQUEST = 8  # RFC 792
ECHO_REPLY = 0
_HEADER = struct.Struct("!BBHHH")


@dataclass(frozen=True, slots=True)
class Target:
    """One direction of one pair: from a machine to a mesh address."""

    source: str
    address: str


def socket_in(namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Opens a socket that belongs to `namespace`. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: list[socket.socket | OSError] = []

    def open_there() -> None:
        try:
            with (NETNS_DIR / namespace).open() as handle:
                if libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter namespace {namespace}")
            result.append(socket.socket(family, kind, protocol))
        except OSError as error:
            result.append(error)

    # setns changes the calling thread alone, and this thread ends at once.
    thread = threading.Thread(target=open_there)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request without payload."""
    blank = _HEADER.pack(ECHO_REQUEST, 0, 0, identifier, sequence)
    return _HEADER.pack(ECHO_REQUEST, 0, _checksum(blank), identifier, sequence)


class Pinger:
    """Sends echo requests between machines and measures the answers."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._identifier = os.getpid() & 0xFFFF
        self._sequence = 0
        self._pending: dict[int, tuple[Target, float]] = {}
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[str, socket.socket] = {}
        for host in hosts:
            opened = socket_in(host.namespace, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            opened.setblocking(False)
            self._sockets[host.name] = opened
            self._selector.register(opened, selectors.EVENT_READ, host.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        for opened in self._sockets.values():
            opened.close()

    def ping(self, targets: Iterable[Target], timeout_s: float) -> dict[Target, float]:
        """Pings all targets once and returns the round trip time in seconds of those that answered in time."""
        self._pending.clear()
        for target in targets:
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._pending[self._sequence] = (target, time.perf_counter())
            # No route yet, or no peer for the address (WireGuard answers ENOKEY): simply not reachable.
            with contextlib.suppress(OSError):
                request = echo_request(self._identifier, self._sequence)
                self._sockets[target.source].sendto(request, (target.address, 0))
        answers: dict[Target, float] = {}
        deadline = time.monotonic() + timeout_s
        while self._pending and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._receive(key.data, answers)
        return answers

    def _receive(self, source: str, answers: dict[Target, float]) -> None:
        with contextlib.suppress(BlockingIOError):
            packet = self._sockets[source].recv(2048)
            now = time.perf_counter()
            start = (packet[0] & 0x0F) * 4  # a raw IPv4 socket delivers the IP header too (ip(7))
            kind, _, _, identifier, sequence = _HEADER.unpack_from(packet, start)
            if kind == ECHO_REPLY and identifier == self._identifier and sequence in self._pending:
                target, sent_at = self._pending.pop(sequence)
                answers[target] = now - sent_at
