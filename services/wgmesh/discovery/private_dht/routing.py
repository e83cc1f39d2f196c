"""Node ids, and the nodes that are known.

Everybody in the mesh holds the key, so a node id that is claimed proves nothing. Here nobody claims one: the id of a
node is a keyed hash of the address it answers at (the thought of BEP 42). Nobody can take somebody else's id, and one
who wants many ids needs as many addresses, of which one host's share is bounded as well.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable

from kademlia.node import Node
from kademlia.routing import RoutingTable
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.dht_message import KEY_BYTES
from wgmesh.discovery.messages.rate_limits import host_of

K = 8  # kademlia's k: a value survives seven nodes that die at once; its usual 20 costs small meshes more than it gives
MAX_NODES = 256  # all of a usual mesh; a look-up finds the rest of a larger one
MAX_NODES_OF_HOST = 32  # so many may share one address
SPREAD_OF_HOST = K // 2  # of the k nodes that are asked about a key, while there are others


def node_at(endpoint: Endpoint, key: bytes) -> Node:
    """Returns the node at an address; `key` is the mesh's, so that strangers cannot compute ids."""
    data = endpoint.host.packed + endpoint.port.to_bytes(2, "big")
    id_ = hashlib.blake2b(data, digest_size=KEY_BYTES, key=key, person=b"dht node id").digest()
    return Node(id_, endpoint.host, endpoint.port)


def spread(nodes: Iterable[Node], target: Node, count: int = K) -> list[Node]:
    """Returns the `count` closest; of one host more than half of them only where there is nobody else."""
    share: Counter[Hashable] = Counter()

    def is_crowd(node: Node) -> bool:
        share[host := host_of(node.ip)] += 1
        return share[host] > SPREAD_OF_HOST

    return sorted(sorted(nodes, key=target.distance_to), key=is_crowd)[:count]


class BoundedTable(RoutingTable):  # type: ignore[misc]  # the package has no types
    """Nodes that have answered, in a single bucket, the most silent one first. Newcomers wait until there is room."""

    def __init__(self, own: Node) -> None:
        super().__init__(None, MAX_NODES, own)

    def nodes(self) -> list[Node]:
        return list(self.buckets[0].nodes.values())

    def add_contact(self, node: Node) -> bool:
        """Takes a node that has answered. Returns False where a bound refuses it."""
        known = self.nodes()
        of_host = sum(host_of(each.ip) == host_of(node.ip) for each in known)
        has_room = len(known) < MAX_NODES and of_host < MAX_NODES_OF_HOST
        return (has_room or not self.is_new_node(node)) and bool(self.buckets[0].add_node(node))

    def find_neighbors(self, node: Node, k: int = K, exclude: Node | None = None) -> list[Node]:
        return spread((each for each in self.nodes() if exclude is None or each.id != exclude.id), node, k)
