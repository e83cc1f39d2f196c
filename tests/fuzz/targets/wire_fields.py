"""core/wire/wirefield.py and core/wire/advertised.py: the texts inside messages and files."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fuzz.rules import accepted
from wgmesh.core.wire.advertised import parse_advertised_endpoint
from wgmesh.core.wire.wirefield import (
    MAX_HOSTNAME_BYTES,
    parse_address,
    parse_endpoint,
    parse_hostname,
    parse_mesh_ipv4,
    parse_mesh_ipv6,
    parse_nat_type,
    parse_network,
    parse_public_key,
    wire_hostname,
)

PARSERS: tuple[Callable[[str, str], object], ...] = (
    parse_public_key,
    parse_hostname,
    parse_address,
    parse_mesh_ipv4,
    parse_mesh_ipv6,
    parse_network,
    parse_endpoint,
    parse_advertised_endpoint,
)
WORDS = (b"::ffff:", b"0.0.0.0", b"[::]", b"%eth0", b":51820", b"/128", b"/96", b"fe80::", b"\xd9\xa1", b"+", b"\n")


def seeds() -> Iterable[bytes]:
    texts = (
        "LBPx9eYX555h/tl8Gdz3hJYtNV5TYNeSZ+FfULesll8=", "host name", "10.1.2.3", "fd00::1", "::ffff:10.0.0.1",
        "10.0.0.1/8", "2001:db8::/32", "::ffff:10.0.0.0/104", "192.0.2.1:51820", "[2001:db8::1]:51820", ":51820",
        "[::]:1", "host.example:+443", "[fe80::1%eth0]:9", "1.2.3.4%x:1", "\u0661.2.3.4:1", "0:1", "1.2.3.4\n",
    )  # fmt: skip
    yield from (text.encode() for text in texts)


def check(data: bytes) -> None:
    text = (
        data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")
        if _decodes(data)
        else data.decode("latin-1")
    )
    for parse in PARSERS:
        value = accepted(lambda parse=parse: parse("member", text))  # type: ignore[misc]
        if value is not None:
            assert parse("member", str(value)) == value, parse.__name__
    leaving = wire_hostname(text)
    assert len(leaving) <= MAX_HOSTNAME_BYTES
    assert parse_hostname("hostname", leaving) == leaving
    assert parse_nat_type(parse_nat_type(text)) == parse_nat_type(text)


def _decodes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
