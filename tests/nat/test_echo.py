"""ICMP echo as a raw socket sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import MalformedMessage
from wgmesh.nat.echo import REPLY, REQUEST, Echo, decode_reply, encode_request
from wgmesh.nat.raw_datagram import internet_checksum

ECHO = Echo(0x1234, 1, b"abcdefgh")
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def test_a_request_over_ipv4_has_the_checksum_of_rfc_1071() -> None:
    request = encode_request(ECHO, 4)
    assert request == bytes.fromhex("0800543512340001") + b"abcdefgh"
    assert internet_checksum(request) == 0


def test_over_ipv6_the_kernel_fills_in_the_checksum() -> None:
    assert encode_request(ECHO, 6) == bytes.fromhex("8000000012340001") + b"abcdefgh"


@VERSIONS
def test_a_reply_repeats_what_was_asked(version: int) -> None:
    request = encode_request(ECHO, version)
    assert decode_reply(bytes([REPLY[version]]) + request[1:], version) == ECHO


@VERSIONS
def test_what_is_no_reply_is_refused(version: int) -> None:
    request = encode_request(ECHO, version)
    assert request[0] == REQUEST[version]
    for message in (request, b"", bytes([REPLY[version], 1]) + request[2:], bytes([REPLY[version]]) + request[1:7]):
        with pytest.raises(MalformedMessage):
            decode_reply(message, version)


@VERSIONS
@given(data=st.binary(max_size=64))
def test_nothing_else_is_raised(data: bytes, version: int) -> None:
    try:
        decode_reply(data, version)
    except MalformedMessage:
        return
    assert data[0] == REPLY[version]
