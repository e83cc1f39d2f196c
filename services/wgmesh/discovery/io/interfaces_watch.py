"""Follows the host's interfaces and addresses through rtnetlink: every change is reported, nothing is polled."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import defaultdict
from collections.abc import Callable

from wgmesh.core.model import IPInterface
from wgmesh.discovery.host_interfaces import UNUSABLE, Link
from wgmesh.runtime.link_changes import LinkChanges
from wgmesh.runtime.netlink import AsyncIPRoute, NetlinkError

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
    with LinkChanges() as changes:
        async with AsyncIPRoute() as netlink:
            while True:
                on_links(await _read_links(netlink))
                await changes.next()


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
