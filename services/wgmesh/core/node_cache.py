"""The content of `<iface>-<mesh>-private-dht.json`: nodes through which a member may enter its private DHT again.

    {"nodes": ["192.0.2.1:52528", "[2001:db8::1]:52528"]}

It is a hint. Whatever is wrong with it, the answer is the entries that are good, perhaps none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.jsonstrict import parse_json, to_json

MAX_NODES = 200
MAX_FILE_BYTES = 64 * 1024  # 200 addresses have less than 10 KB


def encode_nodes(nodes: Iterable[Endpoint]) -> bytes:
    """Returns the content of the file, with the first 200."""
    return to_json({"nodes": [str(each) for each in nodes][:MAX_NODES]})


def decode_nodes(content: bytes) -> list[Endpoint]:
    """Returns the nodes of a file, at most 200. Never raises."""
    try:
        value = parse_json(content, MAX_FILE_BYTES)
    except MalformedMessage:
        return []
    nodes = value.get("nodes") if isinstance(value, dict) else None
    return list(_good(nodes[:MAX_NODES])) if isinstance(nodes, list) else []


def _good(entries: list[object]) -> Iterator[Endpoint]:
    for entry in entries:
        if isinstance(entry, str):
            try:
                yield Endpoint.parse(entry)
            except ValueError:
                continue
