"""The service behind its socket, beside a real wireguard service whose device is in memory, and which looks at it only
when it is asked: what a hand does to the device, the node does not see by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import grpc.aio
import pytest
from support.doubles.fake_device import FakeDevice
from support.doubles.fake_discovery import FakeDiscovery, fake_discovery
from support.waiting import PATIENCE_S, POLL_S
from wgmesh.client.node import DEFAULT_TIMEOUT_S, NodeClient
from wgmesh.core.addressing import derive_ipv4
from wgmesh.core.errors import DeviceUnavailable, NotReady, PermissionDenied
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Candidate, CandidateSource, Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.core.settings import PRIVATE_NETWORKS
from wgmesh.node.__main__ import main
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime import logs
from wgmesh.runtime.callers import CONTROL, socket_path
from wgmesh.runtime.rpc_server import serve_unix
from wgmesh.runtime.service import Shell
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.v1 import device_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2
from wgmesh.v1.wireguard_service_pb2_grpc import add_WireGuardServiceServicer_to_server
from wgmesh.wireguard.identity_file import StoredIdentity
from wgmesh.wireguard.io.backend import LinuxDevice
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.io.identity_store import IdentityStore
from wgmesh.wireguard.limits import Limits
from wgmesh.wireguard.plan import SetMtu
from wgmesh.wireguard.servicer import SERVICE_NAME, WireGuardServicer

SECRET = Secret.parse("wgmesh-node-service-test-secret")
KEYS = derive(SECRET)
OWN = PrivateKey(bytes([7] * 32))
LATER = PublicKey(bytes([0xCF] * 32))  # `z8/P...`: of two nodes the one with the lower key initiates, so this node
ENDPOINT = Endpoint.parse("192.0.2.7:51820")
ALICE = Peer(
    LATER,
    derive_ipv4(LATER, SECRET, KEYS),
    hostname="alice",
    candidates=(Candidate(ENDPOINT, CandidateSource.LAN, 0.0),),
    discovery_methods=("lan",),
    native=True,
    control_endpoint=ENDPOINT,
)
LIMITS = Limits((KEYS.default_ipv4_network, KEYS.ipv6_network), PRIVATE_NETWORKS, listen_port=51820, mtu=1420)

Kind = device_pb2.PlannedAction
ABLE = node_pb2.Health.STATE_DEGRADED  # there is no nat service beside this one


@dataclass
class Node:
    """A running node service and what is around it."""

    directory: Path
    device: FakeDevice
    controller: DeviceController
    discovery: FakeDiscovery
    stop_discovery: Callable[[], Awaitable[None]]
    stop_wireguard: Callable[[], Awaitable[None]]

    async def plan(self) -> node_pb2.PlanTurnResponse:
        return await plan(self.directory)

    async def plan_with_problems(self) -> node_pb2.PlanTurnResponse:
        """Asks until there are some."""
        async with asyncio.timeout(PATIENCE_S):
            while not (answer := await self.plan()).problems:
                await asyncio.sleep(POLL_S)
        return answer

    async def settled(self, is_wanted: Callable[[FakeDevice], bool]) -> None:
        """Waits until the turns have made of the device what is wanted."""
        async for _ in self.controller.snapshots.watch():
            if is_wanted(self.device):
                return

    async def mended(self) -> None:
        """Takes turns as the watch of the wireguard process does, until nothing is wrong with the device."""
        async with asyncio.timeout(PATIENCE_S):
            while self.controller.snapshots.value.problems:
                await asyncio.sleep(min(self.controller.due_in_s(), PATIENCE_S))
                await self.controller.repair()

    async def connect_to_alice(self) -> None:
        """Waits until the node has seen the handshake, so that no turn is due by time."""
        self.discovery.peers.publish(replace(self.discovery.peers.value, peers=(ALICE,)))
        async with asyncio.timeout(PATIENCE_S):
            await self.settled(lambda device: LATER in device.peers)
            peer = self.device.peers[LATER]
            self.device.peers[LATER] = replace(peer, endpoint=ENDPOINT, handshake_at=time.time())
            await self.controller.look(full=True)
            async for proofs in self.discovery.proofs.watch():
                if proofs:
                    return


async def plan(directory: Path, patience_s: float = DEFAULT_TIMEOUT_S) -> node_pb2.PlanTurnResponse:
    """Asks as the command line does."""

    def ask() -> node_pb2.PlanTurnResponse:
        with NodeClient(socket_path(directory, "node", CONTROL), patience_s) as connection:
            return connection.plan_turn()

    return await asyncio.to_thread(ask)


async def test_a_device_as_it_should_be_needs_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        answer = await node.plan()

    assert answer == node_pb2.PlanTurnResponse()


async def test_what_a_hand_did_is_planned_with_its_reason_and_left_to_the_next_turn(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        lost = node.device.addresses.pop(0)
        node.device.mtu = 1300
        done, published = len(node.device.applied), node.controller.snapshots.value
        first, second = await node.plan(), await node.plan()
        assert node.device.applied[done:] == []
        assert node.controller.snapshots.value == published  # what the node watches: a turn would come of a change

    assert first == second
    assert [(action.what, action.why) for action in first.actions] == [
        ("set MTU 1420", "It is 1300."),
        (f"add address {lost}", "The interface does not have it."),
    ]


async def test_a_peer_that_was_removed_by_hand_comes_back_as_the_turn_that_sees_it_would_have_it(
    tmp_path: Path,
) -> None:
    """While it was connected, its endpoint was left to WireGuard; once it is gone, it needs one."""
    async with running(tmp_path) as node:
        await node.connect_to_alice()
        assert list((await node.plan()).actions) == []
        del node.device.peers[LATER]
        answer = await node.plan()

    (action,) = answer.actions
    assert (action.kind, action.public_key, action.hostname) == (Kind.KIND_ADD_PEER, LATER.raw, "alice")
    assert str(ENDPOINT) in action.what
    assert action.why == "The device does not have it."


async def test_a_peer_that_was_added_by_hand_is_removed_because_nobody_has_named_it(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        stranger = PublicKey(bytes([9] * 32))
        node.device.peers[stranger] = ObservedPeer(stranger)
        (action,) = (await node.plan()).actions

    assert (action.kind, action.public_key) == (Kind.KIND_REMOVE_PEER, stranger.raw)
    assert action.why.startswith("Discovery has never named it, and nothing proves its tunnel")


async def test_the_failure_of_the_last_turn_is_told_first(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        node.device.mtu = 1300
        node.device.faults = lambda action: (
            PermissionDenied("No CAP_NET_ADMIN.") if isinstance(action, SetMtu) else None
        )
        await node.controller.look(full=True)  # the node sees it, and takes a turn
        answer = await node.plan_with_problems()

    assert list(answer.problems) == ["The last turn failed: Set MTU 1420: No CAP_NET_ADMIN."]
    assert [action.kind for action in answer.actions] == [Kind.KIND_SET_MTU]


async def test_without_discovery_the_plan_says_what_it_was_made_with(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        await node.stop_discovery()
        answer = await node.plan_with_problems()

    (problem,) = answer.problems
    assert problem.startswith("The discovery process of this node does not answer")


async def test_without_the_wireguard_service_there_is_no_plan(tmp_path: Path) -> None:
    async with running(tmp_path) as node:
        await node.stop_wireguard()
        with pytest.raises(NotReady, match="wireguard process of this node does not answer"):
            await node.plan()


async def test_a_device_that_cannot_be_changed_is_the_first_thing_shown_and_newcomers_are_shown_too(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as node:
        assert (await look(tmp_path)).health.state == ABLE
        node.device.faults = lambda action: PermissionDenied("No CAP_NET_ADMIN.")
        node.device.mtu = 1300
        await node.controller.look(full=True)
        node.discovery.peers.publish(replace(node.discovery.peers.value, peers=(ALICE,)))
        failing = await look_until(tmp_path, node_pb2.Health.STATE_FAILING, peers=1)
        node.device.faults = lambda action: None
        await node.mended()
        healed = await look_until(tmp_path, ABLE, peers=1)

    assert failing.health.reason == "Set MTU 1420: No CAP_NET_ADMIN."
    assert failing.health.advice
    (newcomer,) = failing.peers
    assert newcomer.hostname == "alice"
    assert newcomer.state == node_pb2.PeerStatus.STATE_REFUSED
    assert "No CAP_NET_ADMIN." in newcomer.reason
    assert "nat process" in healed.health.reason


async def test_a_device_that_cannot_be_looked_at_makes_the_node_fail_at_once_with_the_age_of_what_is_shown(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as node:
        await node.controller.look(full=True)
        node.device.trouble = DeviceUnavailable("The kernel said EBUSY.")
        await node.controller.repair()
        failing = await look_until(tmp_path, node_pb2.Health.STATE_FAILING)
        node.device.trouble = None
        await node.mended()
        await look_until(tmp_path, ABLE)

    assert failing.health.reason == "The kernel said EBUSY."
    assert failing.health.HasField("look_time")


async def test_without_its_wireguard_process_the_node_fails_and_without_discovery_it_is_degraded(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as node:
        await node.stop_discovery()
        degraded = await look_until(tmp_path, node_pb2.Health.STATE_DEGRADED)
        await node.stop_wireguard()
        failing = await look_until(tmp_path, node_pb2.Health.STATE_FAILING)

    assert "discovery process" in degraded.health.reason
    assert "wireguard process" in failing.health.reason


async def look(directory: Path) -> node_pb2.ListPeersResponse:
    """Asks as `wgmesh peers list` does."""

    def ask() -> node_pb2.ListPeersResponse:
        with NodeClient(socket_path(directory, "node", CONTROL)) as connection:
            return connection.look_at_peers()

    return await asyncio.to_thread(ask)


async def look_until(directory: Path, state: int, peers: int = 0) -> node_pb2.ListPeersResponse:
    """Asks until the node is as able as that and shows so many peers."""
    async with asyncio.timeout(PATIENCE_S):
        while (seen := await look(directory)).health.state != state or len(seen.peers) != peers:
            await asyncio.sleep(POLL_S)
    return seen


@pytest.mark.parametrize("patience_s", [2.5, 7.5])
async def test_a_wireguard_process_that_hangs_is_named_before_the_caller_gives_up(
    tmp_path: Path, patience_s: float
) -> None:
    async with running(tmp_path) as node:
        node.device.answers.clear()
        began_at = time.monotonic()
        with pytest.raises(NotReady, match="the wireguard process has not answered in time"):
            await plan(tmp_path, patience_s)
        waited_s = time.monotonic() - began_at
        node.device.answers.set()

    assert waited_s >= patience_s / 2  # and it has been waited for


async def test_before_the_wireguard_service_answers_there_is_no_plan(tmp_path: Path) -> None:
    async with node_service(tmp_path):
        with pytest.raises(NotReady, match="wireguard process of this node does not answer"):
            await plan(tmp_path)


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Node]:
    """Runs the service with its neighbours until the first turn has made the device."""
    device = FakeDevice()
    stored = StoredIdentity(OWN)
    store = IdentityStore(directory, "wg0")
    controller = DeviceController(cast(LinuxDevice, device), store, stored, LIMITS, logs.logger())
    servicer = WireGuardServicer(controller, OWN)

    def register(server: grpc.aio.Server) -> None:
        add_WireGuardServiceServicer_to_server(servicer, server)

    async with AsyncExitStack() as wireguard, AsyncExitStack() as beside, node_service(directory):
        path = socket_path(directory, "wireguard", "node")
        await wireguard.enter_async_context(serve_unix(path, register, [SERVICE_NAME]))
        discovery = await beside.enter_async_context(fake_discovery(directory, "node"))
        node = Node(directory, device, controller, discovery, beside.aclose, wireguard.aclose)
        async with asyncio.timeout(PATIENCE_S):
            await node.settled(lambda device: device.up)
            async for snapshot in discovery.peers.watch():  # the turn ends with that
                if snapshot.description is not None:
                    break
        yield node


@asynccontextmanager
async def node_service(directory: Path) -> AsyncIterator[None]:
    ready = asyncio.Event()
    shell = Shell(RuntimeSettings("node", "wg0", directory), ready.set)
    settings = NodeSettings(SECRET, KEYS, "wg0", "self", directory, listen_port=51820, mtu=1420)
    service = asyncio.ensure_future(main(shell, settings))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await ready.wait()
        yield
    finally:
        shell.stopping.set()
        await asyncio.wait_for(service, PATIENCE_S)
