"""Pings through the tunnel: the proof that a path carries packets both ways, and its round-trip time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median

from wgmesh.core.model import IPAddress, Path, PublicKey
from wgmesh.sim.frames import Echo

PATIENCE_S = 1.0  # far above every round trip that is simulated
INTERVAL_S = 5.0  # between the pings of a path that answers


class Pinger:
    """Asks, matches the answers, and keeps one path a peer."""

    def __init__(self, send: Callable[[Echo, IPAddress], None]) -> None:
        self._send = send
        self._next_number = 0
        self._in_flight: dict[int, tuple[PublicKey, float]] = {}
        self._paths: dict[PublicKey, Path] = {}

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self._paths.values())

    @property
    def answering(self) -> frozenset[PublicKey]:
        """The peers whose latest decided ping was answered."""
        return frozenset(each.public_key for each in self.paths if each.answered_at and not each.unanswered_count)

    @property
    def median_rtt_s(self) -> float | None:
        rtts = [each.rtt_s for each in self.paths if each.rtt_s is not None]
        return median(rtts) if rtts else None

    def keep(self, keys: Iterable[PublicKey]) -> None:
        """Forgets the paths to all other peers."""
        wanted = frozenset(keys)
        self._paths = {key: path for key, path in self._paths.items() if key in wanted}

    def measures(self, key: PublicKey) -> bool:
        return key in self._paths

    def is_due(self, key: PublicKey, now: float) -> bool:
        """Whether to ask now: a path that answers is left alone for a while, any other is not."""
        path = self._paths.get(key)
        return path is None or not path.answered_at or path.unanswered_count > 0 or now - path.answered_at >= INTERVAL_S

    def ping(self, key: PublicKey, address: IPAddress, now: float) -> None:
        self._paths.setdefault(key, Path(key))
        number, self._next_number = self._next_number, self._next_number + 1
        self._in_flight[number] = (key, now)
        self._send(Echo(number), address)

    def give_up(self, now: float) -> None:
        """Counts the pings that stayed without answer."""
        for number in [number for number, (_, at) in self._in_flight.items() if now - at >= PATIENCE_S]:
            key, _ = self._in_flight.pop(number)
            if key in self._paths:
                path = self._paths[key]
                self._paths[key] = replace(path, unanswered_count=path.unanswered_count + 1)

    def handle_echo(self, echo: Echo, source: IPAddress, now: float) -> None:
        """Answers a request, or takes an answer."""
        if not echo.is_reply:
            self._send(replace(echo, is_reply=True), source)
        elif echo.number in self._in_flight:
            key, sent_at = self._in_flight.pop(echo.number)
            self._paths[key] = Path(key, now - sent_at, now)
