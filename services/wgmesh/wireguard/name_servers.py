"""The name servers in the text of resolv.conf(5)."""

from __future__ import annotations

import ipaddress

from wgmesh.core.model import IPAddress

NAME_SERVERS_MAX = 64  # the resolver of the C library reads three


def name_servers(text: str) -> frozenset[IPAddress]:
    """The addresses of the `nameserver` lines; what is no address is passed over, as the C library does."""
    found: set[IPAddress] = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and len(found) < NAME_SERVERS_MAX:
            try:
                address = ipaddress.ip_address(words[1].partition("%")[0])
            except ValueError:
                continue
            mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
            found.add(address if mapped is None else mapped)
    return frozenset(found)
