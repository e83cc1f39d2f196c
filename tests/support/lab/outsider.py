"""An attacker on the LAN without the secret: listens on the wire, and sends what it likes from any address."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from wgmesh.core.model import Endpoint
from wgmesh.demo.host import Host
from wgmesh.demo.pinger import socket_in

ETH_P_ALL = 0x0003  # linux/if_ether.h
ETHERTYPE_IPV4 = 0x0800
PROTOCOL_UDP = 17
_IPV4_MIN = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")


@dataclass(frozen=True, slots=True)
class Captured:
    """One datagram that crossed the wire."""

    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes

    @property
    def envelope(self) -> dict[str, Any] | None:
        """The sealed message, None if it is something else."""
        if not self.payload.startswith(b"{"):
            return None
        try:
            value = json.loads(self.payload)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def relabelled(self, kind: str) -> bytes:
        """The same sealed bytes under another type word."""
        return json.dumps((self.envelope or {}) | {"type": kind}, separators=(",", ":")).encode()


class Wiretap:
    """Records the UDP datagrams that pass a machine's first interface."""

    def __init__(self, host: Host) -> None:
        self._socket = socket_in(host.namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.bind((host.interface, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.setblocking(False)
        self._seen: list[Captured] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def captured(self) -> list[Captured]:
        """All datagrams since the beginning."""
        while True:
            try:
                frame = self._socket.recv(65535)
            except BlockingIOError:
                return list(self._seen)
            datagram = parsed(frame)
            if datagram is not None:
                self._seen.append(datagram)

    def of_type(self, kind: str) -> list[Captured]:
        """The sealed messages of one type."""
        return [seen for seen in self.captured() if (seen.envelope or {}).get("type") == kind]


def parsed(frame: bytes) -> Captured | None:
    """The UDP datagram in an Ethernet frame; None for all else and for fragments."""
    if len(frame) < 42 or struct.unpack_from("!H", frame, 12)[0] != ETHERTYPE_IPV4:
        return None
    packet = frame[14:]
    header = (packet[0] & 0x0F) * 4
    fragment = struct.unpack_from("!H", packet, 6)[0] & 0x3FFF
    if packet[9] != PROTOCOL_UDP or fragment:
        return None
    source_port, destination_port, length, _ = _UDP.unpack_from(packet, header)
    payload = packet[header + _UDP.size : header + length]
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    return Captured(source, source_port, destination, destination_port, payload)


class Outsider:
    """Sends datagrams from a machine that knows no secret."""

    def __init__(self, host: Host) -> None:
        self._address = str(host.ipv4)
        self._plain = socket_in(host.namespace, socket.AF_INET, socket.SOCK_DGRAM)
        self._raw = socket_in(host.namespace, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._plain.close()
        self._raw.close()

    def send(self, payload: bytes, destination: str, port: int) -> None:
        """Sends from its own address; the kernel makes fragments of what is too long for the wire."""
        self._plain.sendto(payload, (destination, port))

    def received(self) -> Iterator[tuple[bytes, Endpoint]]:
        """What has come back to its own address, and from where."""
        while True:
            try:
                payload, (host, port) = self._plain.recvfrom(65535, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            yield payload, Endpoint.of(host, port)

    def multicast(self, payload: bytes, group: str, port: int) -> None:
        """Sends to a group on its LAN."""
        self._plain.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(self._address))
        self._plain.sendto(payload, (group, port))

    def send_as(self, source: str, source_port: int, payload: bytes, destination: str, port: int) -> None:
        """Sends with somebody else's source address. `payload` must fit one packet."""
        # A checksum of zero means none (RFC 768); the kernel fills in the IP header's own (raw(7)).
        udp = _UDP.pack(source_port, port, _UDP.size + len(payload), 0) + payload
        addresses = socket.inet_aton(source), socket.inet_aton(destination)
        header = _IPV4_MIN.pack(0x45, 0, 20 + len(udp), 0, 0, 64, PROTOCOL_UDP, 0, *addresses)
        self._raw.sendto(header + udp, (destination, 0))


def drained(tap: socket.socket) -> Iterator[bytes]:
    """All frames that have crossed the switch, at every port of it."""
    while True:
        try:
            yield tap.recv(65535)
        except BlockingIOError:
            return
