"""A node of the DHT that lies: to every question it names dead nodes, false peers, and records that nobody signed.

`lying_dht_node.py ADDRESS PORT BOOTSTRAP`. What it is told to keep it does not keep.
"""

from __future__ import annotations

import ipaddress
import os
import random
import socket
import sys
from typing import Any

import libtorrent

PEERS_A_REPLY = 150  # 8 bytes each as bencoded: the reply still fits into an Ethernet frame
NODES_A_REPLY = 8
FALSE = ipaddress.IPv4Network("45.0.0.0/16")  # of no use to anybody in the lab, but public addresses by their looks
FALSE_PEERS = 10_000
NOBODY = bytes(64)


def main() -> None:
    host, port, bootstrap = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    chance = random.Random(port)
    own_id = os.urandom(20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((host, port))
        entrance, _, entrance_port = bootstrap.rpartition(":")
        asked = {b"id": own_id, b"target": own_id}
        udp.sendto(_encoded({b"t": b"in", b"y": b"q", b"q": b"find_node", b"a": asked}), (entrance, int(entrance_port)))
        print("lying", flush=True)
        while True:
            data, source = udp.recvfrom(65535)
            answer = _answer(data, own_id, chance)
            if answer is not None:
                udp.sendto(answer, source)


def _answer(data: bytes, own_id: bytes, chance: random.Random) -> bytes | None:
    try:
        question: Any = libtorrent.bdecode(data)
    except RuntimeError:
        return None
    if not isinstance(question, dict) or question.get(b"y") != b"q":
        return None
    told: dict[bytes, Any] = {b"id": own_id}
    kind = question.get(b"q")
    if kind in (b"find_node", b"get_peers", b"get"):
        told[b"nodes"] = b"".join(os.urandom(20) + _false(chance) for _ in range(NODES_A_REPLY))
    if kind in (b"get_peers", b"get"):
        told[b"token"] = b"liar"
    if kind == b"get_peers":
        told[b"values"] = [_false(chance) for _ in range(PEERS_A_REPLY)]
    if kind == b"get":
        told |= {b"k": os.urandom(32), b"seq": 1 << 40, b"sig": NOBODY, b"v": os.urandom(200)}
    return _encoded({b"t": question.get(b"t", b""), b"y": b"r", b"r": told})


def _false(chance: random.Random) -> bytes:
    number = chance.randrange(FALSE_PEERS)
    return (int(FALSE.network_address) + number).to_bytes(4, "big") + (1024 + number).to_bytes(2, "big")


def _encoded(message: dict[bytes, Any]) -> bytes:
    return bytes(libtorrent.bencode(message))


if __name__ == "__main__":
    main()
