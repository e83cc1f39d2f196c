"""Everything that is done to the device of this process, one thing at a time, and what is known of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from wgmesh.core.errors import MeshError, PermissionDenied
from wgmesh.core.model import ApplyOutcome, DesiredDevice, DevicePlan, DeviceSnapshot, Identity, ObservedDevice
from wgmesh.runtime import telemetry
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.remarks import Remarks
from wgmesh.runtime.snapshots import SnapshotCell
from wgmesh.wireguard.identity_file import StoredIdentity
from wgmesh.wireguard.io.backend import LinuxDevice
from wgmesh.wireguard.io.identity_store import IdentityStore
from wgmesh.wireguard.limits import Limits
from wgmesh.wireguard.pace import same_but_counters
from wgmesh.wireguard.reconciler import Reconciler, Turn
from wgmesh.wireguard.silence import SilenceMemory

# Bytes alone wake nobody more often: liveness asks whether they grew in minutes, and in a mesh that comes up each turn
# of the node looks at all peers. An idle device is looked at more rarely still (pace.py).
COUNTERS_EVERY_S = 5.0

_tracer = telemetry.tracer("wgmesh.wireguard")


class DeviceController:
    """Owns the device, its identity and the published snapshot. `changed` is set after each apply that did something.

    Its methods raise what Device raises.
    """

    def __init__(
        self, device: LinuxDevice, store: IdentityStore, stored: StoredIdentity, limits: Limits, log: BoundLogger
    ) -> None:
        self._device = device
        self._store = store
        self._stored = stored
        self._log = log
        self._reconciler = Reconciler(device, stored.public_key, stored.listen_port, limits)
        self._turn = asyncio.Lock()  # netlink answers of two askers would mix, and turns must not interleave
        self._remarks = Remarks[str](time.monotonic())
        self._silence = SilenceMemory()
        self._unstored = ""
        self._looked_at: float | None = None
        self._published_at = 0.0
        self.snapshots = SnapshotCell(DeviceSnapshot(0, self._identity()))
        self.changed = asyncio.Event()

    async def apply(self, desired: DesiredDevice) -> ApplyOutcome:
        """Brings the device to the desired state, stores addresses and port, and publishes what came out."""
        async with self._turn:
            with _tracer.start_as_current_span("device.apply", attributes={"peers": len(desired.peers)}) as span:
                turn = await self._reconciler.turn(desired, time.time(), self.snapshots.value.device)
                outcome = turn.outcome
                span.set_attribute("actions", len(outcome.actions))
                span.set_attribute("refused_routes", len(outcome.refused_routes))
                span.set_attribute("peer_failures", len(outcome.peer_failures))
            self._remember(desired)
            outcome = replace(outcome, device=self._judged(outcome.device))
            self._publish(outcome.device, at_once=True)
        if outcome.actions:
            self.changed.set()
            self._say_changed(turn, len(desired.peers))
        self._say(outcome, turn.skipped)
        return outcome

    async def refuse_to_overlap(self) -> None:
        """Raises InvalidSetting where the mesh's networks would be laid over what the host uses already."""
        async with self._turn:
            await self._reconciler.refuse_to_overlap()

    @property
    def is_curious(self) -> bool:
        """Whether the next look is worth more than others, because a peer has to answer."""
        return self._silence.is_curious(time.time())

    def note_trouble(self, problem: str) -> None:
        """Publishes that the device could not be looked at, beside what was last seen of it."""
        last = self.snapshots.value
        if last.problems != (problem,):
            trouble = replace(last, revision=last.revision + 1, problems=(problem,), observed_at=self._looked_at)
            self.snapshots.publish(trouble)

    async def preview(self, desired: DesiredDevice) -> DevicePlan:
        """Says what `apply` would do, and why. What it sees of the device is not published, so it starts no turn."""
        async with self._turn:
            return await self._reconciler.preview(desired, time.time())

    async def remove(self) -> None:
        """Removes the device with all it has."""
        async with self._turn:
            await self._reconciler.remove()
            self._publish(None, at_once=True)

    async def forget_sources(self) -> None:
        """Makes the device choose again which address of this host it sends from.

        A userspace program keeps to the one that it last received on, 15 s longer than the host has it: setting the
        endpoint again is what makes it forget. The kernel checks before it sends.
        """
        async with self._turn:
            try:
                known = self.snapshots.value.device
                if known is not None:  # what has come until now was not yet an answer from the new place
                    self._publish(self._judged(await self._device.refresh(known)), at_once=False)
                self._silence.note_move(time.time())
                self.changed.set()  # whether the paths still work is to be seen soon
                await self._reconciler.set_endpoints_again(self.snapshots.value.device)
            except MeshError as error:
                self._log.warning("own addresses not chosen again", reason=str(error))

    async def look(self, *, full: bool) -> None:
        """Looks at the device and publishes what changed."""
        async with self._turn:
            last = self.snapshots.value.device
            seen = await self._device.observe() if full or last is None else await self._device.refresh(last)
            self._publish(self._judged(seen), at_once=False)
        if full:
            self._put_identity_back()

    def _put_identity_back(self) -> None:
        try:
            self._store.put_back()
        except PermissionDenied as error:
            if str(error) != self._unstored:
                self._log.warning("identity not stored", reason=str(error))
            self._unstored = str(error)
        else:
            self._unstored = ""

    def _judged(self, device: ObservedDevice | None) -> ObservedDevice | None:
        """What was seen, with what follows from it and from the looks before."""
        self._looked_at = time.time()
        if device is None:
            return None
        return replace(device, peers=self._silence.observe(device.peers, self._looked_at))

    def _publish(self, device: ObservedDevice | None, *, at_once: bool) -> None:
        last = self.snapshots.value
        identity = self._identity()
        if last.revision and device == last.device and identity == last.identity and not last.problems:
            return
        now = time.monotonic()
        at_once = at_once or bool(last.problems)
        if not at_once and same_but_counters(device, last.device) and now - self._published_at < COUNTERS_EVERY_S:
            return
        self._published_at = now
        self.snapshots.publish(DeviceSnapshot(last.revision + 1, identity, device))

    def _identity(self) -> Identity:
        return Identity(self._stored.public_key, self._stored.mesh_ipv4, self._stored.mesh_ipv6)

    def _remember(self, desired: DesiredDevice) -> None:
        """Stores what the next life starts with. A full or read-only disk costs only that."""
        ipv4 = next((a.ip for a in desired.addresses if isinstance(a, IPv4Interface)), self._stored.mesh_ipv4)
        ipv6 = next((a.ip for a in desired.addresses if isinstance(a, IPv6Interface)), self._stored.mesh_ipv6)
        self._stored = replace(self._stored, mesh_ipv4=ipv4, mesh_ipv6=ipv6, listen_port=self._reconciler.stored_port)
        try:
            self._store.save(self._stored)
        except PermissionDenied as error:
            self._log.warning("identity not stored", reason=str(error))

    def _say_changed(self, turn: Turn, peers: int) -> None:
        """Who the peers are is up to them, and discovery tells of each."""
        actions = len(turn.outcome.actions)
        if turn.only_peers:
            self._log.debug("peers changed", actions=actions, peers=peers)
        else:
            self._log.info("device changed", actions=actions, peers=peers)

    def _say(self, outcome: ApplyOutcome, skipped: tuple[str, ...]) -> None:
        """Logs every refusal and failure once, not at each turn that finds it again."""
        sentences = [*skipped]
        sentences += [f"Route {route.network} was refused: {route.reason}" for route in outcome.refused_routes]
        sentences += [f"Peer {fault.public_key.short}: {fault.reason}" for fault in outcome.peer_failures]
        for sentence, unsaid in self._remarks.new(sentences, time.monotonic()):
            self._log.warning("device incomplete", reason=sentence, others=unsaid)
