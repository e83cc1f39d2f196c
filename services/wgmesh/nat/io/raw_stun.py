"""Sockets that ask STUN servers: WireGuard's own port by a raw socket, or a port beside it.

The kernel (or a userspace program) holds WireGuard's port, so nobody else can bind it. A raw socket needs CAP_NET_RAW
only: it sends datagrams whose source port is WireGuard's, and the NAT maps them as it maps WireGuard's own. The answer
comes to both; WireGuard ignores what is not its own protocol.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import socket
import struct
from typing import Any

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.nat.raw_datagram import UDP_PROTOCOL, decapsulate, encapsulate, stun_answer_filter, without_ipv4_header

SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
RECEIVE_BUFFER_BYTES = 65536  # a handful of answers; a flood with the right port and cookie is dropped early


class WireGuardPortSocket(socket.socket):
    """A raw socket that reads and writes like a UDP socket bound to WireGuard's port. Raises PermissionError."""

    def __init__(self, family: socket.AddressFamily, port: int, program: bytes = b"") -> None:
        """`program` filters what is read; without one that is the answers of STUN servers."""
        super().__init__(family, socket.SOCK_RAW, UDP_PROTOCOL)
        self._port = port
        try:
            self.setblocking(False)
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            self._attach(program or stun_answer_filter(4 if family == socket.AF_INET else 6, port))
        except OSError:
            self.close()
            raise

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """Returns the payload of a datagram and its source. Raises BlockingIOError if none, or another's, is there."""
        packet, address = super().recvfrom(bufsize, flags)
        try:
            segment = without_ipv4_header(packet) if self.family == socket.AF_INET else packet
            source_port, destination_port, payload = decapsulate(segment)
        except MalformedMessage as error:
            raise BlockingIOError(errno.EAGAIN, str(error)) from None
        if destination_port != self._port:  # came between the socket's birth and its filter
            raise BlockingIOError(errno.EAGAIN, "a datagram to another port")
        return payload, (address[0], source_port, *address[2:])

    def sendto(self, data: bytes, address: Any) -> int:  # type: ignore[override]
        """Sends one datagram from WireGuard's port to `(host, port, ...)`. Raises OSError."""
        to = Endpoint.of(address[0], address[1])
        return super().sendto(self._datagram(data, to), (str(to.host), 0))  # a raw address has no port but 0

    def send_dying(self, data: bytes, to: Endpoint, ttl: int) -> None:
        """Sends one datagram from WireGuard's port that lives for so many hops. Raises OSError."""
        is_ipv4 = to.host.version == 4
        level, kind = (socket.IPPROTO_IP, socket.IP_TTL) if is_ipv4 else (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)
        self.sendmsg([self._datagram(data, to)], [(level, kind, struct.pack("i", ttl))], 0, (str(to.host), 0))

    def _datagram(self, data: bytes, to: Endpoint) -> bytes:
        return encapsulate(data, (source_address(to), self._port), (to.host, to.port))

    def _attach(self, program: bytes) -> None:
        instructions = ctypes.create_string_buffer(program, len(program))
        self.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))
        )


def wireguard_port_sockets(port: int, *, ipv6: bool) -> dict[str, socket.socket]:
    """Opens raw sockets by channel name. Raises PermissionError where the process lacks CAP_NET_RAW."""
    sockets: dict[str, socket.socket] = {"ipv4": WireGuardPortSocket(socket.AF_INET, port)}
    if ipv6 and socket.has_ipv6:
        try:
            sockets["ipv6"] = WireGuardPortSocket(socket.AF_INET6, port)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:  # a kernel without IPv6 still has IPv4
                sockets["ipv4"].close()
                raise
    return sockets


def neighbour_port_sockets() -> dict[str, socket.socket]:
    """Opens an ordinary IPv4 socket on a free port, for where raw sockets are not permitted.

    What it learns of the external *port* does not hold for WireGuard's, so IPv6, which is not translated, is left out.
    """
    neighbour = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    neighbour.bind(("", 0))
    return {"ipv4": neighbour}


def source_address(to: Endpoint) -> IPAddress:
    """Returns the local address from which the kernel would reach `to`; nothing is sent. Raises OSError."""
    family = socket.AF_INET if to.host.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as question:
        question.connect((str(to.host), to.port))
        return ipaddress.ip_address(question.getsockname()[0].partition("%")[0])
