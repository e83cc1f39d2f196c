"""Follows the host's interfaces and addresses through rtnetlink: every change is reported, nothing is polled."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

from wgmesh.core.model import IPInterface
from wgmesh.discovery.links import UNUSABLE, Link
from wgmesh.runtime.netlink import AsyncIPRoute, NetlinkError

# linux/rtnetlink.h: groups of the notifications that matter
LINK_GROUP = 0x1
IPV4_ADDRESS_GROUP = 0x10
IPV6_ADDRESS_GROUP = 0x100

SETTLE_S = 0.05  # an interface that comes up sends a handful of messages at once
RETRY_S = 5.0


async def follow_links(on_links: Callable[[tuple[Link, ...]], None], on_failure: Callable[[str], None]) -> None:
    """Reports all links at once and after each change, until cancelled.

    A look that fails is reported with its reason, and tried again; it never counts as a host without interfaces.
    """
    while True:
        try:
            await _follow(on_links)
        except (OSError, NetlinkError) as error:
            on_failure(f"The interfaces could not be looked at: {error}.")
        await asyncio.sleep(RETRY_S)


async def _follow(on_links: Callable[[tuple[Link, ...]], None]) -> None:
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    with _open_notifications() as notifications:
        loop.add_reader(notifications, _drain, notifications, changed)
        try:
            async with AsyncIPRoute() as netlink:
                while True:
                    changed.clear()
                    on_links(await _read_links(netlink))
                    await changed.wait()
                    await asyncio.sleep(SETTLE_S)
        finally:
            loop.remove_reader(notifications)


def _open_notifications() -> socket.socket:
    notifications = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    try:
        notifications.bind((0, LINK_GROUP | IPV4_ADDRESS_GROUP | IPV6_ADDRESS_GROUP))
    except OSError:
        notifications.close()
        raise
    return notifications


def _drain(notifications: socket.socket, changed: asyncio.Event) -> None:
    """What exactly has changed does not matter: everything is read anew. Neither does an overrun (ENOBUFS)."""
    changed.set()
    with suppress(BlockingIOError):
        while True:
            with suppress(InterruptedError):
                notifications.recv(65536)


async def _read_links(netlink: AsyncIPRoute) -> tuple[Link, ...]:
    addresses: defaultdict[int, list[IPInterface]] = defaultdict(list)
    async for message in await netlink.get_addr():
        # For a point-to-point device IFA_ADDRESS is the other end, and IFA_LOCAL is missing in IPv6.
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        flags = message.get_attr("IFA_FLAGS") or message.get("flags")
        if text is not None and not flags & UNUSABLE:
            addresses[message.get("index")].append(ipaddress.ip_interface(f"{text}/{message.get('prefixlen')}"))
    return tuple(
        [
            Link(
                name=message.get_attr("IFLA_IFNAME"),
                index=message.get("index"),
                flags=message.get("flags"),
                kind=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
                addresses=tuple(addresses[message.get("index")]),
            )
            async for message in await netlink.get_links()
        ]
    )
