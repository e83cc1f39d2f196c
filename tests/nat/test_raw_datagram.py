from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.stun import codec as stun
from wgmesh.nat.raw_datagram import decapsulate, encapsulate, stun_answer_filter, without_ipv4_header

HERE = (ipaddress.ip_address("192.0.2.1"), 51820)
THERE = (ipaddress.ip_address("198.51.100.2"), 3478)
ports = st.integers(min_value=1, max_value=65535)
ANSWER = stun.encode(stun.Message(stun.MessageType.BINDING_SUCCESS, bytes(12)))


@given(st.binary(max_size=60), ports, ports)
def test_what_is_encapsulated_comes_out_again(payload: bytes, source_port: int, destination_port: int) -> None:
    segment = encapsulate(payload, (HERE[0], source_port), (THERE[0], destination_port))

    assert decapsulate(segment) == (source_port, destination_port, payload)


@given(st.binary(max_size=61), st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_the_checksum_makes_the_whole_sum_to_all_ones(
    payload: bytes, source: ipaddress.IPv6Address, destination: ipaddress.IPv6Address
) -> None:
    segment = encapsulate(payload, (source, 51820), (destination, 3478))

    covered = source.packed + destination.packed + struct.pack("!II", len(segment), 17) + segment
    covered += bytes(len(covered) % 2)
    total = sum(struct.unpack(f"!{len(covered) // 2}H", covered))
    assert total % 0xFFFF == 0
    assert segment[6:8] != b"\0\0"  # zero would mean "not computed"


@given(st.binary(max_size=80))
def test_random_bytes_never_raise_anything_but_malformed_message(data: bytes) -> None:
    for read in (decapsulate, without_ipv4_header):
        try:
            read(data)
        except MalformedMessage:
            continue


@pytest.mark.parametrize("version", [4, 6])
def test_the_filter_lets_stun_answers_to_the_port_through_and_nothing_else(version: int) -> None:
    program = stun_answer_filter(version, 51820)

    assert accepts(program, packet(version, 51820, ANSWER))
    assert not accepts(program, packet(version, 51821, ANSWER))
    assert not accepts(program, packet(version, 51820, b"\x04" + bytes(31)))  # WireGuard transport data
    assert not accepts(program, packet(version, 51820, b""))


def test_the_filter_follows_ip_options() -> None:
    program = stun_answer_filter(4, 51820)

    assert accepts(program, packet(4, 51820, ANSWER, options=bytes(8)))


def packet(version: int, port: int, payload: bytes, options: bytes = b"") -> bytes:
    segment = encapsulate(payload, (THERE[0], 3478), (HERE[0], port))
    return segment if version == 6 else bytes([0x45 + len(options) // 4]) + bytes(19) + options + segment


def accepts(program: bytes, data: bytes) -> bool:
    """Runs the few instructions of classic BPF that the filter uses; reading beyond the end rejects."""
    instructions = list(struct.iter_unpack("HBBI", program))
    accumulator = index = counter = 0
    while True:
        code, if_true, if_false, constant = instructions[counter]
        counter += 1
        match code:
            case 0xB1:
                index = 4 * (data[constant] & 15)
            case 0x01:
                index = constant
            case 0x48 | 0x40:
                size = 2 if code == 0x48 else 4
                start = index + constant
                if start + size > len(data):
                    return False
                accumulator = int.from_bytes(data[start : start + size], "big")
            case 0x15:
                counter += if_true if accumulator == constant else if_false
            case 0x06:
                return bool(constant)
            case _:
                raise AssertionError(f"unexpected instruction {code:#x}")
