"""What the next turn would do, and why: the plan of the wireguard service, and the reasons that only the node knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wgmesh.convert.device import peer_failure_to_proto, refused_route_to_proto
from wgmesh.convert.plan import planned_action_to_proto
from wgmesh.core.device_plan import ActionKind, DevicePlan, PlannedAction
from wgmesh.core.model import IPNetwork, PeerFailure, PublicKey
from wgmesh.node.composition import Composition, World
from wgmesh.node.liveness import Liveness
from wgmesh.v1 import node_service_pb2 as node_pb2


@dataclass(frozen=True, slots=True)
class Forecast:
    """A turn that is not taken: what was observed, what follows from it, and what would be done to the device.

    `problems` may keep it from being done, and `last_failures` are the peers that the last turn could not configure.
    """

    world: World
    composition: Composition
    plan: DevicePlan
    problems: tuple[str, ...] = ()
    last_failures: tuple[PeerFailure, ...] = ()

    @property
    def actions(self) -> tuple[PlannedAction, ...]:
        """The actions of the plan, with the node's own reasons and the names of the peers."""
        names = {peer.public_key: peer.hostname for peer in self.world.peers.peers}
        refused = {route.network: route.reason for route in self.composition.refused_routes}
        return tuple(
            replace(
                action,
                why=self._why(action, refused),
                hostname=names.get(action.public_key, "") if action.public_key else "",
            )
            for action in self.plan.actions
        )

    def _why(self, action: PlannedAction, refused: dict[IPNetwork, str]) -> str:
        match action:
            case PlannedAction(ActionKind.REMOVE_PEER, public_key=PublicKey() as key):
                return self.composition.unwanted.get(key, action.why)
            case PlannedAction(ActionKind.REMOVE_ROUTE, network=network) if network in refused:
                return f"It is refused now: {refused[network]}"
            case PlannedAction(ActionKind.ADD_ROUTE, public_key=PublicKey() as key):
                return f"{action.why} {self._standing(key)}"
            case _:
                return action.why

    def _standing(self, key: PublicKey) -> str:
        """Why this peer has the network: routes are given to proven tunnels first."""
        verdict = self.composition.verdicts.get(key)
        if verdict is None or verdict.liveness is Liveness.CONNECTED:  # without a verdict it was kept for its tunnel
            return "Its tunnel works."
        return f"Its tunnel is not proven ({verdict.reason}), and no peer with a proven tunnel advertises it."

    @property
    def peer_failures(self) -> tuple[PeerFailure, ...]:
        """The peers that cannot be configured, and those that the last turn failed on and the next one wants again."""
        found = {failure.public_key: failure for failure in self.plan.peer_failures}
        wanted = {peer.public_key for peer in self.composition.device.peers}
        for failure in self.last_failures:
            if failure.public_key in wanted:
                found.setdefault(failure.public_key, failure)
        return tuple(found.values())


def forecast_to_proto(forecast: Forecast) -> node_pb2.PlanTurnResponse:
    refused = forecast.composition.refused_routes + forecast.plan.refused_routes
    return node_pb2.PlanTurnResponse(
        problems=forecast.problems,
        actions=[planned_action_to_proto(action) for action in forecast.actions],
        refused_routes=[refused_route_to_proto(route) for route in refused],
        peer_failures=[peer_failure_to_proto(failure) for failure in forecast.peer_failures],
    )
