"""Follows the addresses that this host can send from, outside the tunnel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from wgmesh.runtime.link_changes import LinkChanges
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.netlink import AsyncIPRoute, NetlinkError

# linux/if.h, as they are in the messages of rtnetlink
UP = 0x1
LOWER_UP = 0x10000

RETRY_S = 5.0


async def follow_own_addresses(interface: str, on_change: Callable[[], Awaitable[None]], log: BoundLogger) -> None:
    """Calls `on_change` after each change of the usable addresses, without those of `interface`, until cancelled."""
    while True:
        try:
            await _follow(interface, on_change)
        except (OSError, NetlinkError) as error:
            log.warning("own addresses not known", reason=str(error))
        await asyncio.sleep(RETRY_S)


async def _follow(interface: str, on_change: Callable[[], Awaitable[None]]) -> None:
    with LinkChanges() as changes:
        async with AsyncIPRoute() as netlink:
            known = await _usable(netlink, interface)
            while True:
                await changes.next()
                before, known = known, await _usable(netlink, interface)
                if known != before:
                    await on_change()


async def _usable(netlink: AsyncIPRoute, interface: str) -> frozenset[tuple[int, str]]:
    """The addresses of the interfaces that carry, each with the number of its interface."""
    carrying = {
        message.get("index")
        async for message in await netlink.get_links()
        if message.get("flags") & UP
        and message.get("flags") & LOWER_UP
        and message.get_attr("IFLA_IFNAME") != interface
    }
    # For a point-to-point device IFA_ADDRESS is the other end, and IFA_LOCAL is missing in IPv6.
    return frozenset(
        [
            (message.get("index"), message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))
            async for message in await netlink.get_addr()
            if message.get("index") in carrying
        ]
    )
