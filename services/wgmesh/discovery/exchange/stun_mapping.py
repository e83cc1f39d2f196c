"""Where the outside sees the exchange socket: STUN on that very socket, beside the messages (BUG 31).

A server may lie. So what each of them says is kept: where they differ none of it is taken for the address of this
socket, and all of it is told to those who may try several.

The first byte tells a STUN message (0 or 1) from ours, which begin with a brace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.core.stun.codec import MAGIC_COOKIE
from wgmesh.core.stun.events import MappingLearned
from wgmesh.core.stun.prober import ROUND_GAP_S, Prober

# Two servers show whether the NAT gives every destination another port; more are asked by nobody's need.
SERVERS_MAX = 2
FRESH_S = 3 * ROUND_GAP_S


class ExchangeMapping:
    """What STUN servers say of the exchange socket."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._prober = Prober(random_bytes)
        self._seen: dict[Endpoint, MappingLearned] = {}

    def set_servers(self, servers: Sequence[Endpoint], now: float) -> None:
        """Sets the servers to ask. One of each address family pair is enough, so two in all."""
        chosen = [server for server in servers if server.host.version == 4] or list(servers)
        self._prober.set_servers(chosen[:SERVERS_MAX], now)

    def ask_again(self, now: float) -> None:
        """The host's addresses have changed."""
        self._seen.clear()
        self._prober.ask_all(now)

    @staticmethod
    def is_stun(data: bytes) -> bool:
        """Whether a datagram looks like STUN: its first byte, and the cookie that stands after type and length."""
        return data[:1] in (b"\x00", b"\x01") and data[4:8] == MAGIC_COOKIE.to_bytes(4, "big")

    def handle_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Takes an answer. Whether the mapping is another one now."""
        before = self.mappings(now)
        self._prober.handle_datagram(data, source, now)
        self._take_events()
        return self.mappings(now) != before

    def handle_timeout(self, now: float) -> None:
        self._prober.handle_timeout(now)
        self._take_events()

    def poll_transmit(self) -> Transmit | None:
        transmit = self._prober.poll_transmit()
        return None if transmit is None else Transmit(transmit.data, transmit.to)  # all leave by the one socket

    def poll_timeout(self) -> float | None:
        return self._prober.poll_timeout()

    def mappings(self, now: float) -> tuple[Endpoint, ...]:
        """What the servers say, each address once: several where it is another one for every destination, or a lie."""
        return tuple(dict.fromkeys(event.mapped for event in self._seen.values() if now - event.at < FRESH_S))

    def _take_events(self) -> None:
        while (event := self._prober.poll_event()) is not None:
            if isinstance(event, MappingLearned):
                self._seen[event.server] = event
                while len(self._seen) > SERVERS_MAX:
                    del self._seen[next(iter(self._seen))]
