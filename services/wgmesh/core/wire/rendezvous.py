"""Rendezvous: two members behind NATs send to each other at one moment, at a third's word (protocol notes, 8 and 9).

The requester sends an OFFER to an introducer, and the introducer sends a START to both. Here is all that both kinds of
node must compute alike: who is which pair, when a pair's slot is open, what the messages hold.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, IPAddress, PublicKey
from wgmesh.core.network_index import is_within
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES, MAX_CANDIDATES
from wgmesh.core.wire.envelope import PROTOCOL, MessageType, plaintext_of, plaintext_room
from wgmesh.core.wire.jsonstrict import Members
from wgmesh.core.wire.wirefield import parse_endpoint, parse_public_key

# specification
FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
SPREAD_OFFSETS = (0, -1, 1, -2, 2)  # in this order: the port itself, then what a NAT that counts may have given next
INTRODUCERS_MAX = 3  # asked at a time

_PAIR_ID = re.compile(r"[0-9a-f]{16}")
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_BROADCAST = ipaddress.IPv4Address("255.255.255.255")


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of every `window_s` seconds of Unix time, at an offset that each pair computes alike."""

    window_s: int
    open_s: int

    def is_open(self, seed: int, now: float) -> bool:
        return (now - seed % self.window_s) % self.window_s < self.open_s

    def next_opening(self, seed: int, now: float) -> float:
        """Returns when the slot opens next: `now` itself or the whole second after it that begins the slot."""
        second = math.ceil(now)  # whole numbers, since the rest of a division by a float may miss the instant
        return float(second + (seed - second) % self.window_s)


# specification
RENDEZVOUS_SLOT = Slot(window_s=20, open_s=4)
IPV6_SLOT = Slot(window_s=8, open_s=2)


def pair_seed(one: PublicKey, other: PublicKey) -> int:
    """Returns the number of a pair, the same in either order: FNV-1a, 64 bit, of the two key texts and a NUL."""
    first, second = sorted((one.text, other.text))
    value = FNV_OFFSET
    for byte in f"{first}\0{second}".encode("ascii"):
        value = ((value ^ byte) * FNV_PRIME) & 0xFFFF_FFFF_FFFF_FFFF
    return value


def pair_id(one: PublicKey, other: PublicKey) -> str:
    """Returns the name of a pair in OFFER and START: 16 hexadecimal digits."""
    return f"{pair_seed(one, other):016x}"


def is_likely_public(host: IPAddress) -> bool:
    """Whether an address is of the kind that everybody can reach. 100.64.0.0/10 counts, as upstream has it."""
    if host.is_unspecified or host.is_loopback or host.is_multicast or host.is_link_local or host == _BROADCAST:
        return False
    return not is_within(host, _PRIVATE)


