"""Measures the round trip to each peer through the tunnel.

The first probe of a peer connects, sends one ping and closes, which proves its program. Those that follow are an ICMP
echo, a seventh of the bytes and answered by the kernel; where that stays silent a connection decides. The server closes
idle connections after ten seconds, sooner than the next probe, and a new connection shows that the peer
can be *reached*, not that an old one still lives.
"""

from __future__ import annotations

import asyncio
import errno
import math
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable

from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.nat.io.echo_client import echo
from wgmesh.nat.io.mesh_socket import mesh_socket
from wgmesh.nat.ping_lines import LINE_BYTES_MAX, PING, is_pong
from wgmesh.nat.tunnel_probe import ProbeSchedule, ProbeTarget

STEP_TIMEOUT_S = 1.2  # protocol notes 17.1: for each of dialling and answer; above one lost SYN (1 s)

UNANSWERED_ECHOES_MAX = 3  # who answers connections but not so many echoes has a firewall, and is not asked so again
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7), struct linger
TCP_INFO_MIN_RTT_OFFSET = 148  # tcpi_min_rtt, microseconds
TCP_INFO_BYTES = TCP_INFO_MIN_RTT_OFFSET + 4
NO_RTT = 0xFFFFFFFF  # no sample yet, for example because the SYN was repeated

# Our own end is not ready: no interface, no address, no route, or the device does not know the peer yet (ENOKEY).
_OWN_FAULTS = frozenset(
    {errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.ENETDOWN, errno.ENOKEY, errno.EMFILE}
)


Echo = Callable[[IPAddress, IPAddress, str], Awaitable[float]]
"""As `echo_client.echo`."""


class NotAsked(Exception):
    """No probe could be sent; the peer is not to blame."""


