"""Why a plan has the steps that it has: the comparison of `plan`, in words for people.

Pure. What only the node knows, for example why it wants a peer no more, the node adds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from wgmesh.core.device_plan import ActionKind, PlannedAction
from wgmesh.core.model import DesiredDevice, IPNetwork, ObservedDevice, ObservedPeer, RefusedRoute
from wgmesh.wireguard.plan import (
    AddAddress,
    AddMeshRoute,
    AddRoute,
    BringUp,
    CreateDevice,
    RemoveAddress,
    RemoveMeshRoute,
    RemovePeer,
    RemoveRoute,
    RestoreName,
    SetGuard,
    SetListenPort,
    SetMtu,
    SetPeer,
    Step,
    in_order,
    is_live,
)

RoutingStep = AddRoute | RemoveRoute | AddMeshRoute | RemoveMeshRoute

NAMED_NETWORKS_MAX = 4  # a reason stays a sentence: a peer may have 256 networks, and the step itself names them all

_NEW = "The interface is new."
_LEFT_OUT = (
    "It is left out once, because no handshake with it has completed: WireGuard forgets its timer by that, and tries "
    "again at once when the turn after it puts the peer back."
)


class Reasons:
    """Explains the steps of one plan. `target` and `observed` are what was compared.

    `refused` are the networks that were taken out of the target before, and `wished_port` is the port that was desired
    before a free one was looked for.
    """

    def __init__(
        self,
        target: DesiredDevice,
        observed: ObservedDevice | None,
        refused: Iterable[RefusedRoute],
        wished_port: int,
        now: float,
    ) -> None:
        self._observed = observed
        self._wished_port = wished_port
        self._now = now
        left_out = [peer for peer in target.peers if peer.only_if_connected]
        self._left_out = {peer.public_key for peer in left_out}
        self._waiting = {network: peer.public_key for peer in left_out for network in peer.routable_networks}
        self._present = {peer.public_key: peer for peer in observed.peers} if observed else {}
        self._holders = {network: peer.public_key for peer in self._present.values() for network in peer.allowed_ips}
        self._refused = {route.network: route.reason for route in refused}

    def explained(self, step: Step) -> PlannedAction:
        """The step in words, with its reason."""
        key = step.public_key if isinstance(step, SetPeer | RemovePeer | AddRoute) else None
        network = step.network if isinstance(step, RoutingStep) else None
        return PlannedAction(_kind(step), step.describe(), self._why(step), key, network=network)

    def _why(self, step: Step) -> str:  # noqa: C901 - one flat table of steps
        match step:
            case CreateDevice():
                return "There is no interface of this name."
            case SetMtu():
                return f"It is {self._observed.mtu}." if self._observed else _NEW
            case AddAddress():
                return "The interface does not have it." if self._observed else _NEW
            case RemoveAddress():
                return "It is none of this node's addresses in the mesh."
            case BringUp():
                return "It is down, and carries nothing." if self._observed else _NEW
            case RestoreName():
                return "It is this node's, and has another name."
            case SetListenPort(port):
                return " ".join(self._why_port(port))
            case RemovePeer(key):
                return _LEFT_OUT if key in self._left_out else "The node does not want it."
            case SetPeer(key, new):
                return "The device does not have it." if new else " ".join(self._why_peer(step, self._present[key]))
            case RemoveRoute(network):
                return self._why_unwanted(network)
            case AddRoute(network, key):
                return f"Peer {key.short} advertises it, and {self._why_unrouted(network)}."
            case AddMeshRoute():
                return "The host does not route it into the tunnel." if self._observed else _NEW
            case RemoveMeshRoute():
                return "It holds what this host has itself, or is no part of the mesh."
            case SetGuard():
                return self._why_guard()
        assert_never(step)

    def _why_port(self, port: int) -> Iterable[str]:
        listens_on = self._observed.listen_port if self._observed else 0
        yield _NEW if self._observed is None else f"It listens on {listens_on or 'no port'}."
        if not self._wished_port:
            yield "An earlier life of this node used it, and others may know it."
        elif port != self._wished_port:
            yield f"{self._wished_port} was asked for: it is taken, or an earlier life of this node has used {port}."

    def _why_peer(self, change: SetPeer, was: ObservedPeer) -> Iterable[str]:
        if change.endpoint is not None:
            if was.endpoint is None:
                yield "It has no endpoint."
            else:
                yield f"Its endpoint is {was.endpoint}, and {self._why_unproven(was)}."
        if change.allowed_ips is not None:
            missing, extra = change.allowed_ips - was.allowed_ips, was.allowed_ips - change.allowed_ips
            if missing:
                yield f"It lacks {_listed(self._held(network) for network in in_order(missing))}."
            if extra:
                yield f"It has {_listed(map(str, in_order(extra)))} without a right to it."
        if change.persistent_keepalive_s is not None:
            yield f"Its keepalive is {f'{was.persistent_keepalive_s} s' if was.persistent_keepalive_s else 'off'}."
        if change.preshared_key is not None:
            yield "It has another preshared key." if was.preshared_key else "It has no preshared key."

    def _why_unwanted(self, network: IPNetwork) -> str:
        if reason := self._refused.get(network):
            return f"It is refused now: {reason}"
        if key := self._waiting.get(network):
            return f"Peer {key.short}, which advertises it, is left out once."
        return "No peer that the node wants has it."

    def _why_guard(self) -> str:
        if self._observed is None or not self._observed.guard:
            return "Nothing keeps mesh addresses from being used outside the tunnel."
        return "The rules that are there are others."

    def _why_unproven(self, was: ObservedPeer) -> str:
        handshake_at = was.handshake_at
        if is_live(was, self._now):
            return "what was sent there is not answered any more, while the peer speaks from elsewhere"
        if handshake_at is None:
            return "no handshake has ever proven that"
        return f"its last handshake is {int(self._now - handshake_at)} s old, which proves that no more"

    def _why_unrouted(self, network: IPNetwork) -> str:
        if self._observed is not None and network in self._observed.routes:
            return "an interface that was down has lost its routes"
        return "the host does not route it into the tunnel"

    def _held(self, network: IPNetwork) -> str:
        holder = self._holders.get(network)
        return f"{network} (peer {holder.short} has it)" if holder else str(network)


def _kind(step: Step) -> ActionKind:
    return _PEER_KINDS[step.new] if isinstance(step, SetPeer) else _KINDS[type(step)]


_PEER_KINDS = {True: ActionKind.ADD_PEER, False: ActionKind.CHANGE_PEER}
_KINDS: dict[type[Step], ActionKind] = {
    CreateDevice: ActionKind.CREATE_DEVICE,
    SetMtu: ActionKind.SET_MTU,
    AddAddress: ActionKind.ADD_ADDRESS,
    RemoveAddress: ActionKind.REMOVE_ADDRESS,
    BringUp: ActionKind.BRING_UP,
    RestoreName: ActionKind.RENAME,
    SetListenPort: ActionKind.SET_LISTEN_PORT,
    RemovePeer: ActionKind.REMOVE_PEER,
    AddRoute: ActionKind.ADD_ROUTE,
    RemoveRoute: ActionKind.REMOVE_ROUTE,
    AddMeshRoute: ActionKind.ADD_MESH_ROUTE,
    RemoveMeshRoute: ActionKind.REMOVE_MESH_ROUTE,
    SetGuard: ActionKind.SET_GUARD,
}


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    shown, rest = every[:NAMED_NETWORKS_MAX], len(every) - NAMED_NETWORKS_MAX
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
