"""Two labs on one machine, whose nodes share the TUN device and the directory of WireGuard's sockets."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path

import pytest
from support.host_places import HostPlaces, own_tun_device
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import CommandFailed
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.prerequisites import kernel_has_wireguard
from wgmesh.demo.waiting import wait_for

pytestmark = pytest.mark.skipif(kernel_has_wireguard(), reason="the kernel's WireGuard needs nothing of the host")

NODES_PER_LAB = 3
TURNS = 4
# A node asks for its access half a second after its start and gives it back a moment after its end. With these, of all
# that happens in a turn sometimes a start is the last, sometimes an end, and often both come together.
STARTS_WITHIN_S = 1.0
ENDS_WITHIN_S = 2.5
KILLED_SHARE = 0.25
READY_S = PATIENCE_S
DEVICE_S = PATIENCE_S
STOP_S = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Labs:
    """The nodes of both labs, and what they share."""

    first: list[MeshNode]
    second: list[MeshNode]
    places: HostPlaces
    tun: Path

    def start(self, node: MeshNode) -> None:
        node.process = node.host.spawn(*self.places.command(), *node.join_argv(), name=f"join-{node.interface}")

    def access(self) -> list[tuple[int, list[str]]]:
        return [(path.stat().st_mode, os.listxattr(path)) for path in (self.places.sockets, self.tun)]


@pytest.fixture
def second_fabric(real_tunnels: None) -> Iterator[Fabric]:
    with Fabric() as made:
        yield made


@pytest.fixture
def labs(fabric: Fabric, second_fabric: Fabric) -> Iterator[Labs]:
    run = fabric.directory / "shared"
    (run / "wireguard").mkdir(parents=True)
    with own_tun_device() as tun:
        # one directory of sockets for all, so every device has a name of its own
        places = HostPlaces(run, tun, shares_network=True)  # each node has that of its machine
        yield Labs(lab_nodes(fabric, 1), lab_nodes(second_fabric, 1 + NODES_PER_LAB), places, tun)


def test_a_node_can_make_its_device_again_after_one_of_another_lab_has_ended(labs: Labs) -> None:
    before = labs.access()
    ending, staying = labs.first[0], labs.second[0]
    for node in (ending, staying):
        labs.start(node)
        node.wait_until_ready(READY_S)

    ending.running_process().stop()
    make_it_again(staying)
    staying.running_process().stop()

    assert labs.access() == before


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_in_a_storm_of_starts_ends_and_kills_in_two_labs_every_node_can_make_its_device(labs: Labs, seed: int) -> None:
    chance = random.Random(seed)
    before = labs.access()
    starting, ending = labs.first, labs.second
    for node in ending:
        labs.start(node)
    for node in ending:
        node.wait_until_ready(READY_S)

    for _ in range(TURNS):
        starts = [(chance.uniform(0, STARTS_WITHIN_S), partial(labs.start, node)) for node in starting]
        ends = [(chance.uniform(0, ENDS_WITHIN_S), partial(end, chance, node)) for node in ending]
        carry_out([*starts, *ends])
        for node in ending:
            node.running_process().wait(STOP_S)
        for node in starting:
            node.wait_until_ready(READY_S)
            assert "children share user 0" not in node.running_process().output()
            make_it_again(node)
        starting, ending = ending, starting
    for node in ending:
        node.running_process().stop()

    assert labs.access() == before


def lab_nodes(fabric: Fabric, first: int) -> list[MeshNode]:
    secret = new_secret()
    names = [f"n{number}" for number in range(first, first + NODES_PER_LAB)]
    flags = ("--no-dht", "--no-stun")
    return [MeshNode(host, secret, *flags, interface=f"wg{host.name}") for host in fabric.add_hosts(names)]


def carry_out(actions: Sequence[tuple[float, Callable[[], None]]]) -> None:
    """Calls each at its moment, in seconds from the first call on."""
    started_at = time.monotonic()
    for moment, action in sorted(actions, key=itemgetter(0)):
        threading.Event().wait(max(0.0, started_at + moment - time.monotonic()))
        action()


def end(chance: random.Random, node: MeshNode) -> None:
    node.running_process().send(signal.SIGKILL if chance.random() < KILLED_SHARE else signal.SIGTERM)


def make_it_again(node: MeshNode) -> None:
    """Takes a node's device away; it must be able to make another."""
    before = link_index(node)
    node.host.ip("link", "del", node.interface)
    wait_for(lambda: link_index(node) not in ("", before), DEVICE_S, f"{node.name} has a device again")


def link_index(node: MeshNode) -> str:
    try:
        return node.host.ip("-oneline", "link", "show", node.interface).partition(":")[0]
    except CommandFailed:
        return ""
