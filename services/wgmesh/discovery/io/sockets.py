"""The sockets of discovery: one for the exchange, and one for each LAN."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from dataclasses import dataclass

from wgmesh.core.errors import NotReady

IP_MULTICAST_ALL = 49  # linux/in.h; the socket module has no name for it
RECEIVE_BUFFER_BYTES = 1 << 20  # a LAN of hundreds that answers one newcomer at once; the kernel may give less


@dataclass(frozen=True, slots=True)
class ExchangeSocket:
    """The bound exchange socket. `is_expected_port` is False where another program had taken the mesh's port."""

    socket: socket.socket
    port: int
    is_expected_port: bool


def open_exchange_socket(port: int, lan_port: int) -> ExchangeSocket:
    """Binds the exchange port on all addresses, both families where there is IPv6; any free port if it is taken.

    Raises NotReady where no UDP socket can be bound at all.
    """
    try:
        return ExchangeSocket(_bind_wildcard(port, port == lan_port), port, True)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise NotReady(f"UDP port {port} cannot be bound: {error.strerror}.") from None
    try:
        bound = _bind_wildcard(0, False)
    except OSError as error:
        raise NotReady(f"No UDP port can be bound: {error.strerror}.") from None
    return ExchangeSocket(bound, bound.getsockname()[1], False)


def open_lan_socket(
    group: ipaddress.IPv4Address, port: int, index: int, source: ipaddress.IPv4Address
) -> socket.socket:
    """Returns a socket that hears `group` on one interface only, and sends to it there from `source`. Raises OSError.

    It is bound to the group, so that it never hears unicast (protocol notes, BUG 48). Without IP_MULTICAST_ALL it hears
    only the interface that it joined on. No route is needed.
    """
    lan = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        membership = struct.pack("=4s4si", group.packed, bytes(4), index)  # struct ip_mreqn
        sending = struct.pack("=4s4si", bytes(4), source.packed, index)
        lan.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        lan.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)  # other nodes on this host
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        lan.bind((str(group), port))
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        lan.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, sending)
    except OSError:
        lan.close()
        raise
    return lan


def _bind_wildcard(port: int, shares_lan_port: bool) -> socket.socket:
    try:
        exchange = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    except OSError as error:  # a kernel without IPv6
        if error.errno != errno.EAFNOSUPPORT:
            raise
        return _bind(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC), "", port, shares_lan_port)
    exchange.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return _bind(exchange, "::", port, shares_lan_port)


def _bind(exchange: socket.socket, host: str, port: int, shares_lan_port: bool) -> socket.socket:
    try:
        exchange.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)  # the LAN's datagrams are for its own sockets
        exchange.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if shares_lan_port:  # one secret in a thousand (protocol notes, BUG 50)
            exchange.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        exchange.bind((host, port))
    except OSError:
        exchange.close()
        raise
    return exchange
