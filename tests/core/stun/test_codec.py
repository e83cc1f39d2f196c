from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.stun import codec as stun
from wgmesh.core.stun.codec import Attribute, AttributeType, Message, MessageType

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "stun.json").read_text())["cases"]
TRANSACTION = bytes(range(1, 13))

endpoints = st.builds(
    lambda host, port: Endpoint.of(str(host), port), st.ip_addresses(), st.integers(min_value=1, max_value=65535)
)
addresses = st.builds(
    Attribute,
    st.sampled_from(
        [
            AttributeType.MAPPED_ADDRESS,
            AttributeType.XOR_MAPPED_ADDRESS,
            AttributeType.RESPONSE_ORIGIN,
            AttributeType.OTHER_ADDRESS,
        ]
    ),
    endpoints,
)
texts = st.builds(Attribute, st.just(AttributeType.SOFTWARE), st.text(max_size=100))
codes = st.builds(Attribute, st.just(AttributeType.ERROR_CODE), st.integers(min_value=300, max_value=699))
messages = st.builds(
    Message,
    st.sampled_from(MessageType),
    st.binary(min_size=12, max_size=12),
    st.lists(addresses | texts | codes, max_size=6).map(tuple),
)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_response_is_read_as_upstream_reads_it(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["response_hex"])
    transaction_id = bytes.fromhex(case["transaction_id_hex"])

    try:
        message = stun.decode(data)
        is_ours = message.type is MessageType.BINDING_SUCCESS and message.transaction_id == transaction_id
        mapped = message.mapped if is_ours else None
    except MalformedMessage:
        mapped = None
    assert mapped == (None if case["error"] else Endpoint.of(case["ip"], case["port"]))


def test_a_request_is_the_twenty_bytes_that_upstream_sends() -> None:
    assert stun.request(TRANSACTION) == bytes.fromhex("000100002112a442") + TRANSACTION


def test_a_request_for_an_answer_from_elsewhere_has_the_flags_of_rfc_5780() -> None:
    data = stun.request(TRANSACTION, stun.Change.ADDRESS | stun.Change.PORT)

    assert data == bytes.fromhex("000100082112a442") + TRANSACTION + bytes.fromhex("0003000400000006")
    assert stun.decode(data).attributes == (Attribute(AttributeType.CHANGE_REQUEST, 6),)


def test_the_xor_form_of_the_address_wins_over_the_plain_one() -> None:
    plain = Attribute(AttributeType.MAPPED_ADDRESS, Endpoint.parse("192.0.2.1:1"))
    xored = Attribute(AttributeType.XOR_MAPPED_ADDRESS, Endpoint.parse("192.0.2.2:2"))

    message = Message(MessageType.BINDING_SUCCESS, TRANSACTION, (plain, xored))

    assert message.mapped == Endpoint.parse("192.0.2.2:2")


def test_a_last_attribute_without_padding_is_accepted() -> None:
    address = bytes.fromhex("002000080001bd52ea12d545")
    software = bytes.fromhex("80220001") + b"x"
    data = bytes.fromhex("0101") + (len(address) + 5).to_bytes(2, "big") + bytes.fromhex("2112a442") + TRANSACTION

    message = stun.decode(data + address + software)

    assert message.mapped == Endpoint.parse("203.0.113.7:40000")


@pytest.mark.parametrize("size", [0xFFFC, 0xFFFD, 0xFFFF])
def test_an_attribute_that_claims_nearly_64_kilobytes_is_malformed(size: int) -> None:
    data = bytes.fromhex("0101000c2112a442") + TRANSACTION + b"\x00\x20" + size.to_bytes(2, "big") + bytes(8)

    with pytest.raises(MalformedMessage):
        stun.decode(data)


def test_a_header_that_claims_more_than_came_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        stun.decode(bytes.fromhex("0101ffff2112a442") + TRANSACTION + bytes(64))


def test_an_error_code_that_is_none_is_passed_over() -> None:
    """Found by fuzzing: 7 hundreds and 255."""
    attribute = bytes.fromhex("00090004000007ff")
    data = bytes.fromhex("011100082112a442") + TRANSACTION + attribute

    assert stun.decode(data).attributes == ()


def test_an_address_with_port_zero_is_passed_over() -> None:
    data = bytes.fromhex("0101000c2112a442") + TRANSACTION + bytes.fromhex("0001000800010000c6336409")

    assert stun.decode(data).mapped is None


def test_a_wrong_fingerprint_is_malformed_and_a_right_one_is_not() -> None:
    data = stun.encode(Message(MessageType.BINDING_SUCCESS, TRANSACTION), fingerprint=True)
    flipped = data[:-1] + bytes([data[-1] ^ 1])

    assert stun.decode(data).attributes[-1].type is AttributeType.FINGERPRINT
    with pytest.raises(MalformedMessage):
        stun.decode(flipped)


def test_the_fingerprint_is_the_one_of_rfc_5769() -> None:
    # RFC 5769, section 2.2: the sample IPv4 response, whose password plays no part here.
    sample = bytes.fromhex(
        "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643"
        "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
    )

    message = stun.decode(sample)

    assert message.mapped == Endpoint.parse("192.0.2.1:32853")
    assert message.attributes[0].value == "test vector"
    assert message.attributes[-1].value == 0xC07D4C96


@given(messages, st.booleans())
def test_every_message_survives_the_round_trip(message: Message, fingerprint: bool) -> None:
    decoded = stun.decode(stun.encode(message, fingerprint=fingerprint))

    assert decoded.attributes[: len(message.attributes)] == message.attributes
    assert (decoded.type, decoded.transaction_id) == (message.type, message.transaction_id)


@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_but_malformed_message(data: bytes) -> None:
    for candidate in (data, bytes.fromhex("0101") + len(data).to_bytes(2, "big") + bytes.fromhex("2112a442") + data):
        try:
            stun.decode(candidate)
        except MalformedMessage:
            continue


@given(messages, st.data())
def test_a_damaged_message_never_raises_anything_but_malformed_message(message: Message, data: st.DataObject) -> None:
    encoded = bytearray(stun.encode(message, fingerprint=True))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))

    for candidate in (bytes(encoded), bytes(encoded[:cut])):
        try:
            stun.decode(candidate)
        except MalformedMessage:
            continue
