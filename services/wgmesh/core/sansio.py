"""The contract between a protocol core and the shell that gives it sockets and a clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from wgmesh.core.model import Endpoint

EventT_co = TypeVar("EventT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Transmit:
    """One datagram to send.

    `channel` names the socket to send from where a core uses several (for example one multicast socket per interface);
    the empty string is the core's main socket.
    """

    data: bytes
    to: Endpoint
    channel: str = ""


class Untimed:
    """The half of a core that has nothing to do at any time."""

    def handle_timeout(self, now: float) -> None:
        """Nothing is ever due."""

    def poll_timeout(self) -> None:
        return None


class DatagramCore(Protocol, Generic[EventT_co]):
    """A protocol without I/O.

    The shell must call `handle_timeout` no later than `poll_timeout` says, and after its inputs, of which there may be
    several at one moment, drain `poll_transmit` and `poll_event` until they return None. `now` is seconds, never
    decreasing within one core.
    """

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        """Takes one received datagram. Never raises because of its content."""

    def handle_timeout(self, now: float) -> None:
        """Does what is due at `now`."""

    def poll_transmit(self) -> Transmit | None:
        """Returns the next datagram to send, or None."""

    def poll_event(self) -> EventT_co | None:
        """Returns the next event, or None."""

    def poll_timeout(self) -> float | None:
        """Returns when `handle_timeout` is due next, or None for never."""
