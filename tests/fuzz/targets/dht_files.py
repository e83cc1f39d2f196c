"""The files that remember nodes of either DHT: cut off, overwritten, or of another mesh."""

from __future__ import annotations

from collections.abc import Iterable

from wgmesh.core.model import Endpoint
from wgmesh.core.node_cache import decode_nodes, encode_nodes
from wgmesh.discovery.mainline.known_nodes import RoutingNode, decode_routing_nodes, encode_routing_nodes

ENDPOINTS = (Endpoint.parse("192.0.2.1:52528"), Endpoint.parse("[2001:db8::1]:1"))
WORDS = (b'{"nodes":["', b'","', b'"]}')


def seeds() -> Iterable[bytes]:
    yield b"\0" + encode_routing_nodes(RoutingNode(bytes([number]) * 20, each) for number, each in enumerate(ENDPOINTS))
    yield b"\1" + encode_nodes(ENDPOINTS)


def check(data: bytes) -> None:
    if data[:1] == b"\0":
        nodes = decode_routing_nodes(data[1:])
        assert decode_routing_nodes(encode_routing_nodes(nodes)) == nodes
    else:
        endpoints = decode_nodes(data[1:])
        assert decode_nodes(encode_nodes(endpoints)) == endpoints
