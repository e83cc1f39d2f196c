"""core/wire/gossip_message.py: what a member's GOSSIP may hold."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.messages import NOW, gossip_messages
from fuzz.rules import accepted
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES
from wgmesh.core.wire.envelope import MessageType, seal
from wgmesh.core.wire.gossip_message import (
    BUCKETS_MAX,
    ENTRIES_MAX,
    RECORDS_MAX,
    WANTED_MAX,
    decode_gossip,
    encode_gossip,
    split_gossip,
)
from wgmesh.core.wire.jsonstrict import parse_json, to_json

MAX_BYTES = 8192
WORDS = (
    *(f'"{name}":"'.encode() for name in ("wg_pubkey", "summary", "entries", "wanted")),
    b'"records":[',
    b'"wgmesh":{',
)


def seeds() -> Iterable[bytes]:
    for gossip in gossip_messages():
        yield to_json(encode_gossip(gossip, int(NOW)))


def check(data: bytes) -> None:
    payload = accepted(lambda: parse_json(data, MAX_BYTES))
    gossip = accepted(lambda: decode_gossip(payload)) if isinstance(payload, dict) else None
    if gossip is None:
        return
    assert len(gossip.summary) <= BUCKETS_MAX and len(gossip.records) <= RECORDS_MAX
    assert len(gossip.wanted) <= WANTED_MAX and all(len(each.entries) <= ENTRIES_MAX for each in gossip.buckets)
    assert decode_gossip(encode_gossip(gossip, int(NOW))) == gossip
    for part in split_gossip(gossip):
        sealed = seal(MessageType.GOSSIP, encode_gossip(part, int(NOW)), bytes(32), bytes(12))
        assert len(sealed) <= DATAGRAM_BUDGET_BYTES or not (part.buckets or part.records)
