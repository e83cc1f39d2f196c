from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wgmesh.core.datagram_seal import MAX_PAYLOAD_BYTES
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_message import ID_BYTES, MAX_CONTACTS, Kind, Message, decode, encode
from wgmesh.discovery.private_store import MAX_VALUE_BYTES

ids = st.binary(min_size=ID_BYTES, max_size=ID_BYTES)
keys = st.sampled_from([20, 32]).flatmap(lambda length: st.binary(min_size=length, max_size=length))
values = st.binary(min_size=1, max_size=MAX_VALUE_BYTES)
endpoints = st.builds(Endpoint, st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(1, 65535)).map(
    lambda each: Endpoint.of(str(each.host), each.port)  # no IPv4 in the clothes of IPv6
)
contacts = st.lists(endpoints, max_size=MAX_CONTACTS).map(tuple)
messages = st.one_of(
    st.builds(Message, st.just(Kind.PING), ids),
    st.builds(Message, st.sampled_from([Kind.FIND_NODE, Kind.FIND_VALUE]), ids, keys),
    st.builds(Message, st.just(Kind.STORE), ids, keys, values),
    st.builds(Message, st.just(Kind.PONG), ids, you=endpoints),
    st.builds(Message, st.just(Kind.NODES), ids, you=endpoints, contacts=contacts),
    st.builds(Message, st.just(Kind.VALUE), ids, value=st.just(b"") | values, you=endpoints, contacts=contacts),
    st.builds(Message, st.just(Kind.STORED), ids, you=endpoints, is_kept=st.booleans()),
)
SIX = Endpoint.parse("[2001:db8::1]:65535")
LONGEST = Message(Kind.VALUE, bytes(ID_BYTES), value=bytes(MAX_VALUE_BYTES), you=SIX, contacts=(SIX,) * MAX_CONTACTS)


@given(messages)
@example(LONGEST)
def test_every_message_is_read_as_it_was_written_and_fits_into_a_datagram(message: Message) -> None:
    payload = encode(message)

    assert decode(payload) == message
    assert len(payload) <= MAX_PAYLOAD_BYTES


@given(st.binary(max_size=MAX_PAYLOAD_BYTES))
def test_garbage_is_refused_or_is_a_message_that_can_be_written_again(payload: bytes) -> None:
    try:
        message = decode(payload)
    except MalformedMessage:
        return
    assert decode(encode(message)) == message


@given(messages, st.data())
def test_a_message_that_is_cut_short_is_refused(message: Message, data: st.DataObject) -> None:
    payload = encode(message)
    rest = len(message.value) if message.kind in (Kind.STORE, Kind.VALUE) else 0
    length = data.draw(st.integers(0, len(payload) - rest - (message.kind is not Kind.VALUE)))
    if message.kind is Kind.VALUE and length == len(payload) - rest:
        return  # without its value it is the answer that there is none

    with pytest.raises(MalformedMessage):
        decode(payload[:length])


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "kind: too short"),
        (b"\x7f" + bytes(16), "kind: unknown"),
        (b"\x01" + bytes(15), "id: too short"),
        (b"\x01" + bytes(17), "too long"),
        (b"\x02" + bytes(16) + b"\x15" + bytes(21), "key: not 20 or 32 bytes"),
        (b"\x04" + bytes(16) + b"\x14" + bytes(20), "value: too long or empty"),
        (b"\x04" + bytes(16) + b"\x14" + bytes(20 + MAX_VALUE_BYTES + 1), "value: too long or empty"),
        (b"\x81" + bytes(16) + b"\x05" + bytes(6), "you: no such address family"),
        (b"\x81" + bytes(16) + b"\x04" + bytes(6), "you: not an address and port"),
        (b"\x82" + bytes(16) + b"\x04\x01\x01\x01\x01\x00\x01\x09", "contacts: too many"),
    ],
)
def test_the_reason_of_a_refusal_is_stable(payload: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage, match=reason):
        decode(payload)


def test_an_ipv4_address_in_the_clothes_of_ipv6_is_refused() -> None:
    mapped = b"\x06" + bytes(10) + b"\xff\xff\x01\x02\x03\x04" + b"\x00\x01"
    with pytest.raises(MalformedMessage, match="you"):
        decode(b"\x81" + bytes(16) + mapped)


def test_a_value_is_not_in_the_repr() -> None:
    assert "visible" not in repr(Message(Kind.STORE, bytes(16), bytes(20), b"visible"))
