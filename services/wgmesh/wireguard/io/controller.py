"""Everything that is done to the device of this process, one thing at a time, and what is known of it."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface

from wgmesh.core.device_plan import DevicePlan
from wgmesh.core.errors import DeviceUnavailable, InterfaceTaken, MeshError, NotSupported, PermissionDenied
from wgmesh.core.model import ApplyOutcome, DesiredDevice, DeviceSnapshot, Identity, ObservedDevice
from wgmesh.core.pauses import Pauses
from wgmesh.runtime import telemetry
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.remarks import Remarks
from wgmesh.runtime.snapshots import SnapshotCell
from wgmesh.wireguard.identity_file import StoredIdentity
from wgmesh.wireguard.io.backend import LinuxDevice
from wgmesh.wireguard.io.identity_store import IdentityStore
from wgmesh.wireguard.limits import Limits
from wgmesh.wireguard.pace import same_but_counters, same_settings
from wgmesh.wireguard.reconciler import Reconciler, Turn
from wgmesh.wireguard.silence import SilenceMemory

# Bytes alone wake nobody more often: liveness asks whether they grew in minutes, and in a mesh that comes up each turn
# of the node looks at all peers. An idle device is looked at more rarely still (pace.py).
COUNTERS_EVERY_S = 5.0

CREATION_PAUSES_S = (0.1, 0.4)  # a program that ends at once for a passing reason gets this many more chances at start

FIRST_RETRY_S = 0.25  # of a turn that failed as a whole
LAST_RETRY_S = 30.0

_tracer = telemetry.tracer("wgmesh.wireguard")


class DeviceController:
    """Owns the device, its identity and the published snapshot. `changed` is set after each apply that did something.

    It keeps the last wish of the node, and takes a turn with it by itself when the host has changed: what others take
    from the device is back without the node's help, and what others claim is respected. Every turn publishes what was
    observed and what went wrong. Its methods raise what Device raises.
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
        self._published_at = 0.0
        self._wish: DesiredDevice | None = None
        self._failure: MeshError | None = None  # why the last turn or look failed as a whole
        self._retries: Pauses[str] = Pauses(FIRST_RETRY_S, LAST_RETRY_S, 1)
        self._looked_at: float | None = None
        self._again_at: float | None = None  # monotonic seconds: when to take a turn although nothing has changed
        self.snapshots = SnapshotCell(DeviceSnapshot(0, self._identity()))
        self.changed = asyncio.Event()

    async def apply(self, desired: DesiredDevice) -> ApplyOutcome:
        """Brings the device to the desired state, stores addresses and port, and publishes what came out."""
        async with self._turn:
            if self._failure and desired == self._wish and self.due_in_s() > 0:
                raise self._failure  # nothing has changed since
            self._wish = desired
            with _tracer.start_as_current_span("device.apply", attributes={"peers": len(desired.peers)}) as span:
                outcome = await self._take_turn(desired, None if self._failure else self.snapshots.value.device)
                span.set_attribute("actions", len(outcome.actions))
                span.set_attribute("refused_routes", len(outcome.refused_routes))
                span.set_attribute("peer_failures", len(outcome.peer_failures))
            self._remember(desired)
        return outcome

    async def prepare(self) -> None:
        """Makes sure that the device exists before anybody is served.

        Raises InterfaceTaken for an interface of others, InvalidSetting where the mesh's networks would be laid over
        what the host uses already, and NotSupported where no device can be made, with the words of the program that was
        to make it.
        """
        async with self._turn:
            for pause_s in (*CREATION_PAUSES_S, None):
                try:
                    await self._reconciler.prepare()
                    break
                except DeviceUnavailable as error:
                    if pause_s is None:
                        raise NotSupported(str(error)) from None
                    self._log.warning("device not made", reason=str(error))
                    await asyncio.sleep(pause_s)
            await self._look(full=True)

    async def repair(self) -> None:
        """Takes a turn with the last wish: the host has changed, or it is time. What goes wrong is published."""
        async with self._turn:
            try:
                if self._wish is None:
                    await self._look(full=True)
                else:
                    await self._take_turn(self._wish, None)
            except MeshError as error:
                self.say_once([str(error)])

    @property
    def is_curious(self) -> bool:
        """Whether the next look is worth more than others, because a peer has to answer."""
        return self._silence.is_curious(CLOCK.now())

    async def preview(self, desired: DesiredDevice) -> DevicePlan:
        """Says what `apply` would do, and why. What it sees of the device is not published, so it starts no turn."""
        async with self._turn:
            return await self._reconciler.preview(desired, CLOCK.now())

    async def remove(self) -> None:
        """Removes the device with all it has."""
        async with self._turn:
            try:
                await self._reconciler.remove()
            except InterfaceTaken as error:
                self._log.warning("interface of others left alone", reason=str(error))
                await self._device.release()
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
                self._silence.note_move(CLOCK.now())
                self.changed.set()  # whether the paths still work is to be seen soon
                await self._reconciler.set_endpoints_again(self.snapshots.value.device)
            except MeshError as error:
                self._log.warning("own addresses not chosen again", reason=str(error))

    async def look(self, *, full: bool) -> None:
        """Looks at the device and publishes what changed. `full`: at its addresses and routes as well."""
        async with self._turn:
            await self._look(full=full or self._failure is not None)
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
        self._looked_at = CLOCK.now()
        if device is None:
            return None
        return replace(device, peers=self._silence.observe(device.peers, self._looked_at))

    async def _look(self, *, full: bool) -> None:
        last = self.snapshots.value.device
        try:
            seen = await self._device.observe() if full or last is None else await self._device.refresh(last)
        except MeshError as error:
            self._fail(error, last)
            raise
        seen = self._judged(seen)
        if self._failure is not None or (self._wish is not None and not same_settings(seen, last)):
            self._reschedule(time.monotonic())  # what kept the last turn from its work is over, or a hand was on it
        if self._wish is None:
            self._failure = None
        self._publish(seen, at_once=False)

    async def _take_turn(self, wish: DesiredDevice, known: ObservedDevice | None) -> ApplyOutcome:
        try:
            turn = await self._reconciler.turn(wish, CLOCK.now(), known, time.monotonic())
        except MeshError as error:
            self._fail(error, await self._seen_after(error))
            raise
        outcome = replace(turn.outcome, device=self._judged(turn.outcome.device))
        self._failure = None
        self._reschedule(turn.again_at)
        self._retries.forget("turn")
        self._publish(outcome.device, at_once=True, outcome=outcome)
        if outcome.actions:
            self.changed.set()
            self._say_changed(turn, len(wish.peers))
        self._say(outcome, turn.skipped)
        return outcome

    async def _seen_after(self, error: MeshError) -> ObservedDevice | None:
        """The device as it is after a turn that failed; as it was last seen where it cannot be looked at."""
        last = self.snapshots.value.device
        if isinstance(error, InterfaceTaken):
            return last
        try:
            seen = await self._device.observe()
        except MeshError:  # the turn's own error tells more
            return last
        return self._judged(seen)

    def _fail(self, error: MeshError, seen: ObservedDevice | None) -> None:
        """Publishes what is there although a turn or a look has failed. "Could not look" is not "nothing there"."""
        self._failure = error
        self._retries.begin("turn", time.monotonic())
        if isinstance(error, InterfaceTaken):
            # What others have under the name is none of ours. That they leave is heard of.
            seen, self._looked_at = None, CLOCK.now()
            self._reschedule(None)
        else:
            self._reschedule(self._retries.until("turn"))
        self._publish(seen, at_once=True)

    def _reschedule(self, at: float | None) -> None:
        self._again_at = at
        if at is not None:
            self.changed.set()  # the wait for the next look is another one now

    def due_in_s(self) -> float:
        """Seconds until a turn is to be taken although nothing has changed."""
        return math.inf if self._again_at is None else max(0.0, self._again_at - time.monotonic())

    def _publish(self, device: ObservedDevice | None, *, at_once: bool, outcome: ApplyOutcome | None = None) -> None:
        last = self.snapshots.value
        problems = outcome.problems if outcome else last.problems if self._wish else ()
        problems = (str(self._failure),) if self._failure else problems
        found = DeviceSnapshot(
            last.revision,
            self._identity(),
            device,
            problems,
            outcome.refused_routes if outcome else last.refused_routes,
            outcome.peer_failures if outcome else last.peer_failures,
            self._looked_at if problems else None,
        )
        if last.revision and replace(found, observed_at=last.observed_at) == last:
            return
        now = time.monotonic()
        is_quiet = same_but_counters(device, last.device) and problems == last.problems
        if not at_once and is_quiet and now - self._published_at < COUNTERS_EVERY_S:
            return
        self._published_at = now
        self.snapshots.publish(replace(found, revision=last.revision + 1))

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
        sentences = [*skipped, *outcome.problems]
        sentences += [
            f"Route {route.network} was refused: {route.reason}"
            for route in outcome.refused_routes
            if not route.is_waiting
        ]
        sentences += [f"Peer {fault.public_key.short}: {fault.reason}" for fault in outcome.peer_failures]
        self.say_once(sentences)

    def say_once(self, sentences: list[str]) -> None:
        """Logs the sentences that are new since the last call."""
        for sentence, unsaid in self._remarks.new(sentences, time.monotonic()):
            self._log.warning("device not as wanted", reason=sentence, others=unsaid)
