"""How many hostile datagrams a second one discovery core stands, while honest peers go on being answered.

Time is virtual: the flood comes at the rate that the result is compared with, so that the rate limits do what they
would do then. Only the core's own processor time is counted, with the polling that its shell does after every datagram.
"""

from __future__ import annotations

import ipaddress
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from support.discovery.discovery_wire import LAN_CHANNEL, START, Node, Wire
from support.discovery.go_peer import GoPeer, relabel
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.datagram_seal import FIRST_BYTE
from wgmesh.core.wire.dht_message import Request
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.messages.dht_inbox import DhtInbox
from wgmesh.discovery.private_dht.io.protocol import SealedProtocol
from wgmesh.discovery.private_dht.storage import JudgedStorage

FLOOD_RATE = 40_000.0  # datagrams a second
HONEST_EVERY = 400  # of the flood's datagrams: fifty HELLOs a second, from peers that have answered us before
NEWCOMER_EVERY = 4_000  # five a second, each from an address that we have never heard of
HONEST_COUNT = 10
HELLO_REPEATS = 6  # what a node sends before it gives up for a while; each 0.1 s here


@dataclass
class Stand:
    """What came of one flood."""

    per_second: float = 0.0
    honest_asked: int = 0
    honest_answered: int = 0
    newcomers: int = 0
    newcomers_answered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