def normalised(candidates: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Drops wildcards and repetitions, and keeps the order."""
    return tuple(dict.fromkeys(each for each in candidates if not each.host.is_unspecified))


def spread(candidates: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Puts the neighbouring ports behind each candidate: a NAT may have moved on since the mapping was seen."""
    near = ((each.host, each.port + offset) for each in candidates for offset in SPREAD_OFFSETS)
    return normalised(Endpoint(host, port) for host, port in near if 1 <= port <= 65535)


def choose_introducers(
    own: PublicKey, target: PublicKey, introducers: Iterable[PublicKey], limit: int = INTRODUCERS_MAX
) -> tuple[PublicKey, ...]:
    """Returns whom a pair asks, from those who offer to introduce: a row of the sorted keys, begun at a place that
    follows from the pair, so that the pairs share the work and both sides of one ask the same."""
    able = sorted(key for key in introducers if key not in (own, target))
    if not able:
        return ()
    start = pair_seed(own, target) % len(able)
    return tuple(able[(start + step) % len(able)] for step in range(min(limit, len(able))))


@dataclass(frozen=True, slots=True)
class Offer:
    """Asks an introducer to bring the sender `requester` together with `target`. Upstream names no candidates."""

    requester: PublicKey
    target: PublicKey
    candidates: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Tells one side where the other side, `peer`, may be, and when both are to send: Unix time in milliseconds."""

    pair_id: str
    peer: PublicKey
    candidates: tuple[Endpoint, ...]
    start_at_ms: int
    introducer: PublicKey | None = None


def encode_offer(offer: Offer, timestamp: int) -> dict[str, object]:
    """Returns the payload for `seal`, with as many candidates as fit into a datagram."""
    payload: dict[str, object] = {
        "protocol": PROTOCOL,
        "timestamp": timestamp,
        "from_pubkey": offer.requester.text,
        "target_pubkey": offer.target.text,
        "pair_id": pair_id(offer.requester, offer.target),
    }
    return _with_candidates(MessageType.RENDEZVOUS_OFFER, payload, "candidates", offer.candidates)


def decode_offer(payload: Mapping[str, object]) -> Offer:
    """Decodes the payload of an opened RENDEZVOUS_OFFER. Raises MalformedMessage; a bad candidate is dropped alone.

    An empty pair id is accepted, as upstream does. `observed_addr` and `introducer_key` are an introducer's own notes.
    """
    members = Members(payload)
    offer = Offer(
        requester=parse_public_key("from_pubkey", members.text("from_pubkey")),
        target=parse_public_key("target_pubkey", members.text("target_pubkey")),
        candidates=_candidates(members, "candidates"),
    )
    if offer.requester == offer.target:
        raise MalformedMessage("target_pubkey: the requester itself")
    if members.text("pair_id") not in ("", pair_id(offer.requester, offer.target)):
        raise MalformedMessage("pair_id: not of these two keys")
    return offer


def encode_start(start: Start, timestamp: int) -> dict[str, object]:
    """Returns the payload for `seal`, with as many candidates as fit into a datagram."""
    payload: dict[str, object] = {
        "protocol": PROTOCOL,
        "timestamp": timestamp,
        "pair_id": start.pair_id,
        "peer_pubkey": start.peer.text,
        "start_at_unix_ms": start.start_at_ms,
        **({} if start.introducer is None else {"introducer_key": start.introducer.text}),
    }
    return _with_candidates(MessageType.RENDEZVOUS_START, payload, "peer_candidates", start.candidates)


def decode_start(payload: Mapping[str, object]) -> Start:
    """Decodes the payload of an opened RENDEZVOUS_START. Raises MalformedMessage; a bad candidate is dropped alone.

    Whether the pair id is that of the receiver and the peer is for the receiver to check.
    """
    members = Members(payload)
    pair, introducer = members.text("pair_id"), members.text("introducer_key")
    if not _PAIR_ID.fullmatch(pair):
        raise MalformedMessage("pair_id: not 16 hexadecimal digits")
    return Start(
        pair_id=pair,
        peer=parse_public_key("peer_pubkey", members.text("peer_pubkey")),
        candidates=_candidates(members, "peer_candidates"),
        start_at_ms=members.integer("start_at_unix_ms"),
        introducer=parse_public_key("introducer_key", introducer) if introducer else None,
    )


def _with_candidates(
    message_type: MessageType, payload: dict[str, object], name: str, candidates: Iterable[Endpoint]
) -> dict[str, object]:
    """Adds the member unless it is empty. Without the last ones where the datagram would have to be fragmented."""
    texts = [str(each) for each in normalised(candidates)[:MAX_CANDIDATES]]
    room = plaintext_room(message_type, DATAGRAM_BUDGET_BYTES)
    while texts and len(plaintext_of(message_type, {**payload, name: texts})) > room:
        texts.pop()
    return {**payload, name: texts} if texts else payload


def _candidates(members: Members, name: str) -> tuple[Endpoint, ...]:
    """IP literals only: a name would make us ask a resolver at a stranger's word."""
    found: list[Endpoint] = []
    for item in members.items(name)[:MAX_CANDIDATES]:
        try:
            found.append(parse_endpoint(name, item if isinstance(item, str) else ""))
        except MalformedMessage:
            continue  # dropped alone, as upstream does
    return normalised(found)
