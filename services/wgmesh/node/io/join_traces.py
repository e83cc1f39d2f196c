"""One trace a joining peer: from discovery's first sighting to the first handshake, across processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from wgmesh.core.model import DesiredPeer, Peer, PublicKey
from wgmesh.node.liveness import Liveness, Verdict
from wgmesh.runtime import telemetry

JOURNEYS_MAX = 64  # spans held open at once; a mesh of hundreds that starts together is traced in part


class JoinTraces:
    """Holds one open span for each peer that is not connected yet."""

    def __init__(self) -> None:
        self._tracer = telemetry.tracer("wgmesh.node")
        self._open: dict[PublicKey, trace.Span] = {}
        self._arrived: set[PublicKey] = set()

    def follow(self, peers: Iterable[Peer], verdicts: Mapping[PublicKey, Verdict]) -> None:
        """Opens a span for each peer that has shown itself, and ends the spans of peers that are connected or gone."""
        known = {peer.public_key: peer for peer in peers if peer.public_key in verdicts}
        self._arrived &= known.keys()
        for key in [key for key in self._open if key not in known]:
            self._end(key, "forgotten")
        for key, peer in known.items():
            if verdicts[key].liveness is Liveness.CONNECTED:
                self._arrived.add(key)
                if key in self._open:
                    self._end(key, "connected")
            elif self._is_worth_following(peer):
                self._begin(peer)

    @contextmanager
    def context(self, peers: Iterable[DesiredPeer]) -> Iterator[None]:
        """Makes the span of the newest travelling peer current, so that what is done for it joins its trace."""
        span = next((self._open[key] for key in reversed(self._open) if any(p.public_key == key for p in peers)), None)
        if span is None:
            yield
            return
        with trace.use_span(span):
            yield

    def _is_worth_following(self, peer: Peer) -> bool:
        """Discovery gives a trace to who has shown itself: other names are free, and there are few places."""
        is_new = peer.public_key not in self._open and peer.public_key not in self._arrived
        return is_new and bool(peer.traceparent) and len(self._open) < JOURNEYS_MAX

    def _begin(self, peer: Peer) -> None:
        self._open[peer.public_key] = self._tracer.start_span(
            "peer.connect",
            context=telemetry.context_from(peer.traceparent),
            attributes={"wgmesh.peer": peer.public_key.short, "wgmesh.hostname": peer.hostname},
        )

    def _end(self, key: PublicKey, result: str) -> None:
        span = self._open.pop(key)
        span.set_attribute("wgmesh.result", result)
        span.end()
