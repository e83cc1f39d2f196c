"""How an operator writes a STUN server."""

from __future__ import annotations

import ipaddress

from wgmesh.core.errors import InvalidSetting

DEFAULT_STUN_PORT = 3478  # RFC 8489, section 18.6


def parse_server(text: str) -> tuple[str, int]:
    """Splits `host`, `host:port`, `[ipv6]:port` or a bare IPv6 literal. Raises InvalidSetting."""
    try:
        return str(ipaddress.ip_address(text.strip("[]"))), DEFAULT_STUN_PORT
    except ValueError:
        host, colon, port = text.rpartition(":")
    if not colon:
        return text, DEFAULT_STUN_PORT
    if not host or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise InvalidSetting("stun", f"{text!r} is not a server and port, such as stun.example.org:3478.")
    return host.strip("[]"), int(port)
