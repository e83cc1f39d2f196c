"""Follows the host's interfaces and addresses through rtnetlink: every change is reported, nothing is polled."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from wgmesh.core.model import IPInterface, IPNetwork
from wgmesh.core.network_index import NetworkIndex
from wgmesh.core.settings import PRIVATE_NETWORKS
from wgmesh.discovery.host_interfaces import TUNNELS, UNUSABLE, Link
from wgmesh.runtime.link_changes import LinkChanges
from wgmesh.runtime.netlink import AsyncIPRoute, NetlinkError

PRIVATE = NetworkIndex((network, None) for network in PRIVATE_NETWORKS)
MAIN_TABLE = 254  # rtnetlink(7), RT_TABLE_MAIN
RETRY_S = 5.0


async def follow_links(
    own: str, on_links: Callable[[tuple[Link, ...]], None], on_failure: Callable[[str], None]
) -> None:
    """Reports all links at once and after each change, until cancelled. `own` is the mesh's device.

    A look that fails is reported with its reason, and tried again; it never counts as a host without interfaces.
    """
    while True:
        try:
            await _follow(own, on_links)
        except (OSError, NetlinkError) as error:
            on_failure(f"The interfaces could not be looked at: {error}.")
        await asyncio.sleep(RETRY_S)


async def _follow(own: str, on_links: Callable[[tuple[Link, ...]], None]) -> None:
    with LinkChanges() as changes:
        async with AsyncIPRoute() as netlink:
            while True:
                links = await _read_links(netlink)
                if any(link.kind in TUNNELS and link.name != own for link in links):
                    links = await _with_routes(netlink, links)
                on_links(links)
                await changes.next()


async def _with_routes(netlink: AsyncIPRoute, links: tuple[Link, ...]) -> tuple[Link, ...]:
    """The links with the private networks that the main table routes through each, as tunnels often have them.

    Public ones do not count: a host that sends all its traffic into a tunnel sends the mesh's there too.
    """
    networks: defaultdict[int, list[IPNetwork]] = defaultdict(list)
    for family in (socket.AF_INET, socket.AF_INET6):
        async for message in await netlink.get_routes(family=family):
            text, index = message.get_attr("RTA_DST"), message.get_attr("RTA_OIF")
            if text is None or index is None or message.get_attr("RTA_TABLE") != MAIN_TABLE:
                continue
            network = ipaddress.ip_network(f"{text}/{message.get('dst_len')}")
            if PRIVATE.around(network) is not None:
                networks[index].append(network)
    return tuple(replace(link, others=(*link.others, *networks[link.index])) for link in links)


async def _read_links(netlink: AsyncIPRoute) -> tuple[Link, ...]:
    addresses: defaultdict[int, list[IPInterface]] = defaultdict(list)
    others: defaultdict[int, list[IPNetwork]] = defaultdict(list)
    async for message in await netlink.get_addr():
        # For a point-to-point device IFA_ADDRESS is the other end, and IFA_LOCAL is missing in IPv6.
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        flags = message.get_attr("IFA_FLAGS") or message.get("flags")
        if text is not None and not flags & UNUSABLE:
            addresses[message.get("index")].append(ipaddress.ip_interface(f"{text}/{message.get('prefixlen')}"))
            far = message.get_attr("IFA_ADDRESS")
            if far not in (None, text):
                network = ipaddress.ip_network(f"{far}/{message.get('prefixlen')}", strict=False)
                others[message.get("index")].append(network)
    return tuple(
        [
            Link(
                name=message.get_attr("IFLA_IFNAME"),
                index=message.get("index"),
                flags=message.get("flags"),
                kind=message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
                addresses=tuple(addresses[message.get("index")]),
                others=tuple(others[message.get("index")]),
            )
            async for message in await netlink.get_links()
        ]
    )