class ProbeClient:
    """Runs the probes that a schedule asks for, at most 32 at a time.

    `on_asked(target)` is called before a probe, `on_answered(key, rtt_s)` and `on_unanswered(key)` after it.
    """

    def __init__(
        self,
        interface: str,
        port: int,
        *,
        on_asked: Callable[[ProbeTarget], None],
        on_answered: Callable[[PublicKey, float], None],
        on_unanswered: Callable[[PublicKey], None],
        schedule: ProbeSchedule | None = None,
        echo: Echo = echo,
        step_timeout_s: float = STEP_TIMEOUT_S,
    ) -> None:
        self._interface = interface
        self._port = port
        self._on_asked = on_asked
        self._on_answered = on_answered
        self._on_unanswered = on_unanswered
        self._schedule = schedule or ProbeSchedule(random.random)
        self._ask_for_echo = echo
        self._step_timeout_s = step_timeout_s
        self._wake = asyncio.Event()
        self._in_flight: dict[PublicKey, asyncio.Timeout] = {}
        self._last_family: dict[PublicKey, int] = {}  # the family that answered last is tried first
        self._unanswered_echoes: dict[PublicKey, int] = {}  # in a row, of those whose program has answered

    def set_targets(self, targets: Iterable[ProbeTarget]) -> None:
        """Probes exactly these peers from now on."""
        wanted = tuple(targets)
        keys = {target.public_key for target in wanted}
        self._last_family = {key: version for key, version in self._last_family.items() if key in keys}
        self._unanswered_echoes = {key: count for key, count in self._unanswered_echoes.items() if key in keys}
        self._schedule.set_targets(wanted, self._now())
        for key in self._schedule.outdated():  # its first packet was lost for sure: TCP would repeat it after a second
            deadline = self._in_flight.pop(key, None)
            if deadline is not None:
                deadline.reschedule(0.0)
        self._wake.set()

    def hurry(self) -> None:
        """Probes all peers soon: this host may have moved, and a path that does not answer is to be seen at once."""
        self._schedule.hurry(self._now())
        self._wake.set()

    async def run(self) -> None:
        """Probes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                for target in self._schedule.take_due(self._now()):
                    tasks.create_task(self._probe(target))
                due_at = self._schedule.next_due_at()
                try:
                    async with asyncio.timeout(None if due_at is None else max(0.0, due_at - self._now())):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def _probe(self, target: ProbeTarget) -> None:
        self._on_asked(target)
        key = target.public_key
        try:
            async with asyncio.timeout(None) as deadline:
                self._in_flight[key] = deadline
                rtt_s = await self._measure(target)
        except (NotAsked, TimeoutError):
            self._schedule.not_asked(key, self._now())
        else:
            if rtt_s is None:
                self._schedule.unanswered(key, self._now())
                self._on_unanswered(key)
            else:
                self._schedule.answered(key, self._now())
                self._on_answered(key, rtt_s)
        if self._in_flight.get(key) is deadline:
            del self._in_flight[key]
        self._wake.set()

    async def _measure(self, target: ProbeTarget) -> float | None:
        """Returns the round trip time in seconds, or None if no address answered. Raises NotAsked."""
        key = target.public_key
        preferred = self._last_family.get(key)
        routes = sorted(target.routes, key=lambda route: route[1].version != preferred)
        unanswered = self._unanswered_echoes.get(key, UNANSWERED_ECHOES_MAX)
        if unanswered < UNANSWERED_ECHOES_MAX:
            rtt_s = await self._echo(*routes[0])
            if rtt_s is not None:
                self._unanswered_echoes[key] = 0
                return rtt_s
        was_asked = False
        for own, peer in routes:
            try:
                rtt_s = await ping(own, peer, self._port, self._interface, self._step_timeout_s)
            except (OSError, TimeoutError) as error:
                was_asked = was_asked or not is_own_fault(error)
                continue
            self._last_family[key] = peer.version
            self._unanswered_echoes[key] = self._unanswered_echoes.get(key, -1) + 1
            return rtt_s
        self._unanswered_echoes.pop(key, None)
        if not was_asked:
            raise NotAsked
        return None

    async def _echo(self, own: IPAddress, peer: IPAddress) -> float | None:
        try:
            async with asyncio.timeout(self._step_timeout_s):
                return await self._ask_for_echo(own, peer, self._interface)
        except (OSError, TimeoutError):
            return None  # a connection says what it was

    def _now(self) -> float:
        return time.monotonic()


async def ping(
    own: IPAddress, peer: IPAddress, port: int, interface: str, step_timeout_s: float = STEP_TIMEOUT_S
) -> float:
    """Returns the round trip time of the path in seconds, once a ping was answered. Raises OSError, TimeoutError.

    The ping is what proves the peer; the time is the kernel's where it was shorter, because ours also counts how long
    either event loop was busy.
    """
    loop = asyncio.get_running_loop()
    with mesh_socket(own, 0, interface) as connection:
        async with asyncio.timeout(step_timeout_s):
            await loop.sock_connect(connection, (str(peer), port))
        async with asyncio.timeout(step_timeout_s):
            started_at = time.perf_counter()
            await loop.sock_sendall(connection, PING)
            line = await loop.sock_recv(connection, LINE_BYTES_MAX)
            while b"\n" not in line and len(line) < LINE_BYTES_MAX:
                more = await loop.sock_recv(connection, LINE_BYTES_MAX)
                if not more:
                    break
                line += more
            rtt_s = min(time.perf_counter() - started_at, _kernel_rtt_s(connection))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)  # one packet instead of four
    if not is_pong(line):
        raise ConnectionError("what answers at the probe port is no probe server")
    return rtt_s


def _kernel_rtt_s(connection: socket.socket) -> float:
    """Returns the shortest round trip that TCP measured on a connection, or infinity (linux/tcp.h, struct tcp_info)."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    if len(info) < TCP_INFO_BYTES:  # a kernel before 4.6
        return math.inf
    (microseconds,) = struct.unpack_from("=I", info, TCP_INFO_MIN_RTT_OFFSET)
    return math.inf if microseconds in (0, NO_RTT) else microseconds / 1e6


def is_own_fault(error: Exception) -> bool:
    """Whether a probe failed at this end, which says nothing of the peer."""
    return isinstance(error, OSError) and error.errno in _OWN_FAULTS
