"""Sends openers from WireGuard's own port when they are due."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

from wgmesh.core.model import NatReport, PeersSnapshot
from wgmesh.nat.io.raw_stun import WireGuardPortSocket
from wgmesh.nat.openers import Opener, Openers
from wgmesh.nat.raw_datagram import silent_filter
from wgmesh.runtime import logs
from wgmesh.runtime.clock import CLOCK

# No WireGuard message begins so, and one byte is what NATs know: it is the keepalive of RFC 3948, section 2.3.
OPENER = b"\xff"


class OpenerSocket:
    """Raw sockets on WireGuard's port that only send. Without CAP_NET_RAW it says so once, and opens nothing."""

    def __init__(self, on_sent: Callable[[], None], *, ipv6: bool) -> None:
        self._on_sent = on_sent
        self._ipv6 = ipv6
        self._openers = Openers()
        self._log = logs.logger()
        self._changed = asyncio.Event()
        self._port = 0
        self._is_permitted = True
        self._sockets: dict[int, WireGuardPortSocket] = {}

    def set_peers(self, snapshot: PeersSnapshot) -> None:
        """Takes the peers, and the port that WireGuard listens on."""
        own = snapshot.description
        if own is not None and own.wireguard_port != self._port:
            self._port = own.wireguard_port
            self._close()
        self._openers.set_peers(snapshot.peers, own.public_key if own else None, CLOCK.now())
        self._changed.set()

    def set_report(self, report: NatReport) -> None:
        """Takes whether there is a NAT before this host."""
        self._openers.set_report(report)
        self._changed.set()

    async def run(self) -> None:
        """Sends until cancelled; then closes the sockets. Returns early where raw sockets are not permitted."""
        with ExitStack() as at_end:
            at_end.callback(self._close)
            while self._is_permitted:
                for opener in self._openers.take_due(CLOCK.now()) if self._port else ():
                    self._send(opener)
                due_at = self._openers.next_due_at() if self._port else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if due_at is None else max(0.0, due_at - CLOCK.now())):
                        await self._changed.wait()
                self._changed.clear()

    def _send(self, opener: Opener) -> None:
        try:
            self._socket(4 if opener.to.host.version == 4 else 6).send_dying(OPENER, opener.to, opener.ttl)
        except PermissionError:
            if self._is_permitted:
                self._is_permitted = False
                self._log.warning("openers not sent", reason="raw sockets need CAP_NET_RAW")
        except OSError as error:  # no route, or a family that this kernel lacks: another candidate may have one
            self._log.debug("opener not sent", to=str(opener.to), reason=str(error))
        else:
            self._on_sent()
            self._log.debug("opener sent", to=str(opener.to), ttl=opener.ttl)

    def _socket(self, version: int) -> WireGuardPortSocket:
        """The socket of a family, opened when it is needed first. Raises OSError."""
        if version not in self._sockets:
            if version == 6 and not self._ipv6:
                raise OSError("IPv6 is switched off")
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            self._sockets[version] = WireGuardPortSocket(family, self._port, silent_filter())
        return self._sockets[version]

    def _close(self) -> None:
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()
