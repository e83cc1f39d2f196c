"""A node of the private DHT among strangers and members that lie.

An input is lines, separated by FF FF: what it is, where it comes from, how long after the one before, and the bytes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

from fuzz.messages import NOW
from fuzz.rules import check_hidden
from support.doubles.virtual_time import in_virtual_time
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.datagram_seal import MAX_DATAGRAM_BYTES, MAX_PAYLOAD_BYTES, NONCE_BYTES, seal
from wgmesh.core.wire.dht_message import ID_BYTES, Answer, Request, encode
from wgmesh.discovery.dht import DhtEvent
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.private_dht.io.protocol import MAX_NOTED, SealedProtocol
from wgmesh.discovery.private_dht.io.server import WORKERS, PrivateDhtServer
from wgmesh.discovery.private_dht.routing import MAX_NODES, K
from wgmesh.discovery.private_dht.storage import MAX_VALUES, JudgedStorage

KEY = bytes([7]) * 32
RAW, ANSWER = 0x01, 0x02  # bytes as they stand; the id of the last request that the node has sent
SOURCES = tuple(map(Endpoint.parse, ("192.0.2.1:4", "192.0.2.1:5", "198.51.100.7:6", "[2001:db8::1]:7", "127.0.0.1:8")))
SEPARATOR = b"\xff\xff"
LINES_MAX = 16
STEP_S = 1 / 16
SENT_MAX = 4000  # 16 lines, three look-ups of 5 s, and pings
ID = bytes(ID_BYTES)
NAMES = (bytes(20), bytes([1]) * 20)


def seeds() -> Iterable[bytes]:
    messages: list[Request | Answer] = [Request(ID, "ping")]
    for name in NAMES:
        messages += [Request(ID, "find_node", (name,)), Request(ID, "find_value", (name,))]
        messages.append(Request(ID, "store", (name, b"value")))
    messages += [Answer(ID, True), Answer(ID, False), Answer(ID, SOURCES[:4]), Answer(ID, b"value"), Answer(ID, ())]
    payloads = [encode(each) for each in messages]
    for payload in payloads:
        yield bytes((0, 0, 1)) + payload
        yield bytes((ANSWER, 0, 1)) + payload
    yield SEPARATOR.join(bytes((ANSWER * (number % 2), number % 4, 8)) + each for number, each in enumerate(payloads))
    yield bytes((RAW, 2, 0)) + seal(payloads[0], KEY, bytes(NONCE_BYTES), NOW)
    yield bytes((RAW, 2, 0)) + b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"


class _Scene:
    """A node and the place of its sockets (runtime/datagram.py)."""

    def __init__(self) -> None:
        storage = JudgedStorage(lambda key, old, new: new[:1] != b"!")
        self._protocol = SealedProtocol(storage, KEY, AddressRules(), random.Random(1).randbytes, WallClock())
        self.server = PrivateDhtServer(self._protocol, self._take)
        self._sent = 0
        self._sent_id = ID
        self.server.port = SOURCES[0].port
        self.server.set_bootstrap(SOURCES[:1])
        self._protocol.connection_made(self)

    def now(self) -> float:
        return NOW + asyncio.get_running_loop().time()

    def pump(self) -> None:
        while (transmit := self._protocol.poll_transmit()) is not None:
            assert len(transmit.data) <= MAX_DATAGRAM_BYTES
            self._sent += 1
        while (count := self._protocol.poll_event()) is not None:
            self.server.count(count)
        assert self._sent <= SENT_MAX, "a timer spins"
        waiting = [*self._protocol._outstanding, *self._protocol._pings._values]
        self._sent_id = waiting[-1] if waiting else ID
        assert len(self._protocol._outstanding) <= WORKERS * K
        assert len(self._protocol._pings) <= MAX_NOTED
        assert len(self._protocol.router.nodes()) <= MAX_NODES
        assert len(self._protocol.storage.data) <= MAX_VALUES

    def hear(self, kind: int, body: bytes, source: Endpoint, number: int) -> None:
        if kind & RAW:
            data = body
        else:
            if kind & ANSWER:
                body = body[:1] + self._sent_id + body[1 + ID_BYTES :]
            data = seal(body[:MAX_PAYLOAD_BYTES], KEY, number.to_bytes(NONCE_BYTES, "big"), self.now())
        self._protocol.handle_datagram(data, source, self.now())
        self.pump()

    def _take(self, event: DhtEvent) -> None:
        check_hidden(repr(event))


@in_virtual_time
async def _play(lines: list[bytes]) -> None:
    scene = _Scene()
    async with asyncio.TaskGroup() as tasks:
        works = [scene.server.run(), scene.server.put(NAMES[0], b"mine"), *map(scene.server.get, NAMES)]
        running: list[asyncio.Task[object]] = [tasks.create_task(work) for work in works]
        for number, line in enumerate(lines, start=1):
            if len(line) >= 3:
                kind, place, pause = line[:3]
                await asyncio.sleep(pause * STEP_S)
                scene.hear(kind, line[3:], SOURCES[place % len(SOURCES)], number)
        await asyncio.sleep(8.0)
        for task in running:
            task.cancel()
    state = scene.server.state()
    check_hidden(repr(state))


def check(data: bytes) -> None:
    _play(data.split(SEPARATOR)[:LINES_MAX])
