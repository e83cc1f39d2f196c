"""The nodes of the private DHT that this one knows, in kademlia's routing table.

Everybody in the mesh holds the key, so a node id that is claimed proves nothing. Here nobody claims one: the id of a
node is a keyed hash of the address it answers at (the thought of BEP 42). Nobody can take somebody else's id, and who
wants many ids needs as many addresses, of which one host's share is bounded as well.
"""

from __future__ import annotations

import hashlib
import heapq
import ipaddress
from collections.abc import Iterable

from kademlia.node import Node
from kademlia.routing import KBucket, RoutingTable
from wgmesh.core.model import Endpoint

K = 8  # kademlia's k: a value survives seven nodes that die at once; its usual 20 costs small meshes more than it gives
ID_BYTES = 20  # the package's buckets span 160 bits
MAX_NODES = 256  # with the replacements that wait; all of a usual mesh, and a look-up finds the rest of a large one
MAX_NODES_OF_HOST = 32  # so many may stand behind one NAT
SPREAD_OF_HOST = K // 2  # of the k nodes that are asked about a key, while there are others


class Contact(Node):  # type: ignore[misc]  # the package has no types
    """A node at an address. `heard_at` is when it last spoke, in seconds."""

    id: bytes
    long_id: int

    def __init__(self, endpoint: Endpoint, key: bytes, heard_at: float = 0.0) -> None:
        super().__init__(node_id(endpoint, key), str(endpoint.host), endpoint.port)
        self.endpoint = endpoint
        self.heard_at = heard_at


def node_id(endpoint: Endpoint, key: bytes) -> bytes:
    """Returns the 20-byte id of the node at an address; `key` is the mesh's, so that strangers cannot compute it."""
    data = endpoint.host.packed + endpoint.port.to_bytes(2, "big")
    return hashlib.blake2b(data, digest_size=ID_BYTES, key=key, person=b"dht node id").digest()


def position_of(key: bytes) -> int:
    """Returns where a key lies among the ids."""
    return int.from_bytes(hashlib.sha256(key).digest()[:ID_BYTES], "big")


def host_group(endpoint: Endpoint) -> bytes:
    """Returns what one host has at least: an IPv4 address, or an IPv6 /64."""
    return endpoint.host.packed if isinstance(endpoint.host, ipaddress.IPv4Address) else endpoint.host.packed[:8]


def spread(contacts: Iterable[Contact], target: int, count: int = K) -> list[Contact]:
    """Returns the `count` closest; of one host more than half of them only where there is nobody else."""
    chosen: list[Contact] = []
    crowded: list[Contact] = []
    share: dict[bytes, int] = {}
    for contact in sorted(contacts, key=lambda each: each.long_id ^ target):
        group = host_group(contact.endpoint)
        share[group] = share.get(group, 0) + 1
        (chosen if share[group] <= SPREAD_OF_HOST else crowded).append(contact)
        if len(chosen) == count:
            return chosen
    return chosen + crowded[: count - len(chosen)]


class ContactTable:
    """Nodes that have answered us. Those that have for long are kept, and newcomers wait as replacements."""

    def __init__(self, own_id: bytes) -> None:
        self._routing = _Routing(None, K, Node(own_id))

    def __len__(self) -> int:
        return sum(len(bucket.nodes) for bucket in self._buckets)

    def all(self) -> list[Contact]:
        return [contact for bucket in self._buckets for contact in bucket.nodes.values()]

    def find(self, id_: bytes) -> Contact | None:
        """Returns the contact with this id, also one that waits."""
        bucket = self._bucket_of(id_)
        found: Contact | None = bucket.nodes.get(id_) or bucket.replacement_nodes.get(id_)
        return found

    def has_room(self, endpoint: Endpoint) -> bool:
        """Whether the bounds allow a newcomer there."""
        known = [each for bucket in self._buckets for each in _all_of(bucket)]
        group = host_group(endpoint)
        of_host = sum(host_group(each.endpoint) == group for each in known)
        return len(known) < MAX_NODES and of_host < MAX_NODES_OF_HOST

    def add(self, contact: Contact) -> bool:
        """Takes a contact that is not there. Returns False where a bound refuses it."""
        if not self.has_room(contact.endpoint):
            return False
        self._routing.add_contact(contact)
        return True

    def remove(self, contact: Contact) -> None:
        """Forgets a contact, if it is there; one that waited takes its place."""
        self._routing.remove_contact(contact)

    def closest(self, target: int, without: Endpoint | None = None, count: int = K) -> list[Contact]:
        """Returns the nearest contacts, of all that are known.

        The package's own search walks outward from one bucket, which misses near ones, and recurses.
        """
        others = (contact for contact in self.all() if contact.endpoint != without)
        return heapq.nsmallest(count, others, key=lambda each: each.long_id ^ target)

    @property
    def _buckets(self) -> list[KBucket]:
        buckets: list[KBucket] = self._routing.buckets
        return buckets

    def _bucket_of(self, id_: bytes) -> KBucket:
        return self._buckets[self._routing.get_bucket_for(Node(id_))]


class _Routing(RoutingTable):  # type: ignore[misc]
    """The package's table, without the task that it starts for every newcomer to a full bucket."""

    def add_contact(self, node: Contact) -> None:
        while not self.buckets[index := self.get_bucket_for(node)].add_node(node):
            bucket = self.buckets[index]
            # kademlia paper, section 4.2
            if not bucket.has_in_range(self.node) and bucket.depth() % 5 == 0:
                return
            self.split_bucket(index)


def _all_of(bucket: KBucket) -> list[Contact]:
    return [*bucket.nodes.values(), *bucket.replacement_nodes.values()]
