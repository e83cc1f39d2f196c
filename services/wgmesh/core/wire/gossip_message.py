"""GOSSIP: what two of our own nodes compare, so that each learns of every member without sending whole lists.

Three steps, each in as few datagrams as the difference needs:
    summary   a hash for each bucket of keys; equal summaries end it, without an answer
    entries   for the buckets that differ: who is in them, at which revision
    records   what the other lacks, and `wanted`: whom we lack

A summary may carry records by itself: news that is worth telling at once.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import PublicKey
from wgmesh.core.wire.announcement import (
    DATAGRAM_BUDGET_BYTES,
    EXTENSION_MEMBER,
    Extension,
    KnownPeer,
    decode_extension,
    decode_known_peer,
    encode_extension,
    encode_known_peer,
)
from wgmesh.core.wire.envelope import PROTOCOL, MessageType, plaintext_of, plaintext_room
from wgmesh.core.wire.jsonstrict import Members, to_json
from wgmesh.core.wire.wirefield import REVISION_BYTES, parse_public_key

PREFIX_BYTES = 6  # of a public key: a thousand members share one with a chance of 2e-9
TOKEN_BYTES = 3  # of a bucket: a difference stays unseen with a chance of 6e-8 a round
BUCKETS_MAX = 64  # 192 bytes of tokens; with a thousand members 16 of them in each
RECORDS_MAX = 32  # far above what fits into a datagram
ENTRIES_MAX = 32  # a bucket that fits into one datagram; of a thousand members in 64 buckets each has about 16
WANTED_MAX = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """A member in somebody's view: the first bytes of its key, and the revision of its own description."""

    prefix: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """All members of the sender's view in one bucket, of `of` buckets by the first byte of the key."""

    index: int
    of: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Gossip:
    """The payload of GOSSIP. `summary` has one token a bucket, and their number is a power of two."""

    public_key: PublicKey
    extension: Extension
    summary: tuple[bytes, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    wanted: tuple[bytes, ...] = ()
    records: tuple[KnownPeer, ...] = ()


def encode_gossip(gossip: Gossip, timestamp: int) -> dict[str, object]:
    """Returns the payload for `seal`."""
    return {
        "protocol": PROTOCOL,
        "timestamp": timestamp,
        "wg_pubkey": gossip.public_key.text,
        EXTENSION_MEMBER: encode_extension(gossip.extension),
        **_packed("summary", b"".join(gossip.summary)),
        **_packed("entries", b"".join(_pack_bucket(bucket) for bucket in gossip.buckets)),
        **_packed("wanted", b"".join(gossip.wanted)),
        **({"records": [encode_known_peer(record) for record in gossip.records]} if gossip.records else {}),
    }


def decode_gossip(payload: Mapping[str, object]) -> Gossip:
    """Decodes the payload of an opened GOSSIP. Raises MalformedMessage; a bad record is left out alone."""
    members = Members(payload)
    wanted = _unpacked(members, "wanted")
    if len(wanted) % PREFIX_BYTES or len(wanted) > WANTED_MAX * PREFIX_BYTES:
        raise MalformedMessage("wanted: not a list of key prefixes")
    return Gossip(
        public_key=parse_public_key("wg_pubkey", members.text("wg_pubkey")),
        extension=decode_extension(members.get(EXTENSION_MEMBER)),
        summary=_unpack_summary(_unpacked(members, "summary")),
        buckets=tuple(_unpack_buckets(_unpacked(members, "entries"))),
        wanted=tuple(wanted[at : at + PREFIX_BYTES] for at in range(0, len(wanted), PREFIX_BYTES)),
        records=tuple(_records(members)),
    )


def split_gossip(gossip: Gossip, budget: int = DATAGRAM_BUDGET_BYTES) -> list[Gossip]:
    """Returns the same content in messages whose datagrams have at most `budget` bytes.

    The summary and what is wanted go into the first. A bucket stays whole. A part that fits into no message alone is
    left out.
    """
    bare = replace(gossip, buckets=(), records=())
    room = _room(bare, budget)
    parts = [bare]
    left = room
    empty = replace(bare, summary=(), wanted=())
    fresh_room = _room(empty, budget)
    for bucket in gossip.buckets:
        size = -(-len(_pack_bucket(bucket)) // 3) * 4 + 4
        if size > left and size <= fresh_room:
            parts, left = [*parts, empty], fresh_room
        if size <= left:
            parts[-1] = replace(parts[-1], buckets=(*parts[-1].buckets, bucket))
            left -= size
    for record in gossip.records:
        size = len(to_json(encode_known_peer(record))) + 1
        if size > left and size <= fresh_room:
            parts, left = [*parts, empty], fresh_room
        if size <= left:
            parts[-1] = replace(parts[-1], records=(*parts[-1].records, record))
            left -= size
    return [part for part in parts if part.summary or part.wanted or part.buckets or part.records]


def _room(gossip: Gossip, budget: int) -> int:
    """How many bytes of plaintext the buckets and records of a message may have."""
    used = len(plaintext_of(MessageType.GOSSIP, encode_gossip(gossip, timestamp=10**9)))
    return plaintext_room(MessageType.GOSSIP, budget) - used - len(',"entries":"","records":[]')


def _records(members: Members) -> Iterable[KnownPeer]:
    for item in members.items("records")[:RECORDS_MAX]:
        try:
            yield decode_known_peer(item)
        except MalformedMessage:
            continue  # one bad entry never harms the rest; who wrote it is asked again next time


def _pack_bucket(bucket: Bucket) -> bytes:
    header = bytes((bucket.of.bit_length() - 1, bucket.index, len(bucket.entries)))
    return header + b"".join(entry.prefix + entry.revision.to_bytes(REVISION_BYTES, "big") for entry in bucket.entries)


def _unpack_buckets(data: bytes) -> Iterable[Bucket]:
    at = 0
    while at < len(data):
        header = data[at : at + 3]
        at += 3
        if len(header) < 3 or 1 << header[0] > BUCKETS_MAX or header[1] >= 1 << header[0] or header[2] > ENTRIES_MAX:
            raise MalformedMessage("entries: not a list of buckets")
        size = PREFIX_BYTES + REVISION_BYTES
        packed = data[at : at + header[2] * size]
        at += len(packed)
        if len(packed) != header[2] * size:
            raise MalformedMessage("entries: cut off")
        entries = [packed[start : start + size] for start in range(0, len(packed), size)]
        yield Bucket(
            header[1],
            1 << header[0],
            tuple(Entry(each[:PREFIX_BYTES], int.from_bytes(each[PREFIX_BYTES:], "big")) for each in entries),
        )


def _unpack_summary(data: bytes) -> tuple[bytes, ...]:
    count, rest = divmod(len(data), TOKEN_BYTES)
    if rest or count > BUCKETS_MAX or count & (count - 1):
        raise MalformedMessage("summary: not one token for each of a power of two of buckets")
    return tuple(data[at : at + TOKEN_BYTES] for at in range(0, len(data), TOKEN_BYTES))


def _packed(name: str, data: bytes) -> dict[str, object]:
    return {name: b64encode(data).decode("ascii")} if data else {}


def _unpacked(members: Members, name: str) -> bytes:
    try:
        return binascii.a2b_base64(members.text(name).encode("ascii"), strict_mode=True)
    except ValueError:
        raise MalformedMessage(f"{name}: not base64") from None
