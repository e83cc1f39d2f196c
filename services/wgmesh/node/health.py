"""Whether this node can do its work: judged from what it needs, never from how many peers it has.

The kind of harm: a node that cannot look at its device, or change it, goes on showing the last good picture. So every
turn says what went wrong as well as what was seen, and the worst of it is the first thing that a person is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from wgmesh.convert.scalar import timestamp
from wgmesh.core.model import DiscoveryLayer, LayerState, PeerFailure
from wgmesh.v1 import node_service_pb2 as node_pb2

STARTING_S = 10.0  # a node on a busy machine needs a few seconds; what is not there by then is missing
LAYERS_THAT_MAY_BE_ALONE = frozenset({"lan"})  # its silence may only mean that nobody else is there

_AGAIN = "It is started again by itself; see the log if that does not help."
_KEPT = "Tunnels that work go on; what is new waits. It is tried again every few seconds."


class Ability(StrEnum):
    """How able the node is, the best first."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement: how able, why not more, and what to do."""

    ability: Ability = Ability.OK
    reason: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """A finding, since when it holds, and when the device was last looked at with success."""

    finding: Finding
    since: float
    looked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What the node needs, as it was observed. `services` maps the other processes to whether they answer.

    `device_problems` come from the wireguard process, `turn_problem` from the last try to change the device, and
    `discovery_problem` from the last try to tell discovery.
    """

    services: Mapping[str, bool]
    has_picture: bool = True
    device_problems: Sequence[str] = ()
    turn_problem: str = ""
    discovery_problem: str = ""
    peer_failures: Sequence[PeerFailure] = ()
    layers: Sequence[DiscoveryLayer] = ()


def judge_health(needs: Needs, started_at: float, now: float) -> Finding:
    """What is worst: first the device, then who finds peers and measures paths, then single peers and layers."""
    is_starting = not needs.has_picture and now - started_at < STARTING_S
    if is_starting and not needs.turn_problem and not needs.device_problems:
        return Finding(Ability.DEGRADED, "The node is starting.", "Wait a few seconds.")
    if not needs.services.get("wireguard", False):
        return Finding(
            Ability.FAILING,
            "The wireguard process of this node does not answer: its device is neither looked at nor changed.",
            _AGAIN,
        )
    if problem := needs.turn_problem or next(iter(needs.device_problems), ""):
        return Finding(Ability.FAILING, problem, _KEPT)
    if not needs.has_picture:
        return Finding(Ability.FAILING, "The node has not been able to look at its device since it started.", _AGAIN)
    return next(iter(_shortcomings(needs)), Finding())


def _shortcomings(needs: Needs) -> list[Finding]:
    """What does not keep the node from looking after its tunnels."""
    found = []
    if needs.discovery_problem or not needs.services.get("discovery", False):
        reason = (
            needs.discovery_problem or "The discovery process of this node does not answer: no new peers are found."
        )
        found.append(Finding(Ability.DEGRADED, reason, _AGAIN))
    if not needs.services.get("nat", False):
        reason = "The nat process of this node does not answer: no paths are measured."
        found.append(Finding(Ability.DEGRADED, reason, _AGAIN))
    if needs.peer_failures:
        first, count = needs.peer_failures[0], len(needs.peer_failures)
        others = f" {count - 1} more have failed." if count > 1 else ""
        found.append(
            Finding(
                Ability.DEGRADED,
                f"Peer {first.public_key.short} could not be configured: {first.reason}{others}",
                "`wgmesh plan` names them all.",
            )
        )
    for layer in needs.layers:
        if layer.state in (LayerState.DEGRADED, LayerState.UNAVAILABLE) and layer.name not in LAYERS_THAT_MAY_BE_ALONE:
            detail = f": {layer.detail}" if layer.detail else ""
            found.append(
                Finding(
                    Ability.DEGRADED,
                    f"The layer {layer.name} does not find peers{detail}.",
                    "The other ways of finding peers go on.",
                )
            )
    return found


class HealthMemory:
    """Remembers since when it is so. `at_start` is when the node started, in steady time like every `now`."""

    def __init__(self, at_start: float) -> None:
        self._started_at = at_start
        self._health = Health(Finding(Ability.DEGRADED, "The node is starting.", "Wait a few seconds."), at_start)

    def judge(self, needs: Needs, looked_at: float | None, now: float) -> Health:
        """Judges what is there now. Another reason for the same inability is no new beginning."""
        finding, before = judge_health(needs, self._started_at, now), self._health
        since = before.since if finding.ability is before.finding.ability else now
        self._health = Health(finding, since, looked_at)
        return self._health


_STATES = {
    Ability.OK: node_pb2.Health.STATE_OK,
    Ability.DEGRADED: node_pb2.Health.STATE_DEGRADED,
    Ability.FAILING: node_pb2.Health.STATE_FAILING,
}


def health_to_proto(health: Health) -> node_pb2.Health:
    return node_pb2.Health(
        state=_STATES[health.finding.ability],
        start_time=timestamp(health.since),
        reason=health.finding.reason,
        advice=health.finding.advice,
        look_time=timestamp(health.looked_at),
    )
