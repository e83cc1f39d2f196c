"""One turn of the device: observe, admit, plan, apply. Remembers the port of an earlier life, and what did not last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from wgmesh.core.device_plan import DevicePlan
from wgmesh.core.errors import InvalidSetting, MeshError, NotSupported
from wgmesh.core.model import ApplyOutcome, DesiredDevice, ObservedDevice, PeerFailure, PublicKey, RefusedRoute
from wgmesh.wireguard.admission import ForeignRoutes, admit
from wgmesh.wireguard.device import KERNEL, Device, DeviceGone, PortBusy
from wgmesh.wireguard.disputes import Disputes, Undone
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
    plan_creation,
    plan_removal,
)
from wgmesh.wireguard.ports import candidate_ports
from wgmesh.wireguard.reasons import Reasons
from wgmesh.wireguard.ways import astray, questions


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did. `skipped` are sentences about what this host cannot do, for the log.

    `only_peers`: nothing was done to the interface, its addresses or routes. `again_at` (monotonic seconds) is when a
    step that did not last, or failed, may be taken again.
    """

    outcome: ApplyOutcome
    skipped: tuple[str, ...] = ()
    only_peers: bool = False
    again_at: float | None = None


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
    refused: list[RefusedRoute] = field(default_factory=list)
    failures: list[PeerFailure] = field(default_factory=list)
    failed_keys: set[PublicKey] = field(default_factory=set)
    lacking_versions: set[int] = field(default_factory=set)  # IP versions of which the device could get no address
    skipped: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    again_at: float | None = None

    def rules_out(self, step: Action) -> bool:
        """Whether a step makes no sense after what has failed."""
        if isinstance(step, AddRoute):
            return step.public_key in self.failed_keys
        return isinstance(step, AddMeshRoute) and step.network.version in self.lacking_versions

    def record(self, step: Action, reason: MeshError, until: float | None) -> None:
        """Puts what a step came to where it belongs; `until` is when it may be taken again."""
        if until is not None:
            self.again_at = until if self.again_at is None else min(until, self.again_at)
        if isinstance(step, AddAddress) and not isinstance(reason, Undone):
            self.lacking_versions.add(step.address.version)
        if isinstance(step, AddRoute):
            self.refused.append(RefusedRoute(step.network, step.public_key, str(reason)))
        elif isinstance(step, SetPeer | RemovePeer) and not isinstance(reason, Undone):
            self.failures.append(PeerFailure(step.public_key, str(reason)))
            self.failed_keys.add(step.public_key)
        elif isinstance(reason, NotSupported) or (isinstance(step, SetGuard) and not isinstance(reason, Undone)):
            self.skipped.append(str(reason))  # of the guard the look tells as well
        else:
            self.problems.append(_about(step, reason))


