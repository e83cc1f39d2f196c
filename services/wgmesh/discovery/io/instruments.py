"""The metrics and the first span of a peer's trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import Tracer, use_span
from wgmesh.core.model import PublicKey
from wgmesh.discovery.events import (
    EXCHANGE,
    GOSSIP,
    LAN,
    ContactAnswered,
    ContactTried,
    DatagramRejected,
    Event,
    LayerHeard,
    PeerLeft,
)
from wgmesh.discovery.exchange.hellos import method_word
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.tombstones import Departure
from wgmesh.discovery.messages.inbox import Rejection
from wgmesh.discovery.rendezvous.layer import RENDEZVOUS
from wgmesh.runtime import telemetry


class Instruments:
    """Counts what the core reports."""

    def __init__(self, meter: Meter, tracer: Tracer) -> None:
        self._tracer = tracer
        self._sealed_count: Callable[[], int] = lambda: 0
        meter.create_observable_counter(
            "wgmesh_discovery_sealed_messages_total",
            [self._observe_sealed],
            description="Messages sealed with the mesh's key.",
        )
        self._heard = meter.create_counter(
            "wgmesh_discovery_events_total", description="Valid messages of members, by discovery layer."
        )
        self._tried = meter.create_counter(
            "wgmesh_nat_traversal_attempts_total", description="Exchanges begun with an address not yet proven."
        )
        self._answered = meter.create_counter(
            "wgmesh_nat_traversal_successes_total", description="Those exchanges that were answered."
        )
        self._rejected = meter.create_counter(
            "wgmesh_discovery_rejected_datagrams_total", description="Datagrams dropped, by reason."
        )
        self._left = meter.create_counter(
            "wgmesh_discovery_departures_total", description="Peers removed from the table, by reason."
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Has every series of a closed set from the start, since a rate needs a value before the first event."""
        for layer in (LAN, EXCHANGE, GOSSIP):
            self._heard.add(0, {"layer": layer})
        for method in (*map(method_word, Origin), RENDEZVOUS):
            self._tried.add(0, {"method": method})
            self._answered.add(0, {"method": method})
        for rejection in Rejection:
            self._rejected.add(0, {"reason": str(rejection)})
        for departure in Departure:
            self._left.add(0, {"reason": str(departure)})

    def observe(self, sealed_count: Callable[[], int]) -> None:
        """Takes how many messages were sealed with the mesh's key, whenever metrics are collected."""
        self._sealed_count = sealed_count

    def count(self, event: Event) -> None:
        """Counts an event; most are worth a counter."""
        match event:
            case LayerHeard(layer):
                self._heard.add(1, {"layer": layer})
            case ContactTried(method):
                self._tried.add(1, {"method": method})
            case ContactAnswered(method):
                self._answered.add(1, {"method": method})
            case DatagramRejected(reason):
                self._rejected.add(1, {"reason": str(reason)})
            case PeerLeft(_, reason):
                self._left.add(1, {"reason": str(reason)})
            case _:
                return

    def begin_trace(self, key: PublicKey, layer: str) -> str:
        """Starts the trace of a peer's joining and returns its traceparent."""
        span = self._tracer.start_span("peer.sighted", attributes={"peer": key.short, "layer": layer})
        with use_span(span, end_on_exit=True):
            return telemetry.inject()

    def _observe_sealed(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(self._sealed_count())]
