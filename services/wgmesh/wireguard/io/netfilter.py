"""The node's own table of nf_tables, in the network namespace of the calling thread."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from wgmesh.core.errors import DeviceUnavailable, MeshError, NotSupported, PermissionDenied
from wgmesh.wireguard.guard import Rule
from wgmesh.wireguard.nftables import Answer, answers, question, replacement

NETLINK_NETFILTER = 12  # linux/netlink.h
TABLES_GROUP = 7  # linux/netfilter/nfnetlink.h, NFNLGRP_NFTABLES
ANSWER_BYTES = 1 << 20
ANSWER_TIMEOUT_S = 5.0  # the kernel answers before sending returns
# A kernel without nf_tables, or one that was built without a part of it.
MISSING = frozenset(
    {errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOENT, errno.ENOSYS}
)


def table_name(interface: str) -> str:
    return f"wgmesh-{interface}"


class GuardTable:
    """The table of one interface. Raises NotSupported without nf_tables, PermissionDenied, DeviceUnavailable."""

    def __init__(self, interface: str, protocol: int = NETLINK_NETFILTER) -> None:
        self._name = table_name(interface)
        self._protocol = protocol

    def names(self) -> tuple[str, ...]:
        """The names of its rules, chain by chain; none where there is no table."""
        return tuple(answer.name for answer in self._ask(question(self._name), 1, "look at") if answer.name)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Makes these its rules, in one transaction; no rules, no table."""
        request, last = replacement(self._name, rules)
        for _ in self._ask(request, last, "set"):
            pass

    def _ask(self, request: bytes, last: int, doing: str) -> list[Answer]:
        try:
            with _open(self._protocol) as channel:
                channel.settimeout(ANSWER_TIMEOUT_S)
                channel.send(request)
                return _heard(channel, last)
        except OSError as error:
            raise _translated(error, doing) from None


class GuardChanges:
    """Tells that somebody may have changed our table, open while the context is. Opening it raises OSError."""

    def __init__(self, interface: str, on_change: asyncio.Event) -> None:
        self._name = table_name(interface).encode() + b"\0"
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._socket = _open(NETLINK_NETFILTER, 1 << (TABLES_GROUP - 1))
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        self._loop.add_reader(self._socket, self._drain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _drain(self) -> None:
        """Rules of others change often on some hosts: only messages that name our table wake anybody."""
        while True:
            try:
                if self._name in self._socket.recv(ANSWER_BYTES):
                    self._on_change.set()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # what was lost may have named it
                    self._on_change.set()
                elif error.errno != errno.EINTR:
                    raise


def _open(protocol: int, groups: int = 0) -> socket.socket:
    channel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        channel.bind((0, groups))
    except OSError:
        channel.close()
        raise
    return channel


def _heard(channel: socket.socket, last: int) -> list[Answer]:
    """All answers up to the one to message `last`. Raises OSError with what the kernel refused."""
    heard: list[Answer] = []
    while True:
        for answer in answers(channel.recv(ANSWER_BYTES)):
            if answer.error:
                raise OSError(answer.error, os.strerror(answer.error))
            if answer.is_end and answer.sequence == last:
                return heard
            heard.append(answer)


def _translated(error: OSError, doing: str) -> MeshError:
    if error.errno in (errno.EPERM, errno.EACCES):
        return PermissionDenied(f"Could not {doing} the firewall rules: this needs CAP_NET_ADMIN.")
    if error.errno in MISSING:
        return NotSupported(
            "This kernel has no nf_tables, so mesh addresses can be reached and forged from the networks around this "
            "host. Use a kernel with CONFIG_NF_TABLES_INET, or a firewall of your own."
        )
    return DeviceUnavailable(f"Could not {doing} the firewall rules: {error.strerror}.")
