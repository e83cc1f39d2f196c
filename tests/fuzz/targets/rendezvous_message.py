"""core/rendezvous.py and core/rotation.py: OFFER, START and the announcement of a new secret."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.messages import GO, NATIVE, NOW
from fuzz.rules import accepted
from wgmesh.core.jsonstrict import parse_json, to_json
from wgmesh.core.model import Endpoint
from wgmesh.core.rendezvous import (
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
from wgmesh.core.rotation import announce_rotation, decode_rotation, encode_rotation
from wgmesh.core.secret import Secret

MAX_BYTES = 8192
WORDS = tuple(
    f'"{name}":'.encode()
    for name in ("from_pubkey", "target_pubkey", "pair_id", "candidates", "peer_pubkey", "peer_candidates",
                 "start_at_unix_ms", "new_secret_hash", "grace_period", "signature", "timestamp")
)  # fmt: skip


def seeds() -> Iterable[bytes]:
    addresses = (Endpoint.parse("192.0.2.1:52527"), Endpoint.parse("[2001:db8::1]:1"))
    pair = pair_id(GO.key, NATIVE.key)
    yield to_json(encode_offer(Offer(GO.key, NATIVE.key, addresses), int(NOW)))
    yield to_json(encode_start(Start(pair, GO.key, addresses, int(NOW * 1000), NATIVE.key), int(NOW)))
    yield to_json(encode_rotation(announce_rotation(bytes(32), Secret("another long secret"), 3600, int(NOW))))


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
    rotation = accepted(lambda: decode_rotation(payload))
    if rotation is not None:
        assert decode_rotation(encode_rotation(rotation)) == rotation
