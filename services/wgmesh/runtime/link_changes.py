"""Tells when an interface, address, route or rule of this host has changed; what exactly is for the caller to read."""

from __future__ import annotations

import asyncio
import errno
import socket
from types import TracebackType
from typing import Self

# linux/rtnetlink.h: groups of the notifications that matter
LINK_GROUP = 0x1
IPV4_ADDRESS_GROUP = 0x10
IPV6_ADDRESS_GROUP = 0x100
IPV4_ROUTE_GROUP = 0x40
IPV6_ROUTE_GROUP = 0x400
IPV4_RULE_GROUP = 0x80
IPV6_RULE_GROUP = 0x40000

LINKS_AND_ADDRESSES = LINK_GROUP | IPV4_ADDRESS_GROUP | IPV6_ADDRESS_GROUP
EVERYTHING = LINKS_AND_ADDRESSES | IPV4_ROUTE_GROUP | IPV6_ROUTE_GROUP | IPV4_RULE_GROUP | IPV6_RULE_GROUP

SETTLE_S = 0.05  # an interface that comes up sends a handful of messages at once
REST_SHARE = 4.0  # of the time that the caller took for the last change: a host that changes all the time costs a fifth
REST_MAX_S = 2.0


class LinkChanges:
    """A subscription to rtnetlink, open while the context is. Opening it raises OSError. Needs a running event loop."""

    def __init__(self, groups: int = LINKS_AND_ADDRESSES, changed: asyncio.Event | None = None) -> None:
        """`changed` may be set by others as well, who see something else."""
        self._changed = changed or asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._returned_at = 0.0  # 0: not yet
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._socket.bind((0, groups))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        self._loop.add_reader(self._socket, self._drain)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    async def next(self) -> None:
        """Waits for a change since the last call, and a moment for those that come with it.

        The moment is the longer, the longer the caller was busy with the last one: with many interfaces that are made
        one after the other, what it costs to look at all of them is not paid for each.
        """
        called_at = self._loop.time()
        rest_s = min(REST_SHARE * (called_at - self._returned_at), REST_MAX_S) if self._returned_at else 0.0
        await self._changed.wait()
        await asyncio.sleep(max(SETTLE_S, called_at + rest_s - self._loop.time()))
        self._changed.clear()
        self._returned_at = self._loop.time()

    def _drain(self) -> None:
        """The messages do not matter: everything is read again. Neither does an overrun (ENOBUFS)."""
        self._changed.set()
        while True:
            try:
                self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in (errno.ENOBUFS, errno.EINTR):
                    raise