class Reconciler:
    """Brings one device to the desired state, within its limits. The caller runs one turn at a time."""

    def __init__(self, device: Device, own_key: PublicKey, stored_port: int | None, limits: Limits) -> None:
        self._device = device
        self._limits = limits
        self._own_key = own_key
        self._disputes = Disputes()
        self._astray: tuple[str, ...] = ()
        self.stored_port = stored_port
        self._insists_on_port = limits.is_port_chosen  # at the start of a life: later a move would disturb the tunnels

    async def preview(self, desired: DesiredDevice, now: float) -> DevicePlan:
        """Looks at everything and says what `turn` would do, and why. Raises like Device."""
        observed = await self._device.observe()
        decision = await self._decide(desired, observed, now)
        reasons = Reasons(decision.target, observed, decision.refused, desired.listen_port, now)
        actions = tuple(reasons.explained(action) for action in decision.actions)
        return DevicePlan(actions, decision.refused, decision.failures, observed)

    async def turn(
        self, desired: DesiredDevice, now: float, known: ObservedDevice | None = None, monotonic: float = 0.0
    ) -> Turn:
        """Applies what is missing. `now` is steady time, as the handshakes that are observed.

        `monotonic` is that of the disputes.

        `known` is what a full look of the last seconds saw: then only WireGuard's own part is looked at again, which
        costs a thirtieth of a full look. Many peers that come at once make as many turns.

        What fails, or does not last, is reported alone and all else is still set: a route as a refused one, a peer as
        its failure, what belongs to the interface as a problem. Raised is only that there is no device of ours that
        can be looked at, or none can be made: DeviceUnavailable, PermissionDenied, InterfaceTaken, NotSupported.
        """
        observed = await self._device.refresh(known) if known else await self._device.observe()
        decision = await self._decide(desired, observed, now)
        progress = _Progress(list(decision.refused), list(decision.failures), skipped=list(decision.remarks))
        done: list[Action] = []
        for action in decision.actions:
            taken = await self._apply(action, decision.further_ports, progress, monotonic)
            done += [taken] if taken else []
        only_peers = all(isinstance(action, SetPeer | RemovePeer) for action in done)
        device = await self._device.refresh(observed) if observed and only_peers else await self._device.observe()
        if device is not None:
            self.stored_port = device.listen_port or self.stored_port
            self._insists_on_port = self._insists_on_port and not device.listen_port
        if known is None:
            self._astray = await self._gone_astray(device)
        outcome = ApplyOutcome(
            tuple(action.describe() for action in done),
            tuple(progress.refused),
            tuple(progress.failures),
            device,
            (*progress.problems, *self._astray),
        )
        return Turn(outcome, tuple(progress.skipped), only_peers, progress.again_at)

    async def _gone_astray(self, device: ObservedDevice | None) -> tuple[str, ...]:
        if device is None:
            return ()
        return astray(device, await self._device.ways(questions(device).values()))

    async def prepare(self) -> None:
        """Makes sure that there is a device, be it bare.

        Raises like Device, and InvalidSetting where there is none yet and the host uses the mesh's networks already. A
        device of an earlier life is at work: it steps aside instead.
        """
        observed = await self._device.observe()
        if observed is None:
            found = await self._device.overlaps()
            problem = refusal(found, self._limits.mesh, self._limits.is_mesh_named)
            if problem:
                raise InvalidSetting("--mesh-subnet", problem)
        for action in plan_creation(observed):
            await self._device.apply(action)

    async def set_endpoints_again(self, known: ObservedDevice | None) -> None:
        """Sets the endpoint of each peer to what it is, in a userspace device. Raises like Device."""
        if known is None or known.backend == KERNEL:
            return
        seen = await self._device.refresh(known)
        for peer in seen.peers if seen else ():
            if peer.endpoint is not None:
                await self._device.apply(SetPeer(peer.public_key, endpoint=peer.endpoint))

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
        ports = candidate_ports(
            desired.listen_port, current, self.stored_port, busy, desired.reserved_ports, self._insists_on_port
        )
        target = replace(stepped, listen_port=next(ports))
        return _Decision(
            target,
            plan(target, observed, now),
            limited.refused + admitted.refused + given_up,
            failures + limited.failures,
            limited.remarks,
            ports,
        )

    async def _apply(
        self, action: Action, further_ports: Iterator[int], progress: _Progress, monotonic: float
    ) -> Action | None:
        """Takes one step. Returns it as it was taken, and None where it was not."""
        if progress.rules_out(action):
            return None
        taken: Action | None = None
        objection = self._disputes.objection(action, monotonic)
        if objection is None:
            try:
                taken = await self._listen(action, further_ports) if isinstance(action, SetListenPort) else action
                if not isinstance(action, SetListenPort):
                    await self._device.apply(action)
            except DeviceGone:
                raise
            except MeshError as error:
                taken, objection = None, error
                self._disputes.failed(action, error, monotonic)
            else:
                objection = self._disputes.done(action, monotonic)
        if objection is not None:
            if isinstance(action, CreateDevice) and taken is None:
                raise objection
            progress.record(action, objection, self._disputes.until(action))
        return taken

    async def _listen(self, action: SetListenPort, further_ports: Iterator[int]) -> SetListenPort:
        while True:
            try:
                await self._device.apply(action)
            except PortBusy:
                action = SetListenPort(next(further_ports))
            else:
                return action


def _about(step: Action, reason: MeshError) -> str:
    what = step.describe()
    return f"{what[0].upper()}{what[1:]}: {reason}"
