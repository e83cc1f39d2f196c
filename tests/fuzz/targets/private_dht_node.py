"""A node of the private DHT among strangers and members that lie.

An input is lines, separated by FF FF: what it is, where it comes from, how long after the one before, and the bytes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from fuzz.messages import NOW
from fuzz.rules import check_hidden
from wgmesh.core.datagram_seal import MAX_DATAGRAM_BYTES, MAX_PAYLOAD_BYTES, NONCE_BYTES, seal
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_contacts import MAX_NODES
from wgmesh.discovery.private_message import ID_BYTES, Kind, Message, encode
from wgmesh.discovery.private_node import PrivateNode
from wgmesh.discovery.private_store import MAX_VALUES

KEY = bytes([7]) * 32
RAW, ANSWER = 0x01, 0x02  # bytes as they stand; the id of the last request that the node has sent
SOURCES = tuple(map(Endpoint.parse, ("192.0.2.1:4", "192.0.2.1:5", "198.51.100.7:6", "[2001:db8::1]:7", "127.0.0.1:8")))
SEPARATOR = b"\xff\xff"
LINES_MAX = 16
STEP_S = 1 / 16
TURNS_MAX = 2000
ID = bytes(ID_BYTES)
KEYS = (bytes(20), bytes([1]) * 32)


def _messages() -> Iterable[Message]:
    yield Message(Kind.PING, ID)
    for key in KEYS:
        yield Message(Kind.FIND_NODE, ID, key)
        yield Message(Kind.FIND_VALUE, ID, key)
        yield Message(Kind.STORE, ID, key, b"value")
    yield Message(Kind.PONG, ID, you=SOURCES[0])
    yield Message(Kind.NODES, ID, you=SOURCES[3], contacts=SOURCES[:4])
    yield Message(Kind.VALUE, ID, value=b"value", you=SOURCES[0], contacts=SOURCES[1:2])
    yield Message(Kind.STORED, ID, you=SOURCES[0], is_kept=True)


def seeds() -> Iterable[bytes]:
    payloads = [encode(each) for each in _messages()]
    for payload in payloads:
        yield bytes((0, 0, 1)) + payload
        yield bytes((ANSWER, 0, 1)) + payload
    yield SEPARATOR.join(bytes((ANSWER * (number % 2), number % 4, 8)) + each for number, each in enumerate(payloads))
    yield bytes((RAW, 2, 0)) + seal(payloads[0], KEY, bytes(NONCE_BYTES), NOW)
    yield bytes((RAW, 2, 0)) + b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"


class _Scene:
    def __init__(self) -> None:
        chance = random.Random(1)
        self.node = PrivateNode(KEY, lambda key, old, new: new[:1] != b"!", chance.randbytes)
        self.now = NOW
        self.requests = 0
        self.sent_id = ID
        self.node.start(SOURCES[:1], NOW)
        self.node.get(KEYS[0], NOW)
        self.wait(0.0)

    def hear(self, kind: int, body: bytes, source: Endpoint, number: int) -> None:
        if kind & RAW:
            data = body
        else:
            if kind & ANSWER:
                body = body[:1] + self.sent_id + body[1 + ID_BYTES :]
            data = seal(body[:MAX_PAYLOAD_BYTES], KEY, number.to_bytes(NONCE_BYTES, "big"), self.now)
        self.node.handle_datagram(data, source, self.now)
        self._drain()

    def wait(self, span_s: float) -> None:
        end = self.now + span_s
        for _ in range(TURNS_MAX):
            due_at = self.node.poll_timeout()
            if due_at is None or due_at > end:
                self.now = end
                return
            self.now = max(self.now, due_at)
            self.node.handle_timeout(self.now)
            self._drain()
        raise AssertionError("a timer spins")

    def _drain(self) -> None:
        while (transmit := self.node.poll_transmit()) is not None:
            assert len(transmit.data) <= MAX_DATAGRAM_BYTES
        while (event := self.node.poll_event()) is not None:
            check_hidden(repr(event))
        waiting = [*self.node._calls._first, *self.node._calls._repeated]
        self.sent_id = waiting[-1] if waiting else ID
        assert self.node.node_count <= MAX_NODES
        assert len(self.node._store) <= MAX_VALUES


def check(data: bytes) -> None:
    scene = _Scene()
    for number, line in enumerate(data.split(SEPARATOR)[:LINES_MAX], start=1):
        if len(line) < 3:
            continue
        kind, place, pause = line[:3]
        scene.wait(pause * STEP_S)
        scene.hear(kind, line[3:], SOURCES[place % len(SOURCES)], number)
    scene.wait(30.0)
    PrivateNode(KEY, lambda key, old, new: True, random.Random(2).randbytes).restore(scene.node.state(), scene.now)
