"""The two laws of the plan, and the rules that its docstring names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.devices import desired_device, desired_devices, desired_peer, key, nets, observed_devices, psk
from support.doubles.fake_device import FakeDevice
from wgmesh.core.model import DesiredDevice, Endpoint, ObservedDevice, ObservedPeer
from wgmesh.wireguard.admission import ForeignRoutes, admit
from wgmesh.wireguard.guard import names
from wgmesh.wireguard.plan import (
    AddRoute,
    BringUp,
    CreateDevice,
    RemoveDevice,
    RemovePeer,
    SetListenPort,
    SetPeer,
    is_live,
    plan,
    plan_removal,
)

NOW = 500.0
HERE, THERE = Endpoint.parse("192.0.2.1:51820"), Endpoint.parse("192.0.2.9:60000")


def reached(target: DesiredDevice, before: ObservedDevice | None, after: ObservedDevice | None, now: float) -> None:
    """Asserts that `after` is `target`, but for what the plan leaves to WireGuard."""
    assert after is not None
    assert after.up
    assert after.mtu == target.mtu
    assert set(after.addresses) == set(target.addresses)
    assert target.listen_port in (0, after.listen_port)
    assert after.mesh_routes == target.mesh_routes
    assert after.guard == names(target.guard)
    assert after.routes == {network for peer in target.peers for network in peer.routable_networks}
    was = {peer.public_key: peer for peer in (before.peers if before else ())}
    now_there = {peer.public_key: peer for peer in after.peers}
    assert now_there.keys() == {peer.public_key for peer in target.peers}
    for wanted in target.peers:
        found, earlier = now_there[wanted.public_key], was.get(wanted.public_key)
        assert found.allowed_ips == wanted.allowed_ips
        assert found.persistent_keepalive_s == wanted.persistent_keepalive_s
        assert found.preshared_key == wanted.preshared_key
        keeps = earlier is not None and (wanted.endpoint is None or is_live(earlier, now))
        assert found.endpoint == (earlier.endpoint if keeps and earlier else wanted.endpoint)


@given(desired_devices, st.none() | observed_devices(), st.floats(0, 1000))
def test_applying_the_plan_reaches_the_target(
    desired: DesiredDevice, observed: ObservedDevice | None, now: float
) -> None:
    target = admit(desired, observed, ForeignRoutes()).target
    device = FakeDevice.like(observed)
    for action in plan(target, observed, now):
        device.do(action)
    reached(target, observed, device.look(), now)


@given(desired_devices, st.none() | observed_devices(), st.floats(0, 1000))
def test_a_device_in_the_target_state_needs_no_action(
    desired: DesiredDevice, observed: ObservedDevice | None, now: float
) -> None:
    target = admit(desired, observed, ForeignRoutes()).target
    device = FakeDevice.like(observed)
    for action in plan(target, observed, now):
        device.do(action)
    assert plan(target, device.look(), now) == ()


@given(desired_devices, observed_devices())
def test_no_description_shows_a_preshared_key(desired: DesiredDevice, observed: ObservedDevice) -> None:
    text = " ".join(action.describe() + repr(action) for action in plan(desired, observed, NOW))
    for number in (1, 2):
        assert psk(number).reveal().hex() not in text
        assert repr(psk(number).reveal()) not in text


def observed_peer(
    number: int, *allowed: str, endpoint: Endpoint | None = None, at: float | None = None
) -> ObservedPeer:
    return ObservedPeer(key(number), endpoint, nets(*allowed), 25, at, preshared_key=psk(1))


def observed_device(*peers: ObservedPeer) -> ObservedDevice:
    wanted = desired_device()
    return ObservedDevice("wg0", "fake", 51820, wanted.addresses, 1420, peers)


def test_a_peer_that_roamed_keeps_its_proven_endpoint() -> None:
    roamed = observed_device(observed_peer(1, "10.77.1.1/32", endpoint=THERE, at=NOW - 179))
    assert plan(desired_device(desired_peer(1, endpoint=str(HERE))), roamed, NOW) == ()


@pytest.mark.parametrize("handshake_at", [None, NOW - 180])
def test_an_endpoint_without_a_live_handshake_gives_way_to_the_hint(handshake_at: float | None) -> None:
    stale = observed_device(observed_peer(1, "10.77.1.1/32", endpoint=THERE, at=handshake_at))
    actions = plan(desired_device(desired_peer(1, endpoint=str(HERE))), stale, NOW)
    assert actions == (SetPeer(key(1), endpoint=HERE),)


def test_only_the_changed_part_of_a_peer_is_set() -> None:
    present = observed_device(observed_peer(1, "10.77.1.1/32"))
    wanted = replace(desired_peer(1), persistent_keepalive_s=15)
    assert plan(desired_device(wanted), present, NOW) == (SetPeer(key(1), persistent_keepalive_s=15),)


def test_removed_and_shrinking_peers_come_before_growing_ones() -> None:
    present = observed_device(observed_peer(1, "10.77.1.2/32"), observed_peer(2), observed_peer(3, "10.77.1.3/32"))
    kinds = [
        (type(action), getattr(action, "public_key", None))
        for action in plan(desired_device(desired_peer(2), desired_peer(1)), present, NOW)
    ]
    assert kinds == [(RemovePeer, key(3)), (SetPeer, key(1)), (SetPeer, key(2))]


def test_a_missing_device_is_created_first_and_routed_last() -> None:
    target = admit(desired_device(desired_peer(1, "192.168.1.0/24")), None, ForeignRoutes()).target
    actions = plan(target, None, NOW)
    assert isinstance(actions[0], CreateDevice)
    assert isinstance(actions[-1], AddRoute)
    kinds = [type(action) for action in actions]
    assert kinds.index(BringUp) < kinds.index(SetListenPort)


def test_networks_are_routed_and_unrouted_in_order() -> None:
    networks = [f"10.{number}.0.0/16" for number in range(20)]
    target = admit(desired_device(desired_peer(1, *networks)), None, ForeignRoutes()).target
    added = [str(action.network) for action in plan(target, None, NOW) if isinstance(action, AddRoute)]
    assert added == networks
    routed = replace(observed_device(observed_peer(1, "10.77.1.1/32")), routes=nets(*networks))
    removed = [action.describe() for action in plan(desired_device(desired_peer(1)), routed, NOW)]
    assert removed[:20] == [f"remove route {network}" for network in networks]


def test_routes_of_a_link_that_is_down_are_set_again_when_it_comes_up() -> None:
    target = admit(desired_device(desired_peer(1, "192.168.1.0/24")), None, ForeignRoutes()).target
    down = replace(observed_device(), routes=nets("192.168.1.0/24"), up=False)
    (network,) = nets("192.168.1.0/24")
    assert plan(target, down, NOW)[-1] == AddRoute(network, key(1))
    assert AddRoute(network, key(1)) not in plan(target, replace(down, up=True), NOW)


def test_the_mesh_is_routed_at_every_moment_while_it_steps_aside_and_comes_back() -> None:
    whole, parts = nets("10.77.0.0/16"), nets("10.77.0.0/17", "10.77.128.0/18")
    for before, after in ((whole, parts), (parts, whole)):
        device = FakeDevice.like(replace(observed_device(), mesh_routes=before))
        for action in plan(replace(desired_device(), mesh_routes=after), device.look(), NOW):
            device.do(action)
            assert device.mesh_routes >= before or device.mesh_routes >= after
        assert device.mesh_routes == after


def test_a_change_of_a_peer_is_told_by_the_parts_that_change() -> None:
    networks = [f"10.{number}.0.0/16" for number in range(10, 20)]
    added = SetPeer(key(1), True, psk(1), HERE, nets(*networks), 25)
    assert added.describe() == (
        f"add peer {key(1).short}: endpoint 192.0.2.1:51820; allowed IPs {', '.join(networks)}; "
        "keepalive 25 s; a preshared key"
    )
    assert SetPeer(key(1), allowed_ips=nets()).describe() == f"change peer {key(1).short}: allowed IPs none"
    assert SetPeer(key(1), persistent_keepalive_s=0).describe() == f"change peer {key(1).short}: keepalive 0 s"


def test_a_removal_is_planned_only_for_what_exists() -> None:
    assert RemoveDevice() not in plan_removal(None)
    assert plan_removal(observed_device())[0] == RemoveDevice()


@pytest.mark.parametrize(("handshake_at", "stays"), [(None, False), (NOW - 180, False), (NOW - 1, True)])
def test_a_peer_that_is_to_start_left_out_stays_if_its_tunnel_has_come_up_meanwhile(
    handshake_at: float | None, stays: bool
) -> None:
    wanted = desired_device(replace(desired_peer(1), only_if_connected=True))
    present = observed_device(observed_peer(1, "10.77.1.1/32", at=handshake_at))
    assert plan(wanted, present, NOW) == (() if stays else (RemovePeer(key(1)),))
    assert plan(wanted, observed_device(), NOW) == ()


def test_a_peer_that_is_to_start_left_out_is_left_out_beside_others_that_are_not_connected_either() -> None:
    left_out = replace(desired_peer(1), only_if_connected=True)
    present = observed_device(observed_peer(1, "10.77.1.1/32"), observed_peer(2, "10.77.1.2/32"))
    assert plan(desired_device(left_out, desired_peer(2)), present, NOW) == (RemovePeer(key(1)),)


def test_an_endpoint_that_is_dead_gives_way_although_a_handshake_proves_it_and_only_that_one() -> None:
    wanted = replace(desired_peer(1, endpoint=str(THERE)), dead_endpoint=HERE)

    def endpoints(current: Endpoint) -> list[Endpoint | None]:
        live = observed_device(observed_peer(1, "10.77.1.1/32", endpoint=current, at=NOW - 60))
        return [step.endpoint for step in plan(desired_device(wanted), live, NOW) if isinstance(step, SetPeer)]

    assert endpoints(HERE) == [THERE]
    assert endpoints(Endpoint.parse("192.0.2.77:1")) == []  # it has roamed meanwhile
