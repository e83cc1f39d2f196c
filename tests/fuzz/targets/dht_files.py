"""The files that remember nodes of either DHT: cut off, overwritten, or of another mesh."""

from __future__ import annotations

from collections.abc import Iterable

from wgmesh.core.model import Endpoint
from wgmesh.discovery.mainline import RoutingNode, decode_routing_nodes, encode_routing_nodes
from wgmesh.discovery.private_seeds import decode_nodes, encode_nodes

KEY = bytes([7]) * 32
ENDPOINTS = (Endpoint.parse("192.0.2.1:52528"), Endpoint.parse("[2001:db8::1]:1"))
WORDS = (b'{"nodes":[', b'{"id":"', b'","endpoint":"')


def seeds() -> Iterable[bytes]:
    yield b"\0" + encode_routing_nodes(RoutingNode(bytes([number]) * 20, each) for number, each in enumerate(ENDPOINTS))
    yield b"\1" + encode_nodes(ENDPOINTS, KEY)


def check(data: bytes) -> None:
    if data[:1] == b"\0":
        nodes = decode_routing_nodes(data[1:])
        assert decode_routing_nodes(encode_routing_nodes(nodes)) == nodes
    else:
        endpoints = list(dict.fromkeys(decode_nodes(data[1:], KEY)))
        assert decode_nodes(encode_nodes(endpoints, KEY), KEY) == endpoints
