"""The whole DiscoveryCore: a conversation of strangers, captured datagrams and members that lie.

An input is lines. Each begins with three bytes: what it is (the type, and the flags below), where it comes from, and
how long after the one before. The rest is the JSON to seal, or raw bytes.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable

from fuzz.conversation import OWN, Conversation
from fuzz.messages import GO, NATIVE, TYPES, payloads, sealed
from fuzz.rules import accepted
from support.discovery.discovery_wire import LAN_CHANNEL
from support.discovery.go_peer import GoPeer
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.jsonstrict import parse_json
from wgmesh.discovery.dht import Announce, GetItem, ItemFound, LookUp, MainlineEvent, OutsideAddressSeen, PeersFound

TYPE = 0x0F
DHT = 0x0F  # in the place of a type: an answer of the Mainline DHT
RAW = 0x10  # bytes as they stand
OVERLAY = 0x20  # the JSON replaces members of a good message
ECHO = 0x40  # the last datagram that the core has sent, or with RAW the last that it received
BY_MULTICAST = 0x80
SOURCES = tuple(
    map(
        Endpoint.parse,
        (GO.source, NATIVE.source, "192.168.1.66:4444", "198.51.100.66:4444", GO.tunnel_source, NATIVE.tunnel_source,
         f"{GO.host}:1234", "[2001:db8::66]:4444", "127.0.0.1:4444", "[fe80::66]:9", str(OWN), "0.0.0.0:1",
         "224.0.0.1:1", "255.255.255.255:1"),
    )
)  # fmt: skip
LINES_MAX = 8
STEP_S = 1 / 16
WORDS = (*(bytes([0x20 + number, 0, 0]) for number in range(len(TYPES))), b"\x50\x03\x00", b"\x40\x00\x00", b"\n",
         b'"known_peers":[', b'"wgmesh":{"v":1,"boot":"', b'"observed_endpoint":"', b'"timestamp":')  # fmt: skip


def seeds() -> Iterable[bytes]:
    for number, message_type in enumerate(TYPES):
        for source in (0, 3, 4):
            yield bytes([number, source, 1]) + payloads()[message_type]
        yield bytes([BY_MULTICAST | number, 0, 1]) + payloads()[message_type]
    yield bytes([RAW, 3, 0]) + sealed("HELLO", payloads()["HELLO"])
    yield bytes([RAW, 3, 0]) + b"\x00\x01\x00\x00\x21\x12\xa4\x42"
    hello, goodbye = bytes([0, 0, 16]) + payloads()["HELLO"], bytes([3, 0, 16]) + payloads()["GOODBYE"]
    replayed, bounced = bytes([ECHO | RAW, 3, 16]), bytes([ECHO, 2, 16])
    yield b"\n".join((hello, replayed, bounced, goodbye, bytes([ECHO | RAW, 0, 255])))
    addresses = b"".join(bytes((192, 0, 2, number, 0xCD, 0x2F)) for number in range(1, 60))
    yield b"\n".join(bytes((DHT, number, 16)) + addresses for number in range(3))
    crowd = [GoPeer(100 + number, f"198.18.0.{number + 1}").known_peer() for number in range(20)]
    yield bytes([OVERLAY, 0, 1]) + json.dumps({"known_peers": crowd}).encode()


def check(data: bytes) -> None:
    scene = Conversation()
    received = b""
    for number, line in enumerate(data.split(b"\n")[:LINES_MAX], start=1):
        if len(line) < 3:
            continue
        kind, place, pause = line[:3]
        scene.wait(pause * STEP_S)
        if kind == DHT:
            scene.hear_dht(_dht_event(place, line[3:], scene))
            continue
        datagram = _datagram(kind, line[3:], number, scene, received)
        if datagram is not None:
            received = datagram
            scene.hear(datagram, SOURCES[place % len(SOURCES)], LAN_CHANNEL if kind & BY_MULTICAST else "")
    scene.check_bounds()
    scene.wait(10.0)
    scene.check_bounds()


def _dht_event(which: int, body: bytes, scene: Conversation) -> MainlineEvent:
    request = scene.dht_request
    match which % 3, request:
        case 0, GetItem(public_key, salt):
            return ItemFound(public_key, salt, body, len(body))
        case 1, _:
            return OutsideAddressSeen(ipaddress.IPv4Address(body[:4].ljust(4, b"\1")))
    infohash = request.infohash if isinstance(request, LookUp | Announce) else bytes(20)
    pairs = (body[at : at + 6] for at in range(0, len(body) - 5, 6))
    found = (Endpoint(ipaddress.IPv4Address(pair[:4]), int.from_bytes(pair[4:]) or 1) for pair in pairs)
    return PeersFound(infohash, tuple(found))


def _datagram(kind: int, body: bytes, number: int, scene: Conversation, received: bytes) -> bytes | None:
    if kind & ECHO:
        return received if kind & RAW or not scene.sent else scene.sent[-1].data
    if kind & RAW:
        return body
    message_type = TYPES[(kind & TYPE) % len(TYPES)]
    if kind & OVERLAY:
        value = accepted(lambda: parse_json(body, len(body)))
        if not isinstance(value, dict):
            return None
        body = json.dumps(json.loads(payloads()[message_type]) | value).encode()
    return sealed(message_type, body, number) if len(body) < 40_000 else None
