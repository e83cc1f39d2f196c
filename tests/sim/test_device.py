from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import given
from support.devices import LIMITS, desired_devices, key
from wgmesh.core.model import DesiredDevice
from wgmesh.sim.device import SimDevice
from wgmesh.sim.tunnel import Tunnel
from wgmesh.wireguard.limits import limit
from wgmesh.wireguard.reconciler import Reconciler


def _device() -> SimDevice:
    tunnel = Tunnel(key(60), lambda: 1, lambda: 0.0, lambda frame, to: None, lambda packet: None)
    return SimDevice(tunnel, lambda: 1000.0)


@given(desired_devices, desired_devices)
def test_one_turn_of_the_real_reconciler_reaches_the_wish_and_the_next_does_nothing(
    first: DesiredDevice, second: DesiredDevice
) -> None:
    device = _device()
    reconciler = Reconciler(device, key(60), None, LIMITS)
    for desired in (first, replace(second, listen_port=second.listen_port or 51820)):
        turn = asyncio.run(reconciler.turn(desired, 1000.0))
        assert turn.outcome.peer_failures == ()
        assert asyncio.run(reconciler.turn(desired, 1000.0)).outcome.actions == ()
        look = device.look()
        assert look is not None
        assert {peer.public_key for peer in look.peers} == {peer.public_key for peer in desired.peers}
        assert set(look.addresses) == set(limit(desired, None, LIMITS).desired.addresses)


def test_a_removed_device_leaves_nothing() -> None:
    device = _device()
    reconciler = Reconciler(device, key(60), None, LIMITS)
    asyncio.run(reconciler.turn(DesiredDevice((), 51820, 1420), 1000.0))
    assert device.look() is not None
    asyncio.run(reconciler.remove())
    assert device.look() is None and device.listen_port == 0