class Flood:
    """Hostile datagrams of an outsider who has captured some genuine ones, from forged and from own addresses."""

    def __init__(self, captured: bytes, known: list[Endpoint]) -> None:
        self._chance = random.Random(7)
        # an own botnet of 200 addresses, and as many forged ones as there are
        self._own = [Endpoint(ipaddress.IPv4Address(0xCB007100 + number), 4444) for number in range(200)]
        self._known = known
        forged = b'{"type":"HELLO","nonce":"AAAAAAAAAAAAAAAA","ciphertext":"' + b"A" * 400 + b'"}'
        self._bodies = (
            self._chance.randbytes(200),
            b"{" + self._chance.randbytes(300),
            forged,
            forged[:-2] + b"A" * 40_000 + b'"}',
            captured,
            relabel(captured, "GOODBYE"),
            relabel(captured, "REPLY"),
            b'{"a":[' + b"1," * 20_000 + b"1]}",
            b'{"a":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        )

    def __iter__(self) -> Iterator[tuple[bytes, Endpoint]]:
        chance = self._chance
        while True:
            kind = chance.random()
            if kind < 0.45:
                source = Endpoint(ipaddress.IPv4Address(chance.randrange(0x01000000, 0xDF000000)), 4444)
            elif kind < 0.55:
                source = Endpoint(ipaddress.IPv6Address(0x2000 << 112 | chance.getrandbits(112)), 4444)
            else:
                source = chance.choice(self._own)
            yield chance.choice(self._bodies), source


def stand(channel: str = "", count: int = 100_000, rate: float = FLOOD_RATE) -> Stand:
    """Floods a core with `count` datagrams that arrive at `rate` on one of its sockets, and reports how it went."""
    wire = Wire()
    core = wire.add("192.168.1.1")
    peers = [GoPeer(number, f"192.168.1.{number}") for number in range(20, 20 + HONEST_COUNT)]
    for peer in peers:  # they have said HELLO and answered ours
        wire.inject(core, peer.hello(wire.now - 2), peer.source)
        wire.inject(core, peer.reply(wire.now, str(core.address)), peer.source)
        wire.advance(0.1)
    captured = peers[0].hello(wire.now - 1)
    wire.inject(core, captured, peers[0].source)
    flood = iter(Flood(captured, [Endpoint.parse(peer.source) for peer in peers]))
    result, spent_s = Stand(), 0.0
    pending: dict[Endpoint, tuple[bytes, int]] = {}
    batch = 100
    for start in range(0, count, batch):
        hostile = [next(flood) for _ in range(batch)]
        began_at = time.process_time()
        for data, source in hostile:
            wire.now += 1 / rate
            core.core.handle_datagram(data, source, wire.now, channel)
            _drain(core)
        spent_s += time.process_time() - began_at
        core.core.handle_timeout(wire.now)
        _drain(core)
        _speak(wire, core, peers, start, result, pending)
    result.per_second = count / spent_s
    result.rejected = Counter(core.rejections())
    return result


def stand_of_private_dht(count: int = 200_000, rate: float = FLOOD_RATE) -> Stand:
    """Floods a node of the private DHT in the same way. Its key is another, so nothing of the flood is a member's."""
    protocol = SealedProtocol(
        JudgedStorage(lambda key, old, new: True), bytes(32), AddressRules(), os.urandom, WallClock()
    )
    chance, now, spent_s, batch = random.Random(7), START, 0.0, 100
    sealed = [FIRST_BYTE + chance.randbytes(size) for size in (60, 120, 400, 1200)]
    flood = iter(Flood(GoPeer(20, "192.168.1.20").hello(now), []))
    peer = Endpoint(ipaddress.IPv4Address("192.168.1.20"), 4001)
    protocol.connection_made(Clock(lambda: now))
    protocol.inbox.prove(peer, now)
    stranger = DhtInbox(bytes(32), os.urandom)
    result = Stand()
    for start in range(0, count, batch):
        hostile = [next(flood) for _ in range(batch)]
        hostile = [(chance.choice(sealed) if chance.random() < 0.7 else data, source) for data, source in hostile]
        began_at = time.process_time()
        for data, source in hostile:
            now += 1 / rate
            protocol.handle_datagram(data, source, now)
        while protocol.poll_transmit() is not None:
            pass
        protocol.poll_event()
        spent_s += time.process_time() - began_at
        if start % HONEST_EVERY == 0:
            result.honest_asked += 1
            protocol.handle_datagram(stranger.seal(Request(os.urandom(20), "ping"), now), peer, now)
            result.honest_answered += protocol.poll_transmit() is not None
    result.per_second = count / spent_s
    result.rejected = Counter(refused=protocol.inbox.rejected_count)
    return result


@dataclass
class Clock:
    """Where a protocol learns the time, and sends nothing by itself."""

    now: Callable[[], float]

    def pump(self) -> None:
        """The flood is drained in turns, as the driver does."""


def _speak(
    wire: Wire, core: Node, peers: list[GoPeer], sent: int, result: Stand, pending: dict[Endpoint, tuple[bytes, int]]
) -> None:
    """Lets the honest ones speak when it is their turn."""
    if sent % HONEST_EVERY == 0:
        peer = peers[sent // HONEST_EVERY % len(peers)]
        result.honest_asked += 1
        result.honest_answered += _is_answered(wire, core, peer.hello(wire.now), Endpoint.parse(peer.source))
    if sent % NEWCOMER_EVERY == 0:
        number = sent // NEWCOMER_EVERY % 100
        newcomer = GoPeer(100 + number, f"198.18.0.{number + 1}")
        pending[Endpoint.parse(newcomer.source)] = (newcomer.hello(wire.now), HELLO_REPEATS)
        result.newcomers += 1
    if sent % int(FLOOD_RATE / 10) == 0:
        for source, (hello, repeats) in tuple(pending.items()):
            if _is_answered(wire, core, hello, source):
                result.newcomers_answered += 1
                del pending[source]
            elif repeats == 1:
                del pending[source]
            else:
                pending[source] = (hello, repeats - 1)


def _is_answered(wire: Wire, core: Node, hello: bytes, source: Endpoint) -> bool:
    before = len(core.sent)
    wire.now += 1 / FLOOD_RATE  # one of the flood's places
    core.core.handle_datagram(hello, source, wire.now)
    _drain(core)
    return any(each.to == source and b'"REPLY"' in each.data for each in core.sent[before:])


def _drain(core: Node) -> None:
    while (transmit := core.core.poll_transmit()) is not None:
        core.sent.append(transmit)
    while (event := core.core.poll_event()) is not None:
        core.events.append(event)
    core.core.poll_timeout()


def main() -> None:
    result = stand()
    print(f"{result.per_second:,.0f} hostile datagrams a second")
    print(f"{result.honest_answered} of {result.honest_asked} HELLOs of peers answered")
    print(f"{result.newcomers_answered} of {result.newcomers} newcomers answered")
    print(dict(result.rejected))
    lan = stand(LAN_CHANNEL)
    print(f"{lan.per_second:,.0f} a second at a LAN socket; {lan.honest_answered} of {lan.honest_asked}")
    dht = stand_of_private_dht()
    print(f"{dht.per_second:,.0f} a second at the private DHT's socket; {dht.honest_answered} of {dht.honest_asked}")


if __name__ == "__main__":
    main()
