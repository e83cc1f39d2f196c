"""The metrics and spans of the nat service."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.trace import Span, Tracer
from wgmesh.core.model import NatReport, PublicKey
from wgmesh.nat.portmapping.steps import Protocol
from wgmesh.nat.rtt_window import RttWindow
from wgmesh.nat.tunnel_probe import ProbeTarget
from wgmesh.runtime import telemetry
from wgmesh.runtime.histograms import ForgettableHistogram

RTT_BOUNDARIES_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)  # upstream's buckets
NAT_TYPES = ("cone", "symmetric", "unknown")


def rtt_histogram() -> ForgettableHistogram:
    """Returns the exported histogram of round trip times. Call it once a process."""
    return telemetry.forgettable_histogram(
        "wgmesh_probe_rtt_seconds", "Round trip times through the tunnel.", RTT_BOUNDARIES_S
    )


class PathInstruments:
    """Round trip times per peer, the NAT type, and one span for each new peer from first probe to first answer.

    `report()` returns the NAT report as it is when it is asked for.
    """

    def __init__(
        self, meter: Meter, tracer: Tracer, rtt: ForgettableHistogram, report: Callable[[], NatReport]
    ) -> None:
        self._tracer = tracer
        self._report = report
        self._windows: dict[PublicKey, RttWindow] = {}
        self._spans: dict[PublicKey, Span] = {}
        self._answered: set[PublicKey] = set()
        self._rtt = rtt
        summary = "wgmesh_probe_rtt_summary_seconds"
        meter.create_observable_gauge(
            summary, [self._observe_quantiles], description="Quantiles of the round trip times of ten minutes."
        )
        meter.create_observable_counter(
            f"{summary}_sum", [self._observe_sums], description="Sum of all round trip times."
        )
        meter.create_observable_counter(
            f"{summary}_count", [self._observe_counts], description="Number of all round trip times."
        )
        meter.create_observable_gauge(
            "wgmesh_nat_type", [self._observe_nat_type], description="1 for the kind of NAT we are behind."
        )
        meter.create_observable_gauge(
            "wgmesh_port_mapping",
            [self._observe_port_mapping],
            description="1 for the protocol by which the router forwards our port, as STUN confirms.",
        )
        self._openers = meter.create_counter(
            "wgmesh_nat_openers_sent", description="Datagrams with a low TTL that open our own NAT towards a peer."
        )
        self._openers.add(0)

    def retain(self, keys: Collection[PublicKey]) -> None:
        """Forgets everything about other peers; their series end."""
        for key in self._windows.keys() - set(keys):
            del self._windows[key]
            self._rtt.forget({"peer_key": key.short})
        self._answered &= set(keys)
        for key in self._spans.keys() - set(keys):
            self._end_span(key, answered=False)

    def asked(self, target: ProbeTarget) -> None:
        key = target.public_key
        if key in self._answered or key in self._spans:
            return
        context = telemetry.context_from(target.traceparent)
        self._spans[key] = self._tracer.start_span("path.probe", context=context, attributes={"peer": key.short})

    def answered(self, key: PublicKey, rtt_s: float) -> None:
        self._answered.add(key)
        self._end_span(key, answered=True)
        self._windows.setdefault(key, RttWindow()).add(rtt_s, time.monotonic())
        self._rtt.record(rtt_s, {"peer_key": key.short})

    def opened(self) -> None:
        """Counts an opener."""
        self._openers.add(1)

    def close(self) -> None:
        """Ends what is still open."""
        self.retain(())

    def _end_span(self, key: PublicKey, *, answered: bool) -> None:
        span = self._spans.pop(key, None)
        if span is not None:
            span.set_attribute("answered", answered)
            span.end()

    def _observe_quantiles(self, _: CallbackOptions) -> Iterable[Observation]:
        now = time.monotonic()
        for key, window in tuple(self._windows.items()):
            for quantile, rtt_s in window.quantiles(now).items():
                yield Observation(rtt_s, {"peer_key": key.short, "quantile": str(quantile)})

    def _observe_sums(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._of_each_window(lambda window: window.sum_s)

    def _observe_counts(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._of_each_window(lambda window: window.count)

    def _of_each_window(self, value: Callable[[RttWindow], Any]) -> Iterable[Observation]:
        return [Observation(value(window), {"peer_key": key.short}) for key, window in tuple(self._windows.items())]

    def _observe_nat_type(self, _: CallbackOptions) -> Iterable[Observation]:
        current = self._report().mapping.upstream_word
        return [Observation(int(word == current), {"type": word}) for word in NAT_TYPES]

    def _observe_port_mapping(self, _: CallbackOptions) -> Iterable[Observation]:
        mapping = self._report().port_mapping
        current = mapping.protocol if mapping.is_confirmed else ""
        return [Observation(int(protocol == current), {"protocol": protocol}) for protocol in Protocol]
