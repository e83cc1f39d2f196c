"""Pings through the tunnel by ICMP echo. Needs CAP_NET_RAW, as the questions to STUN servers do."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import time

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import IPAddress
from wgmesh.nat.echo import REPLY, TOKEN_BYTES, Echo, decode_reply, encode_request
from wgmesh.nat.raw_datagram import without_ipv4_header

SOL_RAW = 255  # linux/socket.h; Python names none of these
ICMP_FILTER = 1  # linux/icmp.h
ICMP6_FILTER = 1  # linux/icmpv6.h
SO_TIMESTAMPNS = 35  # asm-generic/socket.h
TIMESPEC = struct.Struct("@ll")
PACKET_BYTES_MAX = 1500


async def echo(own: IPAddress, peer: IPAddress, interface: str) -> float:
    """Returns the round trip time in seconds. It waits without limit: the caller sets one. Raises OSError.

    The time ends when the kernel got the answer, so that it does not count how long our event loop was busy.
    """
    loop = asyncio.get_running_loop()
    asked = Echo(random.getrandbits(16), 1, os.urandom(TOKEN_BYTES))
    with _open(own, peer, interface) as raw:
        is_readable = asyncio.Event()
        loop.add_reader(raw, is_readable.set)
        try:
            sent_at, started_at = time.time(), time.perf_counter()
            raw.send(encode_request(asked, peer.version))
            while True:
                await is_readable.wait()
                is_readable.clear()
                received_at = _received_at(raw, asked, peer.version)
                if received_at is not None:
                    took_s = time.perf_counter() - started_at
                    # The clock may have been set meanwhile.
                    return received_at - sent_at if 0 < received_at - sent_at < took_s else took_s
        finally:
            loop.remove_reader(raw)


def _open(own: IPAddress, peer: IPAddress, interface: str) -> socket.socket:
    """Returns a non-blocking raw socket between two mesh addresses that gets echo replies only. Raises OSError."""
    is_ipv4 = peer.version == 4
    family, protocol = (socket.AF_INET, socket.IPPROTO_ICMP) if is_ipv4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    raw = socket.socket(family, socket.SOCK_RAW, protocol)
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if is_ipv4:
            raw.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", ~(1 << REPLY[4]) & 0xFFFFFFFF))
        else:
            blocked = [0xFFFFFFFF] * 8
            blocked[REPLY[6] >> 5] &= ~(1 << (REPLY[6] & 31))
            raw.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("=8I", *blocked))
        raw.bind((str(own), 0))
        raw.connect((str(peer), 0))
    except OSError:
        raw.close()
        raise
    return raw


def _received_at(raw: socket.socket, asked: Echo, version: int) -> float | None:
    """Reads all that is there. Returns when our answer came, in seconds of the system's clock, or None."""
    while True:
        try:
            packet, ancillary, _, _ = raw.recvmsg(PACKET_BYTES_MAX, socket.CMSG_SPACE(TIMESPEC.size))
        except BlockingIOError:
            return None
        try:
            answer = decode_reply(without_ipv4_header(packet) if version == 4 else packet, version)
        except MalformedMessage:
            continue
        if answer == asked:
            return _kernel_time(ancillary)


def _kernel_time(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if (level, kind, len(data)) == (socket.SOL_SOCKET, SO_TIMESTAMPNS, TIMESPEC.size):
            seconds, nanoseconds = TIMESPEC.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return time.time()
