"""What `wgmesh ping` says: a line for each ping, and what they come to. Pure."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from wgmesh.cli.units import clean, key_text, seconds
from wgmesh.v1 import nat_service_pb2 as nat_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2

KEPT_MAX = 1000  # pings that the JSON document lists; a run of days has more, and its sums have them all

_WAYS = {nat_pb2.PingPeerResponse.WAY_ECHO: "echo", nat_pb2.PingPeerResponse.WAY_CONNECTION: "connection"}


@dataclass(slots=True)
class PingRun:
    """The pings of one call of the command."""

    sent: int = 0
    received: int = 0
    pubkey: str = ""
    hostname: str = ""
    address: str = ""
    _sum_s: float = 0.0
    _squares: float = 0.0
    _least_s: float = math.inf
    _most_s: float = 0.0
    _kept: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))

    def add(self, answer: node_pb2.NodeServicePingPeerResponse, timeout_s: float) -> str:
        """Takes what came of the next ping and returns the line about it."""
        self.pubkey, self.hostname = key_text(answer.public_key), clean(answer.hostname)
        self.address = answer.ping.address
        way = _WAYS.get(answer.ping.way, "")
        rtt_s = seconds(answer.ping, "round_trip_time")
        self._count(rtt_s, way)
        if rtt_s is None:
            return f"no answer from {self.who} within {timeout_s:g} s: seq={self.sent}"
        self.received += 1
        self._sum_s += rtt_s
        self._squares += rtt_s * rtt_s
        self._least_s, self._most_s = min(self._least_s, rtt_s), max(self._most_s, rtt_s)
        return f"answer from {self.who}: seq={self.sent} time={rtt_s * 1000:.3f} ms{_by(way)}"

    def not_asked(self) -> None:
        """Counts a ping that the node could not send."""
        self._count(None, "")

    @property
    def who(self) -> str:
        """The peer by host name, or by the beginning of its key, with the address that was asked."""
        return f"{self.hostname or self.pubkey[:8]} ({self.address})"

    @property
    def loss_percent(self) -> float:
        return 100.0 * (self.sent - self.received) / self.sent if self.sent else 0.0

    def summary(self) -> str:
        """Two lines, as those of ping(8)."""
        loss = f"{self.loss_percent:.4g}"
        lines = [f"--- {self.who} ---", f"{self.sent} sent, {self.received} answered, {loss}% lost"]
        if self.received:
            least, mean, most, deviation = (value * 1000 for value in self._spread())
            lines.append(f"rtt min/avg/max/mdev = {least:.3f}/{mean:.3f}/{most:.3f}/{deviation:.3f} ms")
        return "\n".join(lines)

    def value(self) -> dict[str, object]:
        """The JSON object. Times are milliseconds, or null where nothing was answered."""
        spread = self._spread() if self.received else (None,) * 4
        names = ("min", "avg", "max", "mdev")
        return {
            "pubkey": self.pubkey,
            "hostname": self.hostname,
            "address": self.address,
            "sent": self.sent,
            "received": self.received,
            "loss_percent": round(self.loss_percent, 3),
            "rtt_ms": {name: _milliseconds(value) for name, value in zip(names, spread, strict=True)},
            "pings": list(self._kept),
        }

    def _count(self, rtt_s: float | None, way: str) -> None:
        self.sent += 1
        self._kept.append({"seq": self.sent, "rtt_ms": _milliseconds(rtt_s), "by": way or None})

    def _spread(self) -> tuple[float, float, float, float]:
        mean = self._sum_s / self.received
        variance = max(0.0, self._squares / self.received - mean * mean)
        return self._least_s, mean, self._most_s, math.sqrt(variance)


def _by(way: str) -> str:
    return " (by a connection: echoes are not answered)" if way == "connection" else ""


def _milliseconds(span_s: float | None) -> float | None:
    return None if span_s is None else round(span_s * 1000, 3)
