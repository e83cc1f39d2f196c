"""What is published of the device: what was observed, and what went wrong."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from support.devices import LIMITS, desired_device, desired_peer, key
from support.doubles.fake_device import FakeDevice
from wgmesh.core.errors import DeviceUnavailable, InterfaceTaken, MeshError
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.runtime import logs
from wgmesh.wireguard.identity_file import StoredIdentity
from wgmesh.wireguard.io.backend import LinuxDevice
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.io.identity_store import IdentityStore
from wgmesh.wireguard.plan import Action, CreateDevice

WANTED = desired_device(desired_peer(1))
THEIRS = InterfaceTaken("Interface wg0 is not this node's.")


def controller_of(device: FakeDevice, directory: Path) -> DeviceController:
    stored = StoredIdentity(PrivateKey(bytes([60] * 32)))
    return DeviceController(cast(LinuxDevice, device), IdentityStore(directory, "wg0"), stored, LIMITS, logs.logger())


async def test_a_device_that_others_have_taken_is_published_as_none_of_ours_with_the_reason(tmp_path: Path) -> None:
    device = FakeDevice()
    controller = controller_of(device, tmp_path)
    await controller.apply(WANTED)
    assert controller.snapshots.value.device is not None and controller.snapshots.value.problems == ()
    device.trouble = THEIRS
    with pytest.raises(InterfaceTaken):
        await controller.apply(WANTED)
    seen = controller.snapshots.value
    assert seen.device is None and seen.problems == (str(THEIRS),) and seen.observed_at is not None
    device.trouble = None
    await controller.repair()
    assert controller.snapshots.value.device is not None and controller.snapshots.value.problems == ()
    assert controller.snapshots.value.observed_at is None


async def test_could_not_look_is_not_nothing_there_and_tells_when_it_was_looked_at(tmp_path: Path) -> None:
    device = FakeDevice()
    controller = controller_of(device, tmp_path)
    await controller.apply(WANTED)
    last = controller.snapshots.value.device
    device.trouble = DeviceUnavailable("The kernel said EBUSY.")
    await controller.repair()
    seen = controller.snapshots.value
    assert seen.device == last is not None
    assert seen.problems == ("The kernel said EBUSY.",) and seen.observed_at is not None
    assert 0 < controller.due_in_s() <= 1.0


async def test_a_turn_that_failed_is_not_tried_again_at_every_call_while_nothing_changes(tmp_path: Path) -> None:
    tried: list[Action] = []

    def faults(action: Action) -> MeshError | None:
        tried.append(action)
        return DeviceUnavailable("no") if isinstance(action, CreateDevice) else None

    controller = controller_of(FakeDevice(faults=faults), tmp_path)
    for _ in range(20):
        with pytest.raises(DeviceUnavailable):
            await controller.apply(WANTED)
    assert len(tried) <= 3
    assert controller.snapshots.value.problems == ("no",) and controller.snapshots.value.device is None


async def test_the_last_wish_is_carried_out_again_without_the_node(tmp_path: Path) -> None:
    device = FakeDevice()
    controller = controller_of(device, tmp_path)
    await controller.apply(WANTED)
    device.up, device.addresses, device.mtu = False, [], 1280
    del device.peers[key(1)]
    await controller.repair()
    assert device.up and device.addresses == list(WANTED.addresses) and device.mtu == WANTED.mtu
    assert device.peers.keys() == {key(1)}
