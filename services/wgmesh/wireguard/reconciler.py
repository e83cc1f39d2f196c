"""One turn of the device: observe, admit, plan, apply. Remembers nothing but the port of an earlier life."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from wgmesh.core.errors import InvalidSetting, MeshError, NotSupported
from wgmesh.core.model import (
    ApplyOutcome,
    DesiredDevice,
    DevicePlan,
    ObservedDevice,
    PeerFailure,
    PublicKey,
    RefusedRoute,
)
from wgmesh.wireguard.admission import ForeignRoutes, admit
from wgmesh.wireguard.device import KERNEL, Device, DeviceGone, PortBusy
from wgmesh.wireguard.limits import Limits, limit
from wgmesh.wireguard.overlaps import refusal, stepped_aside
from wgmesh.wireguard.plan import (
    Action,
    AddAddress,
    AddMeshRoute,
    AddRoute,
    CreateDevice,
    RemovePeer,
    SetGuard,
    SetListenPort,
    SetPeer,
    Step,
    plan,
    plan_removal,
)
from wgmesh.wireguard.ports import candidate_ports
from wgmesh.wireguard.reasons import Reasons


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did. `skipped` are sentences about what this host cannot do, for the log.

    `only_peers`: nothing was done to the interface, its addresses or routes.
    """

    outcome: ApplyOutcome
    skipped: tuple[str, ...] = ()
    only_peers: bool = False


@dataclass(frozen=True, slots=True)
class _Decision:
    target: DesiredDevice
    actions: tuple[Step, ...]
    refused: tuple[RefusedRoute, ...]
    failures: tuple[PeerFailure, ...]
    remarks: tuple[str, ...]
    further_ports: Iterator[int]


@dataclass(slots=True)
class _Progress:
    done: list[str] = field(default_factory=list)
    failures: list[PeerFailure] = field(default_factory=list)
    failed_keys: set[PublicKey] = field(default_factory=set)
    lacking_versions: set[int] = field(default_factory=set)  # IP versions of which the device could get no address
    skipped: list[str] = field(default_factory=list)
    error: MeshError | None = None


