"""Strangers of the Mainline DHT that speak to one node over real sockets, each from a host of its own (BEP 5)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import count
from typing import Any, Self

import libtorrent

QUIET_S = 0.2
ATTEMPTS = 300
_hosts = count(2)


class Stranger(AbstractContextManager["Stranger"]):
    """A host on loopback. libtorrent keeps one node of each."""

    def __init__(self, node: tuple[str, int]) -> None:
        self._node = node
        self._id = os.urandom(20)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        third, fourth = divmod(next(_hosts), 250)
        self._socket.bind((f"127.1.{third}.{fourth + 1}", 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, query: str, **arguments: Any) -> int:
        """Sends a query, and returns its size in bytes."""
        question: Any = {b"t": b"aa", b"y": b"q", b"q": query.encode(), b"a": _bytes({"id": self._id} | arguments)}
        return self._socket.sendto(libtorrent.bencode(question), self._node)

    def heard(self, quiet_s: float = QUIET_S) -> Iterator[bytes]:
        """What comes, until it is quiet for so long."""
        self._socket.settimeout(quiet_s)
        while True:
            try:
                yield self._socket.recv(65535)
            except TimeoutError:
                return

    def answer_to(self, query: str, **arguments: Any) -> Mapping[bytes, Any]:
        """Asks until there is an answer: libtorrent is silent while it has sent too much. Raises TimeoutError."""
        for _ in range(ATTEMPTS):
            self.ask(query, **arguments)
            for data in self.heard():
                answer: Any = libtorrent.bdecode(data)
                if answer[b"y"] == b"r":
                    found: Mapping[bytes, Any] = answer[b"r"]
                    return found
        raise TimeoutError(f"no answer to {query}")

    def announce(self, infohash: bytes) -> None:
        """Says that it is a peer of this infohash, and waits until that was heard."""
        token = self.answer_to("get_peers", info_hash=infohash)[b"token"]
        self.answer_to("announce_peer", info_hash=infohash, port=7000, token=token)


def _bytes(members: Mapping[str, Any]) -> dict[bytes, Any]:
    return {name.encode(): value for name, value in members.items()}
