"""Where the metrics process listens and where it forwards to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from wgmesh.core.errors import InvalidSetting

METRICS_FLAG = "--metrics"
OTLP_FLAG = "--otlp-endpoint"

LOOPBACK = "127.0.0.1"
OTLP_GRPC_PORT = 4317  # OpenTelemetry protocol exporter specification

_PLAIN_SCHEMES = ("http", "grpc")
_TLS_SCHEMES = ("https", "grpcs")


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """`metrics_address` is HOST:PORT, [HOST]:PORT, :PORT or PORT; `otlp_endpoint` a URL or HOST:PORT. None is off."""

    metrics_address: str | None = None
    otlp_endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where the scrape page is served. Port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class OtlpEndpoint:
    """An OTLP receiver that speaks gRPC."""

    target: str
    encrypted: bool


def parse_listen_address(text: str) -> ListenAddress:
    """Reads --metrics. A port alone means loopback: the page is for everyone only when a host is named.

    Raises InvalidSetting.
    """
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise InvalidSetting(METRICS_FLAG, f"{text!r} is ambiguous. Write an IPv6 address as [::1]:9090.")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise InvalidSetting(METRICS_FLAG, f"{text!r} has no usable port. Write HOST:PORT or :PORT, as in :9090.")
    return ListenAddress(host or LOOPBACK, int(port))


def parse_otlp_endpoint(text: str) -> OtlpEndpoint:
    """Reads --otlp-endpoint: http:// and no scheme are plain text, https:// is TLS. The port is 4317 unless given.

    Raises InvalidSetting. The text of the error does not repeat an endpoint that may hold a password.
    """
    try:
        parts = urlsplit(text.strip() if "://" in text else f"grpc://{text.strip()}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidSetting(OTLP_FLAG, f"not a URL ({error}). Write https://HOST:4317 or HOST:4317.") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidSetting(OTLP_FLAG, "a user name or password in the endpoint is not supported. Remove it.")
    if parts.scheme not in (*_PLAIN_SCHEMES, *_TLS_SCHEMES):
        raise InvalidSetting(OTLP_FLAG, f"{parts.scheme!r} is not a scheme. Use http://, https:// or HOST:PORT.")
    if not host or port == 0:
        raise InvalidSetting(OTLP_FLAG, f"{text!r} names no host and port. Write https://HOST:4317 or HOST:4317.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidSetting(OTLP_FLAG, "a path means OTLP over HTTP. Give the gRPC endpoint, as in http://HOST:4317.")
    shown_host = f"[{host}]" if ":" in host else host
    return OtlpEndpoint(f"{shown_host}:{port or OTLP_GRPC_PORT}", parts.scheme in _TLS_SCHEMES)
