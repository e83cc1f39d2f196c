"""What the next turn would do, as text and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from wgmesh.cli.render import section
from wgmesh.cli.units import clean, enum_word, key_text
from wgmesh.v1 import device_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2

NOTHING = "The device is as it should be."
_KEY_SIGNS = 8  # as many as the texts of the node show of a key


def plan_value(plan: node_pb2.PlanTurnResponse) -> dict[str, object]:
    """The JSON object. What an action is not about is null."""
    return {
        "problems": list(plan.problems),
        "actions": [_action_value(action) for action in plan.actions],
        "refused_routes": [
            {"network": route.network, "pubkey": key_text(route.public_key), "reason": route.reason}
            for route in plan.refused_routes
        ],
        "peer_failures": [
            {"pubkey": key_text(failure.public_key), "reason": failure.reason} for failure in plan.peer_failures
        ],
    }


def plan_text(plan: node_pb2.PlanTurnResponse) -> str:
    """The actions in their order, each with its reason below, and what will not be done. Problems are not in it."""
    lines = ["The next turn would:", *_action_lines(plan)] if plan.actions else [NOTHING]
    refused = [
        f"{route.network} from {_short(route.public_key)}: {clean(route.reason)}" for route in plan.refused_routes
    ]
    lines += section("Refused routes", refused)
    failed = [f"{_short(failure.public_key)}: {clean(failure.reason)}" for failure in plan.peer_failures]
    lines += section("Peers that cannot be configured", failed)
    return "\n".join(lines)


def _action_lines(plan: node_pb2.PlanTurnResponse) -> Iterator[str]:
    for number, action in enumerate(plan.actions, 1):
        name = f" [{clean(action.hostname)}]" if action.hostname else ""
        yield f"{number:>3}. {clean(action.what)}{name}"
        yield f"     {clean(action.why)}"


def _action_value(action: device_pb2.PlannedAction) -> dict[str, object]:
    return {
        "action": enum_word(device_pb2.PlannedAction.Kind, action.kind, "KIND_"),
        "what": action.what,
        "why": action.why,
        "pubkey": key_text(action.public_key) or None,
        "hostname": action.hostname or None,
        "network": action.network or None,
    }


def _short(key: bytes) -> str:
    return key_text(key)[:_KEY_SIGNS]
