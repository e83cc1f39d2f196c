"""GOSSIP on the wire."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.announcements import advertised, endpoints, extensions, hostnames, mesh_ipv4, nat_types, ports, public_keys
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import PublicKey
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES, Extension, KnownPeer
from wgmesh.core.wire.envelope import MessageType, open_envelope, seal
from wgmesh.core.wire.gossip_message import (
    ENTRIES_MAX,
    PREFIX_BYTES,
    Bucket,
    Entry,
    Gossip,
    decode_gossip,
    encode_gossip,
    split_gossip,
)
from wgmesh.core.wire.jsonstrict import to_json
from wgmesh.core.wire.wirefield import REVISION_LIMIT

NOW = 1_800_000_000
KEY = bytes(range(32))

entries = st.builds(Entry, st.binary(min_size=PREFIX_BYTES, max_size=PREFIX_BYTES), st.integers(0, REVISION_LIMIT - 1))
buckets = st.integers(0, 6).flatmap(
    lambda power: st.builds(
        Bucket,
        st.integers(0, 2**power - 1),
        st.just(2**power),
        st.lists(entries, max_size=ENTRIES_MAX).map(tuple),
    )
)
summaries = st.one_of(
    st.just(()),
    st.integers(0, 6).flatmap(
        lambda power: st.lists(st.binary(min_size=3, max_size=3), min_size=2**power, max_size=2**power).map(tuple)
    ),
)
records = st.builds(
    KnownPeer,
    public_keys,
    mesh_ipv4,
    st.none(),
    hostnames,
    st.none() | advertised,
    st.booleans(),
    nat_types,
    st.none() | st.integers(0, 10**6),
    st.none() | st.integers(0, REVISION_LIMIT - 1),
    st.lists(endpoints, max_size=4).map(tuple),
    st.none() | ports,
)
wanted = st.lists(st.binary(min_size=PREFIX_BYTES, max_size=PREFIX_BYTES), max_size=60).map(tuple)
gossips = st.builds(
    Gossip,
    public_keys,
    extensions,
    summaries,
    st.lists(buckets, max_size=4).map(tuple),
    wanted,
    st.lists(records, max_size=8).map(tuple),
)


@settings(max_examples=50)
@given(gossips)
def test_what_is_said_is_what_is_heard(gossip: Gossip) -> None:
    datagram = seal(MessageType.GOSSIP, encode_gossip(gossip, NOW), KEY, bytes(12))
    assert decode_gossip(open_envelope(datagram, KEY, NOW).payload) == gossip


@settings(max_examples=50)
@given(gossips.map(lambda gossip: replace(gossip, summary=gossip.summary[:8], wanted=(), extension=_extension())))
def test_however_much_there_is_to_say_no_datagram_needs_fragments(gossip: Gossip) -> None:
    parts = split_gossip(gossip)
    for part in parts:
        assert len(seal(MessageType.GOSSIP, encode_gossip(part, NOW), KEY, bytes(12))) <= DATAGRAM_BUDGET_BYTES
    said = [bucket for part in parts for bucket in part.buckets]
    assert [bucket for bucket in gossip.buckets if bucket in said] == said


def test_a_full_bucket_and_many_records_are_all_told() -> None:
    bucket = Bucket(0, 1, tuple(Entry(number.to_bytes(6, "big"), number) for number in range(ENTRIES_MAX)))
    peers = tuple(
        KnownPeer(_key(number), _ip(number), hostname=f"machine-{number}", age_s=3, revision=number)
        for number in range(40)
    )
    parts = split_gossip(Gossip(_key(200), _extension(), (b"abc",) * 8, (bucket,), (), peers))
    assert [bucket] == [each for part in parts for each in part.buckets]
    assert [record for part in parts for record in part.records] == list(peers)
    assert [bool(part.summary) for part in parts] == [True] + [False] * (len(parts) - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"summary": "AAAA" * 3},  # three tokens are no power of two
        {"summary": "AAA"},
        {"summary": "AAAA" * 128},
        {"entries": "CQAA"},  # 2**9 buckets
        {"entries": "AQIA"},  # the third of two
        {"entries": "AAAB"},  # an entry that is cut off
        {"wanted": "AAAA"},
        {"wgmesh": None},
        {"wgmesh": {"v": 1, "boot": "zz", "seq": 1}},
        {"wg_pubkey": "short"},
        {"records": "none"},
    ],
)
def test_what_is_not_gossip_is_refused(change: dict[str, object]) -> None:
    payload = encode_gossip(Gossip(_key(1), _extension()), NOW) | change
    with pytest.raises(MalformedMessage):
        decode_gossip(payload)


def test_one_bad_record_harms_no_other() -> None:
    peers = tuple(KnownPeer(_key(number), _ip(number), revision=number) for number in range(3))
    payload = encode_gossip(Gossip(_key(9), _extension(), records=peers), NOW)
    listed = payload["records"]
    assert isinstance(listed, list)
    listed[1] = {"wg_pubkey": "nonsense"}
    assert decode_gossip(payload).records == (peers[0], peers[2])
    assert to_json(payload)


def _key(number: int) -> PublicKey:
    return PublicKey(bytes([number]) * 32)


def _ip(number: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(0x0A010001 + number)


def _extension() -> Extension:
    return Extension(bytes(8), 1)
