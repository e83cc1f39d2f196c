"""The only UDP code: gives one protocol core its datagrams and its time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import DatagramCore, Transmit
from wgmesh.runtime import logs
from wgmesh.runtime.clock import CLOCK

EventT = TypeVar("EventT")

MAX_DATAGRAM_BYTES = 65535
MAX_DATAGRAMS_PER_TURN = 64  # a flood on one socket must leave the loop time for timers and calls
PAUSE_AFTER_BUG_S = 1.0  # a timer that fails each time must not keep the processor busy
# A wait is cut into pieces: the loop's own clock stands still while the host is suspended, and that of cores does not.
MAX_TIMER_S = 60.0


@dataclass(frozen=True, slots=True)
class Channel:
    """One UDP socket of a core. `scope_id` is the interface index for link-local IPv6 destinations, or 0."""

    socket: socket.socket
    scope_id: int = 0


class DatagramDriver(Generic[EventT]):
    """Drives one core over UDP sockets: after every input everything is drained and one timer is armed.

    `channels` maps channel names to bound sockets ("" is the main one); the driver owns and closes them. `clock` gives
    steady seconds (core/clock.py): it must not go back. Made and used on one running event loop, as an async context
    manager or with `close`.
    """

    def __init__(
        self,
        core: DatagramCore[EventT],
        channels: Mapping[str, socket.socket | Channel],
        on_event: Callable[[EventT], None],
        clock: Callable[[], float] = CLOCK.now,
    ) -> None:
        self._core = core
        self._on_event = on_event
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._log = logs.logger()
        self._channels: dict[str, Channel] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._paused_until = float("-inf")  # of the loop's clock: not before may the timer go off
        self._is_closed = False
        self.unsent_count = 0  # datagrams that the kernel did not take, or that had no socket
        for name, channel in channels.items():
            self.add_channel(name, channel)
        self.pump()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    def now(self) -> float:
        """Returns the core's time: what to give to the core's own methods."""
        return self._clock()

    def add_channel(self, name: str, channel: socket.socket | Channel) -> None:
        """Takes a further socket, in place of an earlier one with this name."""
        self.remove_channel(name)
        if isinstance(channel, socket.socket):
            channel = Channel(channel)
        channel.socket.setblocking(False)
        self._channels[name] = channel
        self._loop.add_reader(channel.socket, self._receive, name)

    def has_channel(self, name: str) -> bool:
        return name in self._channels

    def remove_channel(self, name: str) -> None:
        """Closes the socket of this name, if there is one."""
        channel = self._channels.pop(name, None)
        if channel is not None:
            self._loop.remove_reader(channel.socket)
            channel.socket.close()

    def pump(self) -> None:
        """Sends and reports what the core has, and arms its timer. Call it after using the core's own methods."""
        if self._is_closed:
            return
        while (transmit := self._core.poll_transmit()) is not None:
            self._send(transmit)
        while (event := self._core.poll_event()) is not None:
            self._on_event(event)
        self._arm_timer()

    def close(self) -> None:
        """Sends what the core still has and closes all sockets."""
        self.pump()
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for name in tuple(self._channels):
            self.remove_channel(name)

    def _receive(self, name: str) -> None:
        """Reads what has arrived; what follows from all of it is sent and reported together."""
        channel = self._channels[name]
        for _ in range(MAX_DATAGRAMS_PER_TURN):
            try:
                data, address = channel.socket.recvfrom(MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:  # an ICMP error of an earlier send, or an interface that went away
                self._log.debug("datagram not received", channel=name, reason=error.strerror)
                break
            try:
                source = Endpoint.of(address[0], address[1])
            except ValueError:  # source port 0: nobody to answer to
                continue
            try:
                self._core.handle_datagram(data, source, self.now(), name)
            except Exception as error:  # a bug: it costs the datagram that met it, and nobody else's
                self._log.error("datagram met a bug", channel=name, source=str(source), exc_info=error)
        self.pump()

    def _send(self, transmit: Transmit) -> None:
        channel = self._channels.get(transmit.channel)
        try:
            if channel is None:
                raise OSError(f"no channel {transmit.channel!r}")
            channel.socket.sendto(transmit.data, _socket_address(channel, transmit.to))
        except OSError as error:  # UDP promises nothing: cores repeat what matters
            self.unsent_count += 1
            self._log.debug("datagram not sent", channel=transmit.channel, to=str(transmit.to), reason=str(error))

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_at = self._core.poll_timeout()
        if due_at is not None and not self._is_closed:
            wait_s = min(due_at - self.now(), MAX_TIMER_S)
            self._timer = self._loop.call_at(max(self._paused_until, self._loop.time() + wait_s), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self._core.handle_timeout(self.now())
        except Exception as error:  # a bug: what was due stays due, and without its timer a node would fall silent
            self._log.error("timer met a bug", exc_info=error)
            self._paused_until = self._loop.time() + PAUSE_AFTER_BUG_S
        self.pump()


def _socket_address(channel: Channel, to: Endpoint) -> tuple[str, int] | tuple[str, int, int, int]:
    if channel.socket.family == socket.AF_INET:
        return (str(to.host), to.port)
    host = str(to.host) if to.host.version == 6 else f"::ffff:{to.host}"
    return (host, to.port, 0, channel.scope_id if to.host.is_link_local else 0)
