"""SSDP: finds the Internet gateway device of UPnP (UPnP Device Architecture 1.1, section 1.3)."""

from __future__ import annotations

from ipaddress import IPv4Address

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.nat.portmapping.http import Url, decode_head, parse_url

PORT = 1900
GROUP = Endpoint.of("239.255.255.250", PORT)
TARGET = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"  # a device of version 2 answers as one of version 1
RESPONSE_MAX_BYTES = 2048

SEARCH = (
    "M-SEARCH * HTTP/1.1\r\n"
    f"HOST: {GROUP}\r\n"
    f"ST: {TARGET}\r\n"
    'MAN: "ssdp:discover"\r\n'
    "MX: 1\r\n\r\n"  # answers within a second: below the pause before the question is repeated the last time
).encode("ascii")


def decode_response(data: bytes, gateway: IPv4Address) -> Url:
    """Returns where the description of the gateway lies. Raises MalformedMessage, also where that is elsewhere."""
    if len(data) > RESPONSE_MAX_BYTES:
        raise MalformedMessage("an SSDP response that is too long")
    status, headers = decode_head(data.rstrip(b"\r\n"))
    if status != 200 or headers.get("st") != TARGET:
        raise MalformedMessage("no response to our search")
    location = parse_url(headers.get("location", ""))
    if location.to.host != gateway:
        raise MalformedMessage("a description that is not on the gateway itself")
    return location
