"""TCP sockets that exist inside the tunnel only."""

from __future__ import annotations

import socket

from wgmesh.core.model import IPAddress

IPV6_FREEBIND = 78  # linux/in6.h; Python names neither of the two
IP_FREEBIND = 15  # linux/in.h


def mesh_socket(own: IPAddress, port: int, interface: str, *, may_come_later: bool = False) -> socket.socket:
    """Returns a non-blocking TCP socket bound to our mesh address and to the WireGuard interface. Raises OSError.

    Bound to the interface, a probe cannot leave by another one while the tunnel has no route, and nobody on the LAN can
    reach the server at the mesh address (Linux answers for every own address on every interface). `may_come_later`
    allows an address that the interface does not have yet.
    """
    family = socket.AF_INET if own.version == 4 else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if may_come_later:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            level, option = (
                (socket.IPPROTO_IP, IP_FREEBIND) if own.version == 4 else (socket.IPPROTO_IPV6, IPV6_FREEBIND)
            )
            made.setsockopt(level, option, 1)
        made.bind((str(own), port))
    except OSError:
        made.close()
        raise
    return made
