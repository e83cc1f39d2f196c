from __future__ import annotations

import ipaddress

import pytest
import umsgpack
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.wire.dht_message import (
    CALLS,
    ID_BYTES,
    MAX_NODES,
    MAX_VALUE_BYTES,
    Answer,
    Request,
    decode,
    encode,
)

ID = bytes(range(ID_BYTES))
KEY = bytes(20)
NODE = [bytes((192, 0, 2, 1)), 4001]

ids = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)
keys = st.binary(min_size=20, max_size=20)
values = st.binary(min_size=1, max_size=MAX_VALUE_BYTES)
endpoints = st.builds(Endpoint, st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(1, 65535)).map(
    lambda each: Endpoint.of(str(each.host), each.port)
)
requests = st.one_of(
    st.builds(Request, ids, st.just("ping")),
    st.builds(Request, ids, st.sampled_from(["find_node", "find_value"]), st.tuples(keys)),
    st.builds(Request, ids, st.just("store"), st.tuples(keys, values)),
)
results = st.booleans() | values | st.lists(endpoints, max_size=MAX_NODES).map(tuple)
messages = requests | st.builds(Answer, ids, results)


def request(*body: object) -> bytes:
    packed: bytes = umsgpack.packb(list(body))
    return b"\x00" + ID + packed


def answer(result: object) -> bytes:
    packed: bytes = umsgpack.packb(result)
    return b"\x01" + ID + packed


@given(messages)
def test_what_is_encoded_is_decoded_again(message: Request | Answer) -> None:
    assert decode(encode(message)) == message


def test_the_bytes_are_those_of_rpcudp() -> None:
    assert encode(Request(ID, "find_node", (KEY,))) == request("find_node", [KEY])
    assert encode(Answer(ID, (Endpoint.parse("192.0.2.1:4001"),))) == answer([NODE])
    assert set(CALLS) == {"ping", "find_node", "find_value", "store"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x00",
        b"\x02" + ID + umsgpack.packb(True),
        request("stun", []),
        request("ping"),
        request("ping", [KEY]),
        request(["ping"], []),
        request("ping", {}),
        request("find_node", []),
        request("find_node", [KEY, KEY]),
        request("find_node", [bytes(19)]),
        request("find_node", ["a" * 20]),
        request("store", [KEY]),
        request("store", [KEY, b""]),
        request("store", [KEY, bytes(MAX_VALUE_BYTES + 1)]),
        request("store", [KEY, 5]),
        answer(None),
        answer(5),
        answer("text"),
        answer({"value": b"1"}),
        answer(b""),
        answer(bytes(MAX_VALUE_BYTES + 1)),
        answer([NODE] * (MAX_NODES + 1)),
        answer([5]),
        answer([[b"abc", 1]]),
        answer([["192.0.2.1", 1]]),
        answer([[NODE[0], 0]]),
        answer([[NODE[0], 1 << 16]]),
        answer([[NODE[0], 1.0]]),
        answer([[NODE[0], 1, 2]]),
        b"\x00" + ID + b"\x91" * 1100,  # nested deeper than Python follows
        b"\x01" + ID + b"\xd7\xff" + b"\xff" * 8,  # a time that is no time
        b"\x01" + ID + b"\xdd\xff\xff\xff\xff",  # four thousand million elements
        b"\x01" + ID + b"\x81\x91\x81\xc0\xc0\xc0",  # a key that cannot be one
    ],
)
def test_what_is_no_message_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(payload)


def test_an_ipv4_address_in_the_clothes_of_ipv6_is_one_of_ipv4() -> None:
    mapped = ipaddress.IPv6Address("::ffff:192.0.2.1").packed
    assert decode(answer([[mapped, 4001]])) == Answer(ID, (Endpoint.parse("192.0.2.1:4001"),))


@given(st.binary(max_size=200), st.sampled_from([b"\x00", b"\x01"]))
def test_no_bytes_raise_anything_else(data: bytes, kind: bytes) -> None:
    for payload in (data, kind + ID + data):
        try:
            message = decode(payload)
        except MalformedMessage:
            continue
        assert decode(encode(message)) == message
