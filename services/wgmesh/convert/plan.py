"""What would be done to the device, and why."""

from __future__ import annotations

from wgmesh.convert.device import (
    observed_device_from_proto,
    observed_device_to_proto,
    peer_failure_from_proto,
    peer_failure_to_proto,
    refused_route_from_proto,
    refused_route_to_proto,
)
from wgmesh.convert.scalar import network, public_key, text
from wgmesh.core.device_plan import ActionKind, DevicePlan, PlannedAction
from wgmesh.core.errors import InvalidInput
from wgmesh.v1 import device_pb2
from wgmesh.v1 import wireguard_service_pb2 as wireguard_pb2

_KINDS = {
    ActionKind.CREATE_DEVICE: device_pb2.PlannedAction.KIND_CREATE_DEVICE,
    ActionKind.SET_MTU: device_pb2.PlannedAction.KIND_SET_MTU,
    ActionKind.ADD_ADDRESS: device_pb2.PlannedAction.KIND_ADD_ADDRESS,
    ActionKind.REMOVE_ADDRESS: device_pb2.PlannedAction.KIND_REMOVE_ADDRESS,
    ActionKind.BRING_UP: device_pb2.PlannedAction.KIND_BRING_UP,
    ActionKind.RENAME: device_pb2.PlannedAction.KIND_RENAME,
    ActionKind.SET_LISTEN_PORT: device_pb2.PlannedAction.KIND_SET_LISTEN_PORT,
    ActionKind.ADD_PEER: device_pb2.PlannedAction.KIND_ADD_PEER,
    ActionKind.CHANGE_PEER: device_pb2.PlannedAction.KIND_CHANGE_PEER,
    ActionKind.REMOVE_PEER: device_pb2.PlannedAction.KIND_REMOVE_PEER,
    ActionKind.ADD_ROUTE: device_pb2.PlannedAction.KIND_ADD_ROUTE,
    ActionKind.REMOVE_ROUTE: device_pb2.PlannedAction.KIND_REMOVE_ROUTE,
    ActionKind.ADD_MESH_ROUTE: device_pb2.PlannedAction.KIND_ADD_MESH_ROUTE,
    ActionKind.REMOVE_MESH_ROUTE: device_pb2.PlannedAction.KIND_REMOVE_MESH_ROUTE,
    ActionKind.SET_GUARD: device_pb2.PlannedAction.KIND_SET_GUARD,
}
_KIND_VALUES = {number: kind for kind, number in _KINDS.items()}


def planned_action_to_proto(action: PlannedAction) -> device_pb2.PlannedAction:
    return device_pb2.PlannedAction(
        kind=_KINDS[action.kind],
        what=action.what,
        why=action.why,
        public_key=action.public_key.raw if action.public_key else b"",
        hostname=action.hostname,
        network=text(action.network) if action.network else "",
    )


def planned_action_from_proto(message: device_pb2.PlannedAction) -> PlannedAction:
    """Raises InvalidInput."""
    kind = _KIND_VALUES.get(message.kind)
    if kind is None:
        raise InvalidInput(f"the kind of a planned action is not known: {message.kind}")
    return PlannedAction(
        kind=kind,
        what=message.what,
        why=message.why,
        public_key=public_key(message.public_key) if message.public_key else None,
        hostname=message.hostname,
        network=network(message.network) if message.network else None,
    )


def device_plan_to_proto(plan: DevicePlan) -> wireguard_pb2.PlanDeviceResponse:
    return wireguard_pb2.PlanDeviceResponse(
        actions=[planned_action_to_proto(action) for action in plan.actions],
        refused_routes=[refused_route_to_proto(route) for route in plan.refused_routes],
        peer_failures=[peer_failure_to_proto(failure) for failure in plan.peer_failures],
        device=observed_device_to_proto(plan.device),
    )


def device_plan_from_proto(message: wireguard_pb2.PlanDeviceResponse) -> DevicePlan:
    """Raises InvalidInput."""
    return DevicePlan(
        actions=tuple(planned_action_from_proto(action) for action in message.actions),
        refused_routes=tuple(refused_route_from_proto(route) for route in message.refused_routes),
        peer_failures=tuple(peer_failure_from_proto(failure) for failure in message.peer_failures),
        device=observed_device_from_proto(message.device) if message.HasField("device") else None,
    )
