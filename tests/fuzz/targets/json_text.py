"""core/wire/jsonstrict.py: JSON from strangers."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.rules import accepted
from wgmesh.core.wire.jsonstrict import INT64, Members, parse_json, to_json

MAX_BYTES = 4096
NAMES = ("a", "b", "c", "k")
READERS = ("text", "flag", "integer", "items")
WORDS = (b"null", b"true", b"false", b"NaN", b"-Infinity", b"1e999", b"\\ud800", b'"a":', b'"A":', b"\xe2\x84\xaa")


def seeds() -> Iterable[bytes]:
    yield b'{"a":1,"b":[true,null,-0.5e-3],"c":{"d":"\\u00e9"}}'
    yield b'{"a":"x","A":"y"}'
    yield b"[" * 2000
    yield b"[" * 32 + b"]" * 32
    yield b"[" * 33 + b"]" * 33
    yield b"[1e999,-1e999]"
    yield b'{"a":' + b"9" * 400 + b"}"
    yield b'{"a":"\\ud800"}'
    yield b'"text"'


def check(data: bytes) -> None:
    value = accepted(lambda: parse_json(data, MAX_BYTES))
    if value is None:
        return
    assert len(data) <= MAX_BYTES
    assert parse_json(to_json(value), 12 * MAX_BYTES) == value
    members = accepted(lambda: Members(value))
    if members is None:
        return
    for name in NAMES:
        for reader in READERS:
            accepted(lambda reader=reader, name=name: getattr(members, reader)(name))  # type: ignore[misc]
        number = accepted(lambda name=name: members.integer(name))  # type: ignore[misc]
        assert number is None or number in INT64
