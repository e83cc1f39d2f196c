"""The node's metrics. Names and buckets are upstream's where it has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Observation
from wgmesh.node.health import Ability, Health
from wgmesh.node.liveness import Liveness
from wgmesh.node.status import PEER_STATES, Picture
from wgmesh.runtime import telemetry

RECONCILE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measurements:
    """Exports the latest picture, the health at the moment, and the length of turns."""

    def __init__(self, is_separated: bool, health: Callable[[], Health]) -> None:
        meter = telemetry.meter("wgmesh.node")
        self._picture: Picture | None = None
        self._is_separated = is_separated
        self._health_now = health
        self._duration = meter.create_histogram(
            "wgmesh_reconcile_duration_seconds",
            description="Time of one turn: compose, apply, tell",
            explicit_bucket_boundaries_advisory=RECONCILE_BUCKETS_S,
        )
        for name, observe, description in (
            ("wgmesh_active_peers", self._active, "Peers that the data path proves to be reachable"),
            ("wgmesh_peers", self._by_state, "Known peers by state"),
            ("wgmesh_health", self._health, "1 for how able the node is to do its work"),
            ("wgmesh_relayed_peers", self._relayed, "Peers that are reached through a relay"),
            ("wgmesh_known_peers", self._known, "Peers that are known, reachable or not"),
            ("wgmesh_privileges_separated", self._separated, "Whether each process runs as a user of its own"),
        ):
            meter.create_observable_gauge(name, callbacks=[observe], description=description)
        meter.create_observable_counter(
            "wgmesh_peer_receive_bytes", callbacks=[self._received], description="Bytes received from a peer"
        )
        meter.create_observable_counter(
            "wgmesh_peer_transmit_bytes", callbacks=[self._sent], description="Bytes sent to a peer"
        )

    def show(self, picture: Picture) -> None:
        self._picture = picture

    def turn_took(self, duration_s: float) -> None:
        self._duration.record(duration_s)

    def _active(self, _: CallbackOptions) -> Iterable[Observation]:
        verdicts = self._picture.composition.verdicts.values() if self._picture else ()
        return [Observation(sum(verdict.liveness is Liveness.CONNECTED for verdict in verdicts))]

    def _by_state(self, _: CallbackOptions) -> Iterable[Observation]:
        picture = self._picture
        counts = Counter(picture.states.values()) if picture else Counter[str]()
        return [Observation(counts[state], {"state": state}) for state in PEER_STATES]

    def _health(self, _: CallbackOptions) -> Iterable[Observation]:
        current = self._health_now().finding.ability
        return [Observation(int(each is current), {"state": each}) for each in Ability]

    def _relayed(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(0)]  # every path of this version is direct

    def _known(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(len(self._picture.composition.verdicts) if self._picture else 0)]

    def _separated(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(self._is_separated))]

    def _received(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._per_peer("rx_bytes")

    def _sent(self, _: CallbackOptions) -> Iterable[Observation]:
        return self._per_peer("tx_bytes")

    def _per_peer(self, counter: str) -> list[Observation]:
        device = self._picture.world.device if self._picture else None
        if self._picture is None or device is None:
            return []
        names = {peer.public_key: peer.hostname for peer in self._picture.world.peers.peers}
        return [
            Observation(
                getattr(peer, counter),
                {"peer_key": peer.public_key.short, "hostname": names.get(peer.public_key, "")},
            )
            for peer in device.peers
            if peer.handshake_at is not None  # others are names that anybody can invent, each a series for good
        ]
