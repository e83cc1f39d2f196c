"""core/wire/rendezvous.py: OFFER and START."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.messages import GO, NATIVE, NOW
from fuzz.rules import accepted
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.jsonstrict import parse_json, to_json
from wgmesh.core.wire.rendezvous import (
    Offer,
    Start,
    decode_offer,
    decode_start,
    encode_offer,
    encode_start,
    normalised,
    pair_id,
    spread,
)

MAX_BYTES = 8192
WORDS = tuple(
    f'"{name}":'.encode()
    for name in ("from_pubkey", "target_pubkey", "pair_id", "candidates", "peer_pubkey", "peer_candidates",
                 "start_at_unix_ms", "timestamp")
)  # fmt: skip


def seeds() -> Iterable[bytes]:
    addresses = (Endpoint.parse("192.0.2.1:52527"), Endpoint.parse("[2001:db8::1]:1"))
    pair = pair_id(GO.key, NATIVE.key)
    yield to_json(encode_offer(Offer(GO.key, NATIVE.key, addresses), int(NOW)))
    yield to_json(encode_start(Start(pair, GO.key, addresses, int(NOW * 1000), NATIVE.key), int(NOW)))


def check(data: bytes) -> None:
    payload = accepted(lambda: parse_json(data, MAX_BYTES))
    if not isinstance(payload, dict):
        return
    offer = accepted(lambda: decode_offer(payload))
    if offer is not None:
        assert decode_offer(encode_offer(offer, int(NOW))) == offer
        assert len(spread(normalised(offer.candidates))) <= 5 * len(offer.candidates)
    start = accepted(lambda: decode_start(payload))
    if start is not None:
        assert decode_start(encode_start(start, int(NOW))) == start
