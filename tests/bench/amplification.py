"""How many bytes a node sends to a host that has never answered, for each byte that came for that host's sake.

A dishonest member says each type of message once, in its own name and in that of nobody, with the host's address in it
and with the host's address as its source; then the node's retries and timers run for minutes. A stranger does the same
to a node of the private DHT and to one of the Mainline DHT, which answers by libtorrent's own rules.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from itertools import product

from bench.hostile import Clock
from support.discovery.aimed import Aimed, minimal
from support.discovery.discovery_wire import START
from support.discovery.mainline_stranger import Stranger
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.dht_message import ID_BYTES, KEY_BYTES, Request
from wgmesh.core.wire.envelope import MessageType
from wgmesh.discovery.mainline.io.session import MainlineSession
from wgmesh.discovery.mainline.known_nodes import MainlineSettings
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.messages.dht_inbox import DhtInbox
from wgmesh.discovery.private_dht.io.protocol import SealedProtocol
from wgmesh.discovery.private_dht.storage import JudgedStorage

THIRD = ipaddress.IPv4Address("44.199.0.1")
NOBODY = PublicKey(bytes([222]) * 32)
LATER_S = 700.0  # by then a name that nobody has is forgotten, after all its turns
MAINLINE_PEERS = 60  # that have announced the infohash that is asked for
ANSWER_S = 2.0
QUERIES = {
    "ping": "",
    "find_node": "target",
    "get_peers": "info_hash",
    "sample_infohashes": "target",
    "get": "target",
}


def at_the_exchange_socket() -> dict[str, float]:
    """Bytes sent to the host for each byte that came, by type of message; the worst of all ways to say it."""
    ratios: dict[str, float] = {}
    for message in MessageType:
        seen = []
        for forged, key in product((False, True), (None, NOBODY)):
            aimed = Aimed()
            data = aimed.say(message, THIRD, forged=forged, key=key)
            seen.append(_ratio(aimed, len(data)))
        ratios[str(message)] = max(seen)
    aimed = Aimed()
    data = minimal(aimed, NOBODY)
    aimed.wire.inject(aimed.victim, data, str(Endpoint(THIRD, aimed.liar.address.port)))
    ratios["shortest HELLO"] = _ratio(aimed, len(data))
    return ratios


def _ratio(aimed: Aimed, came: int) -> float:
    aimed.wire.advance(LATER_S)
    return sum(map(len, aimed.sent_to(THIRD))) / came


def at_the_private_dht() -> dict[str, float]:
    """The same of a member that calls a node of the private DHT from a forged source, by call."""
    arguments = {"store": (bytes(KEY_BYTES), b"x"), "ping": ()}
    return {
        call: _answered(Request(os.urandom(ID_BYTES), call, arguments.get(call, (bytes(KEY_BYTES),))))
        for call in ("ping", "find_node", "find_value", "store")
    }


def _answered(request: Request) -> float:
    protocol = SealedProtocol(
        JudgedStorage(lambda key, old, new: True), bytes(32), AddressRules(), os.urandom, WallClock()
    )
    protocol.connection_made(Clock(lambda: START))
    data = DhtInbox(bytes(32), os.urandom).seal(request, START)
    protocol.handle_datagram(data, Endpoint(THIRD, 4001), START)
    sent = 0
    while (transmit := protocol.poll_transmit()) is not None:
        sent += len(transmit.data)
    return sent / len(data)


def at_the_mainline_dht() -> dict[str, float]:
    """The same of a stranger that asks our session of the Mainline DHT, by query; for one that many have announced."""
    return asyncio.run(_asked_of_mainline())


async def _asked_of_mainline() -> dict[str, float]:
    port = _free_port()
    session = MainlineSession(MainlineSettings(port, lab=True), lambda event: None)
    try:
        session.listen([ipaddress.IPv4Address("127.0.0.1")])
        while not session.addresses:
            await asyncio.sleep(0.01)
        return await asyncio.to_thread(_asked, ("127.0.0.1", port))
    finally:
        session.close()


def _asked(node: tuple[str, int]) -> dict[str, float]:
    infohash = os.urandom(20)
    for _ in range(MAINLINE_PEERS):
        with Stranger(node) as peer:
            peer.announce(infohash)
    ratios = {}
    for query, name in QUERIES.items():
        with Stranger(node) as third:
            said = third.ask(query, **({name: infohash} if name else {}))
            ratios[query] = sum(map(len, third.heard(ANSWER_S))) / said
    return ratios


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    for found in (at_the_exchange_socket(), at_the_private_dht(), at_the_mainline_dht()):
        print({name: round(ratio, 2) for name, ratio in found.items()})