class Reconciler:
    """Brings one device to the desired state, within its limits. The caller runs one turn at a time."""

    def __init__(self, device: Device, own_key: PublicKey, stored_port: int | None, limits: Limits) -> None:
        self._device = device
        self._limits = limits
        self._own_key = own_key
        self.stored_port = stored_port

    async def preview(self, desired: DesiredDevice, now: float) -> DevicePlan:
        """Looks at everything and says what `turn` would do, and why. Raises like Device."""
        observed = await self._device.observe()
        decision = await self._decide(desired, observed, now)
        reasons = Reasons(decision.target, observed, decision.refused, desired.listen_port, now)
        actions = tuple(reasons.explained(action) for action in decision.actions)
        return DevicePlan(actions, decision.refused, decision.failures, observed)

    async def turn(self, desired: DesiredDevice, now: float, known: ObservedDevice | None = None) -> Turn:
        """Applies what is missing. `now` is Unix seconds.

        `known` is what a full look of the last seconds saw: then only WireGuard's own part is looked at again, which
        costs a thirtieth of a full look. Many peers that come at once make as many turns.

        A peer or route that fails is reported and the others are still set. An error of the device as a whole is
        raised, after everything else was tried unless the device is gone: DeviceUnavailable, PermissionDenied,
        AlreadyRunning, NotSupported.
        """
        observed = await self._device.refresh(known) if known else await self._device.observe()
        decision = await self._decide(desired, observed, now)
        progress = _Progress(failures=list(decision.failures), skipped=list(decision.remarks))
        for action in decision.actions:
            await self._apply(action, decision.further_ports, progress)
        if progress.error is not None:
            raise progress.error
        only_peers = all(isinstance(action, SetPeer | RemovePeer) for action in decision.actions)
        device = await self._device.refresh(observed) if observed and only_peers else await self._device.observe()
        if device is not None:
            self.stored_port = device.listen_port or self.stored_port
        outcome = ApplyOutcome(tuple(progress.done), decision.refused, tuple(progress.failures), device)
        return Turn(outcome, tuple(progress.skipped), only_peers)

    async def set_endpoints_again(self, known: ObservedDevice | None) -> None:
        """Sets the endpoint of each peer to what it is, in a userspace device. Raises like Device."""
        if known is None or known.backend == KERNEL:
            return
        seen = await self._device.refresh(known)
        for peer in seen.peers if seen else ():
            if peer.endpoint is not None:
                await self._device.apply(SetPeer(peer.public_key, endpoint=peer.endpoint))

    async def refuse_to_overlap(self) -> None:
        """Raises InvalidSetting where the host uses the mesh's networks already and there is no device yet.

        A device of an earlier life is at work: it steps aside instead.
        """
        found = await self._device.overlaps()
        problem = refusal(found, self._limits.mesh, self._limits.is_mesh_named)
        if problem:
            raise InvalidSetting("--mesh-subnet", problem)

    async def remove(self) -> None:
        """Removes the device with all it has, if it exists, and its firewall rules. Raises like Device."""
        for action in plan_removal(await self._device.observe()):
            with suppress(NotSupported):  # a host that has no firewall rules has none of ours
                await self._device.apply(action)

    async def _decide(self, desired: DesiredDevice, observed: ObservedDevice | None, now: float) -> _Decision:
        failures = tuple(
            PeerFailure(peer.public_key, "It carries this node's own key, and a node is no peer of itself.")
            for peer in desired.peers
            if peer.public_key == self._own_key
        )
        others = tuple(peer for peer in desired.peers if peer.public_key != self._own_key)
        limited = limit(replace(desired, peers=others), observed, self._limits)
        desired = limited.desired
        routes_wanted = any(peer.routable_networks for peer in desired.peers)
        foreign = await self._device.foreign_routes() if routes_wanted else ForeignRoutes()
        admitted = admit(desired, observed, foreign, self._limits.named)
        found = observed.overlaps if observed else await self._device.overlaps()
        stepped, given_up = stepped_aside(admitted.target, self._limits.mesh, found)
        current = observed.listen_port if observed else 0
        busy = frozenset[int]() if current == desired.listen_port else await self._device.busy_ports()
        ports = candidate_ports(desired.listen_port, current, self.stored_port, busy, desired.reserved_ports)
        target = replace(stepped, listen_port=next(ports))
        return _Decision(
            target,
            plan(target, observed, now),
            limited.refused + admitted.refused + given_up,
            failures + limited.failures,
            limited.remarks,
            ports,
        )

    async def _apply(self, action: Action, further_ports: Iterator[int], progress: _Progress) -> None:
        if isinstance(action, AddRoute) and action.public_key in progress.failed_keys:
            return
        if isinstance(action, AddMeshRoute) and action.network.version in progress.lacking_versions:
            return
        try:
            if isinstance(action, SetListenPort):
                action = await self._listen(action, further_ports)
            else:
                await self._device.apply(action)
        except DeviceGone:
            raise
        except MeshError as error:
            if isinstance(action, CreateDevice):
                raise
            _record(action, error, progress)
        else:
            progress.done.append(action.describe())

    async def _listen(self, action: SetListenPort, further_ports: Iterator[int]) -> SetListenPort:
        while True:
            try:
                await self._device.apply(action)
            except PortBusy:
                action = SetListenPort(next(further_ports))
            else:
                return action


def _record(action: Action, error: MeshError, progress: _Progress) -> None:
    if isinstance(action, AddAddress):
        progress.lacking_versions.add(action.address.version)
    if isinstance(action, SetPeer | RemovePeer | AddRoute):
        progress.failures.append(PeerFailure(action.public_key, str(error)))
        progress.failed_keys.add(action.public_key)
    elif isinstance(error, NotSupported) or isinstance(action, SetGuard):  # the device works without its guard
        progress.skipped.append(str(error))
    else:
        progress.error = progress.error or error
