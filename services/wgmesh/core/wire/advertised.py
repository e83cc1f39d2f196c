"""The WireGuard address that a node claims for itself, before anybody knows whether it is reachable."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, IPAddress

_HOST_NAME = re.compile(r"[!-Z\\^-~]{1,253}")  # printable ASCII without blanks and brackets
_PORT = re.compile(r"\+?[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class AdvertisedEndpoint:
    """A WireGuard address as its owner wrote it. `host` is None for a wildcard, a string for a name nobody resolved."""

    host: IPAddress | str | None
    port: int

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ValueError(f"a port lies in 1..65535, not {self.port}")

    @classmethod
    def of(cls, endpoint: Endpoint) -> AdvertisedEndpoint:
        return cls(endpoint.host, endpoint.port)

    @property
    def literal(self) -> Endpoint | None:
        """The endpoint where the host is an IP address, else None."""
        return None if self.host is None or isinstance(self.host, str) else Endpoint(self.host, self.port)

    def __str__(self) -> str:
        if self.host is None:
            return f"0.0.0.0:{self.port}"
        return f"{self.host}:{self.port}" if isinstance(self.host, str) else str(Endpoint(self.host, self.port))


def parse_advertised_endpoint(name: str, text: str) -> AdvertisedEndpoint | None:
    """Parses `host:port` as Go splits it; the empty text is None. Raises MalformedMessage that begins with `name`."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535 or (":" in host and not bracketed):
        raise MalformedMessage(f"{name}: not a host and port")
    host = host[1:-1] if bracketed else host
    if not host:
        return AdvertisedEndpoint(None, int(port))
    try:
        endpoint = Endpoint.of(host, int(port))
    except ValueError:
        if bracketed or not _HOST_NAME.fullmatch(host):
            raise MalformedMessage(f"{name}: not a host and port") from None
        return AdvertisedEndpoint(host, int(port))
    return AdvertisedEndpoint(None if endpoint.host.is_unspecified else endpoint.host, endpoint.port)
