"""A member that overwrites records in the DHT, with the highest sequence number that there is.

`overwriting_member.py ADDRESS overwrite|look NODES SECRET HOUR PLACES` puts garbage into the records of these places of
this hour, the last and the next, or only looks; it prints how many nodes keep garbage in each. `... forge NODES KEY`
tries the same for an item whose private key it has not; it prints how many nodes took that, and how many keep what is
no garbage.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Iterable
from typing import Any

import libtorrent
from nacl.signing import SigningKey
from wgmesh.core.keys.epoch_keys import epoch_keys
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.member_record import compact

SEQUENCE_MAX = (1 << 63) - 1
GARBAGE = b"of the liar"
ANSWER_S = 2.0
OWN_ID = os.urandom(20)
Address = tuple[str, int]


class Nodes:
    """The nodes of the swarm that keep items, asked one after the other."""

    def __init__(self, udp: socket.socket, addresses: Iterable[Address]) -> None:
        self._udp = udp
        self._addresses = tuple(addresses)

    def put(self, key: SigningKey, public_key: bytes) -> int:
        """Puts garbage under a public key, signed with `key`. Returns how many nodes took it."""
        value: bytes = libtorrent.bencode(GARBAGE)
        signature = key.sign(b"3:seqi%de1:v" % SEQUENCE_MAX + value).signature
        item = {b"k": public_key, b"seq": SEQUENCE_MAX, b"sig": signature, b"v": GARBAGE}
        answers = (
            self._ask(node, b"put", {**item, b"token": found.get(b"r", {}).get(b"token", b"")})
            for node, found in self._get(public_key)
        )
        return sum(answer.get(b"y") == b"r" for answer in answers)

    def count(self, public_key: bytes, *, others: bool = False) -> int:
        """How many nodes keep our garbage under a public key, or something that is not ours."""
        kept = [found.get(b"r", {}).get(b"v") for _, found in self._get(public_key)]
        return sum(each not in (None, GARBAGE) if others else each == GARBAGE for each in kept)

    def _get(self, public_key: bytes) -> list[tuple[Address, dict[bytes, Any]]]:
        target = hashlib.sha1(public_key).digest()
        return [(node, self._ask(node, b"get", {b"target": target})) for node in self._addresses]

    def _ask(self, node: Address, query: bytes, arguments: dict[bytes, Any]) -> dict[bytes, Any]:
        transaction = os.urandom(4)
        asked: Any = {b"t": transaction, b"y": b"q", b"q": query, b"a": {b"id": OWN_ID, **arguments}}
        self._udp.sendto(libtorrent.bencode(asked), node)
        while True:
            try:
                answer: Any = libtorrent.bdecode(self._udp.recvfrom(65535)[0])
            except TimeoutError:
                return {}
            if answer.get(b"t") == transaction:
                return dict(answer)


def main() -> None:
    host, what, nodes, *rest = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        udp.settimeout(ANSWER_S)
        swarm = Nodes(udp, [(str(node.host), node.port) for node in _endpoints(nodes)])
        if what == "forge":
            key = bytes.fromhex(rest[0])
            print(swarm.put(SigningKey.generate(), key), swarm.count(key, others=True))
            return
        for record in _records(*rest):
            if what == "overwrite":
                swarm.put(record, bytes(record.verify_key))
            print(swarm.count(bytes(record.verify_key)))


def _records(secret: str, hour: str, places: str) -> list[SigningKey]:
    """The keys of the records of these places, in this hour, the last and the next."""
    epochs = [epoch_keys(Secret(secret), int(hour) + step) for step in (-1, 0, 1)]
    return [SigningKey(epoch.place_seed(compact(place))) for epoch in epochs for place in _endpoints(places)]


def _endpoints(text: str) -> list[Endpoint]:
    return [Endpoint.parse(each) for each in text.split(",")]


if __name__ == "__main__":
    main()
