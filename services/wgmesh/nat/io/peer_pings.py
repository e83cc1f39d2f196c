"""Pings a peer through the tunnel when somebody asks for it, beside the schedule of the probes.

A ping is an ICMP echo. A peer that has never answered one may have a firewall that drops them, so a connection to its
probe port is tried after it. Once a peer has answered echoes, one that stays silent is lost, and nothing hides it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from wgmesh.core.errors import NotFound, NotReady
from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.nat.io.echo_client import echo
from wgmesh.nat.io.probe_client import Echo, is_own_fault, ping
from wgmesh.nat.tunnel_probe import ProbeTarget

ECHO_SHARE = 0.5  # of the time for a peer that has never answered an echo; the rest is for the connection


class Way(Enum):
    """Through what a peer is asked."""

    ECHO = auto()
    CONNECTION = auto()


@dataclass(frozen=True, slots=True)
class PingOutcome:
    """Which address was asked, through what last, and the round trip time; None if nothing answered in time."""

    address: IPAddress
    way: Way
    rtt_s: float | None


class PeerPings:
    """Pings the peers of the last `set_targets`."""

    def __init__(self, interface: str, port: int, ask_for_echo: Echo = echo) -> None:
        self._interface = interface
        self._port = port
        self._ask_for_echo = ask_for_echo
        self._targets: dict[PublicKey, ProbeTarget] = {}
        self._echoing: set[tuple[PublicKey, IPAddress]] = set()  # have answered an echo

    def set_targets(self, wanted: Iterable[ProbeTarget]) -> None:
        """Knows exactly these peers from now on."""
        self._targets = {target.public_key: target for target in wanted}
        known = {(key, peer) for key, target in self._targets.items() for _, peer in target.routes}
        self._echoing &= known

    async def ping(self, key: PublicKey, address: str, timeout_s: float) -> PingOutcome:
        """Pings one address of a peer, the best where `address` is empty.

        Raises NotFound for a peer or an address that is not known, NotReady where this end of the tunnel is not up.
        """
        own, peer = self._route(key, address)
        ends_at = time.monotonic() + timeout_s
        is_echoing = (key, peer) in self._echoing
        rtt_s = await self._echo(own, peer, timeout_s if is_echoing else timeout_s * ECHO_SHARE)
        if rtt_s is not None:
            self._echoing.add((key, peer))
        if rtt_s is not None or is_echoing:
            return PingOutcome(peer, Way.ECHO, rtt_s)
        return PingOutcome(peer, Way.CONNECTION, await self._connection(own, peer, ends_at - time.monotonic()))

    def _route(self, key: PublicKey, address: str) -> tuple[IPAddress, IPAddress]:
        target = self._targets.get(key)
        routes = target.routes if target is not None else ()
        found = next((route for route in routes if address in ("", str(route[1]))), None)
        if found is None:
            raise NotFound(f"peer {key.short} has no mesh address that this node could ping")
        return found

    async def _echo(self, own: IPAddress, peer: IPAddress, timeout_s: float) -> float | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask_for_echo(own, peer, self._interface)
        except (OSError, TimeoutError) as error:
            _check_own_end(error)
            return None

    async def _connection(self, own: IPAddress, peer: IPAddress, timeout_s: float) -> float | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await ping(own, peer, self._port, self._interface, timeout_s)
        except (OSError, TimeoutError) as error:
            _check_own_end(error)
            return None


def _check_own_end(error: Exception) -> None:
    if is_own_fault(error):
        raise NotReady(f"this end of the tunnel is not ready ({error}); `wgmesh status` says what is missing") from None
