"""The Mainline DHT as discovery sees it: what its session is told and reports, and the file of known nodes.

The public DHT of BEP 5, with the mutable items of BEP 44. `io/mainline.py` runs the session; what is announced and when
is decided elsewhere.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, IPAddress

INFOHASH_BYTES = 20  # BEP 5: SHA-1; node ids are of the same space
SEED_BYTES = 32  # RFC 8032, section 5.1.5
SALT_BYTES_MAX = 64  # BEP 44
# BEP 44 allows 1000 bytes of bencoding; values above about 950 were not kept by libtorrent's own nodes.
VALUE_BYTES_MAX = 900

ROUTING_NODES_MAX = 500  # several times a full routing table; 19 kB
LISTEN_ADDRESSES_MAX = 8  # each is a DHT node of its own, with sockets, a table and queries

_RECORD = struct.Struct(">20s16sH")


@dataclass(frozen=True, slots=True)
class MainlineSettings:
    """`port` is the wished UDP port. `bootstrap` holds addresses, names are resolved before.

    `lab` drops the rules that no private swarm can keep, such as one node for each network; see `is_private_swarm`.
    """

    port: int
    bootstrap: tuple[Endpoint, ...] = ()
    lab: bool = False


@dataclass(frozen=True, slots=True)
class RoutingNode:
    """A node of the DHT that has answered. `node_id` has 20 bytes."""

    node_id: bytes
    endpoint: Endpoint

    def __post_init__(self) -> None:
        if len(self.node_id) != INFOHASH_BYTES:
            raise ValueError(f"a node id has {INFOHASH_BYTES} bytes, not {len(self.node_id)}")


def is_private_swarm(bootstrap: Iterable[Endpoint]) -> bool:
    """Whether all bootstrap addresses are private, loopback or set aside for documentation: then so is the swarm."""
    hosts = [endpoint.host for endpoint in bootstrap]
    return bool(hosts) and not any(host.is_global for host in hosts)


def listening_addresses(addresses: Iterable[IPAddress]) -> tuple[IPAddress, ...]:
    """Returns those to open DHT sockets on, in their order, each once, at most `LISTEN_ADDRESSES_MAX`.

    Link-local addresses lead to nobody in the DHT. Loopback ones lead to another node on this host only, so they count
    where there is nothing else. The caller leaves out the mesh's own.
    """
    usable = [
        address
        for address in dict.fromkeys(addresses)
        if not (address.is_unspecified or address.is_multicast or address.is_link_local)
    ]
    outside = [address for address in usable if not address.is_loopback]
    return tuple((outside or usable)[:LISTEN_ADDRESSES_MAX])


def encode_routing_nodes(nodes: Iterable[RoutingNode]) -> bytes:
    """Returns the bytes of upstream's `IF-HEX16-dht.nodes`, at most `ROUTING_NODES_MAX` records.

    A record is the node id, the IPv6 address (IPv4 mapped into it) and the port, big-endian (protocol notes, 12.7).
    """
    records = [_RECORD.pack(node.node_id, _packed(node.endpoint.host), node.endpoint.port) for node in nodes]
    return b"".join(records[:ROUTING_NODES_MAX])


def decode_routing_nodes(data: bytes) -> tuple[RoutingNode, ...]:
    """Reads what `encode_routing_nodes` or upstream wrote. Never raises because of the content.

    A partial record at the end and records without a port or with an impossible address are dropped alone.
    """
    whole = data[: min(len(data) // _RECORD.size, ROUTING_NODES_MAX) * _RECORD.size]
    nodes: dict[RoutingNode, None] = {}
    for node_id, packed, port in _RECORD.iter_unpack(whole):
        host = ipaddress.IPv6Address(packed).ipv4_mapped or ipaddress.IPv6Address(packed)
        if port and not (host.is_unspecified or host.is_multicast):
            nodes[RoutingNode(node_id, Endpoint(host, port))] = None
    return tuple(nodes)


def _packed(host: IPAddress) -> bytes:
    return host.packed if host.version == 6 else bytes(10) + b"\xff\xff" + host.packed
