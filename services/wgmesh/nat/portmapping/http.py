"""As much of HTTP/1.1 as an Internet gateway device speaks."""

from __future__ import annotations

from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint

RESPONSE_MAX_BYTES = 65536  # descriptions of real devices have 2 to 20 kB
PATH_MAX = 512
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Response:
    """A response with its whole body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Url:
    """A URL of plain HTTP whose host is an address."""

    to: Endpoint
    path: str


def request(method: str, url: Url, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> bytes:
    """Returns the bytes of a request after which the connection ends."""
    lines = [f"{method} {url.path} HTTP/1.1", f"Host: {url.to}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("ascii") + _HEAD_END + body


def decode_response(data: bytes) -> Response:
    """Returns a response from all bytes of a connection. Raises MalformedMessage."""
    if len(data) > RESPONSE_MAX_BYTES:
        raise MalformedMessage("an HTTP response that is too long")
    head, end, body = data.partition(_HEAD_END)
    if not end:
        raise MalformedMessage("no end of the HTTP headers")
    status, headers = decode_head(head)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Response(status, _dechunked(body))
    length = headers.get("content-length", "")
    if not length:
        return Response(status, body)
    if not (length.isascii() and length.isdigit()) or len(length) > 6 or int(length) > len(body):
        raise MalformedMessage("an HTTP response that was cut")
    return Response(status, body[: int(length)])


def decode_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Returns the status and the headers by their names in lower case. Raises MalformedMessage."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or len(words[1]) != 3 or not words[1].isdecimal():
        raise MalformedMessage("no status line of HTTP/1")
    if not words[1].isascii():
        raise MalformedMessage("no status line of HTTP/1")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(words[1]), headers


def parse_url(text: str, base: Url | None = None) -> Url:
    """Returns a URL of plain HTTP at an IPv4 address; where it has no host, that of `base`. Raises MalformedMessage."""
    if base is not None and "://" not in text:
        return Url(base.to, _path(text))
    scheme, _, rest = text.partition("://")
    if scheme.lower() != "http":
        raise MalformedMessage("a URL that is not of plain HTTP")
    place, slash, path = rest.partition("/")
    host, _, port = place.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise MalformedMessage("a URL with a bad port")
    try:
        to = Endpoint.of(host, int(port or "80"))
    except ValueError:
        raise MalformedMessage("a URL whose host is no address") from None
    return Url(to, _path(slash + path))


def _path(text: str) -> str:
    path = text if text.startswith("/") else f"/{text}"
    if len(path) > PATH_MAX or not all("!" <= letter <= "~" for letter in path):
        raise MalformedMessage("a URL with a bad path")
    return path


def _dechunked(data: bytes) -> bytes:
    body = b""
    while True:
        size_text, end, data = data.partition(b"\r\n")
        digits = size_text.partition(b";")[0].strip()
        if not end or not 0 < len(digits) <= 5 or not all(letter in b"0123456789abcdefABCDEF" for letter in digits):
            raise MalformedMessage("a bad chunk")
        size = int(digits, 16)
        if size == 0:
            return body
        if len(data) < size + 2:
            raise MalformedMessage("an HTTP response that was cut")
        body += data[:size]
        data = data[size + 2 :]
