"""UDP datagrams as a raw socket reads and writes them, and the kernel filter that lets only STUN answers through."""

from __future__ import annotations

import struct

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import IPAddress
from wgmesh.core.stun.codec import MAGIC_COOKIE

UDP_PROTOCOL = 17
UDP_HEADER_BYTES = 8
UDP_HEADER = struct.Struct("!HHHH")  # source port, destination port, length, checksum: RFC 768

# Classic BPF, linux/filter.h and linux/bpf_common.h
_INSTRUCTION = struct.Struct("HBBI")
_LDX_IPV4_HEADER_BYTES = 0xB1  # BPF_LDX | BPF_B | BPF_MSH: X = 4 * (packet[0] & 15)
_LDX_CONSTANT = 0x01  # BPF_LDX | BPF_IMM
_LD_HALF = 0x48  # BPF_LD | BPF_H | BPF_IND: A = 16 bits at X + k
_LD_WORD = 0x40  # BPF_LD | BPF_W | BPF_IND: A = 32 bits at X + k
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_WHOLE_PACKET = 0xFFFFFFFF
_COOKIE_OFFSET = UDP_HEADER_BYTES + 4  # RFC 8489, section 5: the cookie follows type and length


def stun_answer_filter(version: int, port: int) -> bytes:
    """Returns a filter program that accepts datagrams to `port` with STUN's cookie, as `struct sock_filter` entries.

    Without it the kernel would copy every WireGuard packet to the raw socket. A raw IPv4 socket sees the IP header, a
    raw IPv6 socket begins at the UDP header.
    """
    start = (_LDX_IPV4_HEADER_BYTES, 0, 0, 0) if version == 4 else (_LDX_CONSTANT, 0, 0, 0)
    program = (
        start,
        (_LD_HALF, 0, 0, 2),
        (_JUMP_EQUAL, 0, 3, port),
        (_LD_WORD, 0, 0, _COOKIE_OFFSET),
        (_JUMP_EQUAL, 0, 1, MAGIC_COOKIE),
        (_RETURN, 0, 0, _WHOLE_PACKET),
        (_RETURN, 0, 0, 0),
    )
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)


def silent_filter() -> bytes:
    """Returns a filter program that accepts nothing, for a socket that only sends."""
    return _INSTRUCTION.pack(_RETURN, 0, 0, 0)


def encapsulate(payload: bytes, source: tuple[IPAddress, int], destination: tuple[IPAddress, int]) -> bytes:
    """Returns the UDP header and payload, with the checksum over the pseudo header (RFC 768, RFC 8200 section 8.1).

    IPv4 would allow no checksum at all, but translators between IPv4 and IPv6 drop such datagrams (RFC 7915, 4.5), and
    these stand before many mobile networks.
    """
    length = UDP_HEADER_BYTES + len(payload)
    pseudo_header = source[0].packed + destination[0].packed + struct.pack("!II", length, UDP_PROTOCOL)
    unsummed = UDP_HEADER.pack(source[1], destination[1], length, 0) + payload
    checksum = internet_checksum(pseudo_header + unsummed) or 0xFFFF
    return UDP_HEADER.pack(source[1], destination[1], length, checksum) + payload


def without_ipv4_header(packet: bytes) -> bytes:
    """Returns what follows the IPv4 header. Raises MalformedMessage."""
    header_bytes = (packet[0] & 0x0F) * 4 if packet else 0
    if header_bytes < 20 or len(packet) < header_bytes:
        raise MalformedMessage("an IPv4 header is cut off")
    return packet[header_bytes:]


def decapsulate(segment: bytes) -> tuple[int, int, bytes]:
    """Returns source port, destination port and payload. Raises MalformedMessage.

    The checksum is not looked at: on virtual links the kernel hands over datagrams whose checksum nobody has computed.
    The transaction id of the answer is what must fit.
    """
    if len(segment) < UDP_HEADER_BYTES:
        raise MalformedMessage("a UDP header is cut off")
    source_port, destination_port, length, _ = UDP_HEADER.unpack_from(segment)
    if not UDP_HEADER_BYTES <= length <= len(segment):
        raise MalformedMessage(f"a UDP datagram claims {length} bytes, {len(segment)} came")
    return source_port, destination_port, segment[UDP_HEADER_BYTES:length]


def internet_checksum(data: bytes) -> int:
    """Returns the checksum of IP, UDP and ICMP (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
