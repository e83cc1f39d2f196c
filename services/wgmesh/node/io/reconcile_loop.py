"""The turns of the node: look at everything, compose, apply, tell. A change only says that it is time for a turn."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from wgmesh.client.discovery import DiscoveryClient
from wgmesh.client.nat import NatClient
from wgmesh.client.wireguard import APPLY_TIMEOUT_S, WireGuardClient
from wgmesh.core.backoff import delays
from wgmesh.core.errors import MeshError, NotReady
from wgmesh.core.model import (
    ApplyOutcome,
    IPNetwork,
    ObservedDevice,
    PathsSnapshot,
    PeersSnapshot,
    RefusedRoute,
    SelfDescription,
)
from wgmesh.node.composition import Composer, Composition, World
from wgmesh.node.forecast import Forecast
from wgmesh.node.health import Health, HealthMemory, Needs
from wgmesh.node.io.join_traces import JoinTraces
from wgmesh.node.io.measurements import Measurements
from wgmesh.node.journal import Journal
from wgmesh.node.last_applied import QUIET_TURN_S, LastApplied
from wgmesh.node.own_name import renamed
from wgmesh.node.settings import NodeSettings
from wgmesh.node.status import Picture
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.log_lines import REPEAT_KEY
from wgmesh.runtime.remarks import Remarks
from wgmesh.runtime.service import Shell
from wgmesh.runtime.snapshots import SnapshotCell

COALESCE_S = 0.03  # between two turns: a burst of news is one turn, and a lone piece of news waits for nothing
COALESCE_PEER_S = 0.006  # the same for each peer: a turn looks at all of them, and more of them have more news
RETRY_S = 0.3  # after a failed call: a killed service is back in less than a second
RETRY_MAX_S = 5.0  # what fails for long is tried so often: a hand that mends the device is seen by the watch at once
PLAN_SHARE = 0.8  # of the caller's patience: a process that hangs is named before he gives up


@dataclass(frozen=True, slots=True)
class Clients:
    """The other services."""

    wireguard: WireGuardClient
    discovery: DiscoveryClient
    nat: NatClient


class ReconcileLoop:
    """Owns the latest snapshots and the picture made of them. `started_at` is steady time, as all times here."""

    def __init__(self, shell: Shell, settings: NodeSettings, clients: Clients, started_at: float) -> None:
        self._shell = shell
        self._settings = settings
        self._clients = clients
        self._due = asyncio.Event()
        self._world: World | None = None
        self._peers = PeersSnapshot()
        self._paths = PathsSnapshot()
        self._composer: Composer | None = None
        self._intent = LastApplied()
        self._outcome = ApplyOutcome()
        self._turn_problem = self._discovery_problem = ""
        self._device_problems: tuple[str, ...] = ()
        self._device_looked_at: float | None = None
        self._health = HealthMemory(started_at)
        self._retries = _retries()
        self._journal = Journal(time.monotonic())
        self._is_up = False
        self._failures = Remarks[str](time.monotonic())
        self._refusals = Remarks[RefusedRoute](time.monotonic())
        self._journeys = JoinTraces()
        self._measurements = Measurements(shell.is_separated, self.health)
        self.advertised: tuple[IPNetwork, ...] = settings.advertise_routes
        self.hostname = settings.hostname
        self.pictures: SnapshotCell[Picture | None] = SnapshotCell(None)

    def advertise(self, networks: tuple[IPNetwork, ...]) -> None:
        """Advertises `networks` from the next turn on, which is due at once."""
        self.advertised = networks
        self._due.set()

    async def plan(self, within_s: float | None = None) -> Forecast:
        """Says what a turn would do if it were taken now. Changes nothing, here and on the device.

        `within_s` is how long the caller waits; None is no limit of his.
        Raises NotReady, and what looking at the device raises.
        """
        if self._world is None or self._composer is None or not self._clients.wireguard.connected:
            raise NotReady(
                "The wireguard process of this node does not answer, so there is nothing to plan with. "
                "It is started again by itself; try again in a moment, and see the log if that does not help."
            )
        timeout_s = APPLY_TIMEOUT_S if within_s is None else PLAN_SHARE * within_s
        now, composer = CLOCK.now(), self._composer
        world = replace(self._world, peers=self._peers, paths=self._paths)
        composition = composer.preview(world, now)
        plan = await self._clients.wireguard.plan_device(composition.device, timeout_s)
        if plan.device != world.device:  # the turn that is due when the node sees this device composes with it
            world = replace(world, device=plan.device)
            composition = composer.preview(world, now)
            plan = await self._clients.wireguard.plan_device(composition.device, timeout_s)
        return Forecast(world, composition, plan, self._problems(), self._outcome.peer_failures)

    def _problems(self) -> tuple[str, ...]:
        """What may keep a plan from being carried out, or from being what it will be then."""
        problem = self._turn_problem or self._discovery_problem
        found = [f"The last turn failed: {each}" for each in ((problem,) if problem else self._device_problems)]
        if not self._clients.discovery.connected:
            found.append(
                "The discovery process of this node does not answer: the plan is made with what it said last, "
                "or without any peers if it has said nothing."
            )
        return tuple(found)

    def health(self) -> Health:
        """Whether this node can do its work at this moment: judged from what is observed, also between two turns."""
        clients, now = self._clients, CLOCK.now()
        if clients.wireguard.connected and self._world is not None and not self._device_problems:
            self._device_looked_at = now  # what the watch has not told has not changed
        needs = Needs(
            services=self._services(),
            has_picture=self.pictures.value is not None,
            device_problems=self._device_problems,
            turn_problem=self._turn_problem,
            discovery_problem=self._discovery_problem,
            peer_failures=self._outcome.peer_failures,
            layers=self._peers.layers,
        )
        return self._health.judge(needs, self._device_looked_at, now)

    def _services(self) -> Mapping[str, bool]:
        clients = self._clients
        return {
            "wireguard": clients.wireguard.connected,
            "discovery": clients.discovery.connected,
            "nat": clients.nat.connected,
        }

    async def run(self) -> None:
        """Takes turns until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_device())
            tasks.create_task(self._follow_peers())
            tasks.create_task(self._follow_paths())
            tasks.create_task(self._take_turns())

    async def _follow_device(self) -> None:
        async for snapshot in self._clients.wireguard.watch_device():
            if self._composer is None:
                self._composer = Composer(self._settings, snapshot.identity.public_key)
            self._world = World(snapshot.identity, snapshot.device)
            self._outcome = replace(  # the wireguard process takes turns by itself where the host has changed
                self._outcome, refused_routes=snapshot.refused_routes, peer_failures=snapshot.peer_failures
            )
            self._device_problems = snapshot.problems
            if snapshot.problems:
                self._device_looked_at = snapshot.observed_at
            self._due.set()

    async def _follow_peers(self) -> None:
        async for snapshot in self._clients.discovery.watch_peers():
            self._peers = snapshot
            self._due.set()

    async def _follow_paths(self) -> None:
        async for snapshot in self._clients.nat.watch_paths():
            self._paths = snapshot
            self._due.set()

    async def _take_turns(self) -> None:
        async for _ in self._turn_times():
            if self._world is None or self._composer is None:
                continue
            await self._turn(self._composer, replace(self._world, peers=self._peers, paths=self._paths))

    async def _turn_times(self) -> AsyncIterator[None]:
        while True:
            with suppress(TimeoutError):  # a turn may be due by time, not by a change
                async with asyncio.timeout(self._wait_s()):  # wait_for of Python 3.11 may swallow a cancellation
                    await self._due.wait()
            self._due.clear()
            started = time.perf_counter()
            yield
            self._measurements.turn_took(time.perf_counter() - started)
            await asyncio.sleep(self._coalesce_s())

    def _coalesce_s(self) -> float:
        picture = self.pictures.value
        next_at = picture.composition.next_at if picture else None
        if next_at is not None and next_at <= CLOCK.now():
            return 0.0  # a peer was left out and must be put back at once
        return min(COALESCE_S + COALESCE_PEER_S * len(self._peers.peers), RETRY_S)

    def _wait_s(self) -> float:
        if self._turn_problem or self._discovery_problem:
            return next(self._retries)
        picture = self.pictures.value
        next_at = picture.composition.next_at if picture else None
        return QUIET_TURN_S if next_at is None else min(max(next_at - CLOCK.now(), 0.0), QUIET_TURN_S)

    async def _turn(self, composer: Composer, world: World) -> None:
        """Does what can be done, and publishes what was observed and what went wrong, whatever that is."""
        now = CLOCK.now()
        self._follow_host_name()
        composition = composer.compose(world, now)
        self._journeys.follow(world.peers.peers, composition.verdicts)
        self._say_peers(world, composition)
        problem = ""
        if self._intent.must_apply(composition.device, world.device, now):
            try:
                world = replace(world, device=await self._apply(composition, now))
            except MeshError as error:
                problem = str(error)
        self._turn_problem = problem  # what went wrong last holds until the next try has ended
        self._publish(world, composition)
        problem = ""
        try:
            description = composer.describe(world, composition.addresses, self.advertised, self.hostname)
            await self._tell(description, composition, now)
        except MeshError as error:
            problem = str(error)
        self._discovery_problem = problem
        self._note_problems()

    def _note_problems(self) -> None:
        problems = [problem for problem in (self._turn_problem, self._discovery_problem) if problem]
        if not problems:
            self._retries = _retries()
        for problem, unsaid in self._failures.new(problems, time.monotonic()):
            self._shell.log.warning("turn failed", reason=problem, others=unsaid)

    def _say_peers(self, world: World, composition: Composition) -> None:
        peers = {peer.public_key: peer for peer in world.peers.peers}
        for remark in self._journal.remarks(peers, composition.verdicts, time.monotonic()):
            key, whom = remark.peer.public_key.short, remark.peer
            once = {REPEAT_KEY: f"peer {key}"}  # the journal has its own rate
            address = str(whom.mesh_ipv4)
            if remark.is_connected:
                layers = list(whom.discovery_methods)
                self._shell.log.info(
                    "peer connected", peer=key, hostname=whom.hostname, address=address, layers=layers, **once
                )
            else:
                self._shell.log.info(
                    "peer suspect", peer=key, hostname=whom.hostname, address=address, reason=remark.reason, **once
                )

    def _follow_host_name(self) -> None:
        """Takes the host's name as it is now, which costs a turn nothing, unless the operator has chosen another."""
        if not self._settings.follows_host_name:
            return
        name = renamed(self.hostname, socket.gethostname(), self.advertised)
        if name != self.hostname:
            self._shell.log.info("host name changed", hostname=name, before=self.hostname)
            self.hostname = name

    async def _apply(self, composition: Composition, now: float) -> ObservedDevice | None:
        with self._journeys.context(composition.device.peers):
            outcome = await self._clients.wireguard.apply_device(composition.device)
        self._intent.applied(composition.device, outcome.device, now)
        if self._world is not None:
            self._world = replace(self._world, device=outcome.device)
        for failure in set(outcome.peer_failures) - set(self._outcome.peer_failures):
            self._shell.log.warning("peer not configured", peer=failure.public_key.short, reason=failure.reason)
        self._outcome = outcome
        if outcome.actions:
            self._shell.log.debug("device changed", actions=list(outcome.actions))
        return outcome.device

    def _publish(self, world: World, composition: Composition) -> None:
        problem = self._turn_problem or next(iter(self._device_problems), "")
        picture = Picture(world, composition, self._outcome, self.advertised, self._services(), problem, self.hostname)
        refused_routes = [refused for refused in picture.refused_routes if not refused.is_waiting]
        for refused, unsaid in self._refusals.new(refused_routes, time.monotonic()):
            self._shell.log.warning(
                "route refused",
                network=str(refused.network),
                peer=refused.public_key.short,
                reason=refused.reason,
                others=unsaid,
            )
        if not self._is_up and world.device is not None and not problem:
            self._is_up = True
            own = composition.addresses
            self._shell.log.info(
                "node ready",
                public_key=world.identity.public_key.text,
                address=str(own.ipv4),
                port=world.device.listen_port,
            )
        self._measurements.show(picture)
        self.pictures.publish(picture)

    async def _tell(self, description: SelfDescription | None, composition: Composition, now: float) -> None:
        """Tells discovery who we are, what is proven and who is lost, if it does not know that already."""
        if description is None:
            return
        proofs, lost = composition.proofs, composition.lost
        if self._intent.must_tell(description, proofs, self._peers, now, lost):
            await self._clients.discovery.set_self(description, proofs, lost)
            self._intent.told(proofs, now, lost)


def _retries() -> Iterator[float]:
    return delays(RETRY_S, RETRY_MAX_S, random.random)
