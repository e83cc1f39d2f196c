"""Texts of the wire and of state files, checked and turned into values (protocol notes, section 6.3).

Each parser raises MalformedMessage that begins with `name`, the member the text came from.
"""

from __future__ import annotations

import ipaddress
import re

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, IPAddress, IPNetwork, PublicKey

# specification
MAX_HOSTNAME_BYTES = 253
MAX_ROUTABLE_NETWORKS = 100
MAX_KNOWN_PEERS = 1000
NAT_TYPES = frozenset({"cone", "symmetric", "unknown"})

REVISION_BYTES = 6  # milliseconds since 1970, until the year 10889
REVISION_LIMIT = 1 << 8 * REVISION_BYTES

_PRINTABLE = re.compile(r"[ -~]*")
_UNPRINTABLE = re.compile(r"[^ -~]")
_CIDR = re.compile(r"([0-9a-fA-F:.]+)/([0-9]{1,3})")


def parse_public_key(name: str, text: str) -> PublicKey:
    try:
        return PublicKey.parse(text)
    except ValueError:
        raise MalformedMessage(f"{name}: not a WireGuard key") from None


def parse_hostname(name: str, text: str) -> str:
    """Accepts up to 253 printable ASCII characters, blanks included."""
    if len(text) > MAX_HOSTNAME_BYTES or not _PRINTABLE.fullmatch(text):
        raise MalformedMessage(f"{name}: not at most {MAX_HOSTNAME_BYTES} printable characters")
    return text


def wire_hostname(text: str) -> str:
    """Returns the host name as every node accepts it: other characters become `-`, the excess is cut."""
    return _UNPRINTABLE.sub("-", text)[:MAX_HOSTNAME_BYTES]


def parse_address(name: str, text: str) -> IPAddress:
    """Accepts an IP literal without zone; an IPv4-mapped one becomes IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise MalformedMessage(f"{name}: not an IP address") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise MalformedMessage(f"{name}: not an IP address")
        return address.ipv4_mapped or address
    return address


def parse_mesh_ipv4(name: str, text: str) -> ipaddress.IPv4Address:
    """Accepts an IPv4 address that an interface can have."""
    address = parse_address(name, text)
    if not isinstance(address, ipaddress.IPv4Address) or not _can_be_assigned(address):
        raise MalformedMessage(f"{name}: not an IPv4 host address")
    return address


def parse_mesh_ipv6(name: str, text: str) -> ipaddress.IPv6Address | None:
    """Accepts an IPv6 address that an interface can have, or the empty text (None)."""
    if not text:
        return None
    address = parse_address(name, text)
    if not isinstance(address, ipaddress.IPv6Address) or not _can_be_assigned(address):
        raise MalformedMessage(f"{name}: not an IPv6 host address")
    return address


def parse_network(name: str, text: str) -> IPNetwork:
    """Accepts a CIDR with host bits; IPv4-mapped networks become IPv4."""
    match = _CIDR.fullmatch(text)
    try:
        network = ipaddress.ip_network((match[1], int(match[2])), strict=False) if match else None
    except ValueError:
        network = None
    if network is None:
        raise MalformedMessage(f"{name}: not a network in CIDR notation")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        if network.prefixlen < 96:
            raise MalformedMessage(f"{name}: not a network in CIDR notation")
        return ipaddress.IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def parse_endpoint(name: str, text: str) -> Endpoint:
    """Accepts an IP literal and a port."""
    try:
        return Endpoint.parse(text)
    except ValueError:
        raise MalformedMessage(f"{name}: not an IP address and port") from None


def parse_revision(name: str, value: int) -> int:
    """Accepts a revision that each message of ours has room for: what is taken in here is told on by others."""
    if not 0 <= value < REVISION_LIMIT:
        raise MalformedMessage(f"{name}: not a revision")
    return value


def parse_nat_type(text: str) -> str:
    """Returns the word, `unknown` for words of a later version, or the empty text."""
    return text if text in NAT_TYPES or not text else "unknown"


def _can_be_assigned(address: IPAddress) -> bool:
    return not (address.is_unspecified or address.is_loopback or address.is_multicast)
