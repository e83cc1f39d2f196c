"""What is done to the device, for people and programs to read before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wgmesh.core.model import IPNetwork, ObservedDevice, PeerFailure, PublicKey, RefusedRoute


class ActionKind(StrEnum):
    """What is done to what."""

    CREATE_DEVICE = "create-device"
    SET_MTU = "set-mtu"
    ADD_ADDRESS = "add-address"
    REMOVE_ADDRESS = "remove-address"
    BRING_UP = "bring-up"
    RENAME = "rename"
    SET_LISTEN_PORT = "set-listen-port"
    ADD_PEER = "add-peer"
    CHANGE_PEER = "change-peer"
    REMOVE_PEER = "remove-peer"
    ADD_ROUTE = "add-route"
    REMOVE_ROUTE = "remove-route"
    ADD_MESH_ROUTE = "add-mesh-route"
    REMOVE_MESH_ROUTE = "remove-mesh-route"
    SET_GUARD = "set-guard"


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One step from the device as it is to the device as it should be. `what` and `why` are for people."""

    kind: ActionKind
    what: str
    why: str
    public_key: PublicKey | None = None
    hostname: str = ""
    network: IPNetwork | None = None


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What applying a desired device would do to `device`, which is how it was found."""

    actions: tuple[PlannedAction, ...] = ()
    refused_routes: tuple[RefusedRoute, ...] = ()
    peer_failures: tuple[PeerFailure, ...] = ()
    device: ObservedDevice | None = None
