"""The wildcard UDP socket on a wished port."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from wgmesh.core.errors import NotReady

IP_MULTICAST_ALL = 49  # linux/in.h; the socket module has no name for it
IPV6_MULTICAST_ALL = 29  # linux/in6.h; since Linux 4.20
RECEIVE_BUFFER_BYTES = 1 << 20  # a LAN of hundreds that answers one newcomer at once; the kernel may give less


@dataclass(frozen=True, slots=True)
class ExchangeSocket:
    """The bound exchange socket. `is_expected_port` is False where another program had taken the mesh's port."""

    socket: socket.socket
    port: int
    is_expected_port: bool


def open_exchange_socket(port: int, lan_port: int | None = None) -> ExchangeSocket:
    """Binds the exchange port on all addresses, both families where there is IPv6; any free port if it is taken.

    Where it is `lan_port`, the LAN's own sockets may share it. Raises NotReady where no UDP socket can be bound at all.
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


def _bind_wildcard(port: int, shares_lan_port: bool) -> socket.socket:
    try:
        exchange = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    except OSError as error:  # a kernel without IPv6
        if error.errno != errno.EAFNOSUPPORT:
            raise
        return _bind(socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC), "", port, shares_lan_port)
    exchange.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        exchange.setsockopt(socket.IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0)  # the LAN's datagrams are for its own sockets
    except OSError as error:  # an older kernel: what then comes here too is refused, because nobody announces here
        if error.errno != errno.ENOPROTOOPT:
            exchange.close()
            raise
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
