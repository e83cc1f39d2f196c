"""One turn against the fake device: the order of things, and failures that stay where they belong."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from support.devices import LIMITS, desired_device, desired_peer, key
from support.doubles.fake_device import RANDOM_PORT, FakeDevice
from wgmesh.core.device_plan import ActionKind
from wgmesh.core.errors import DeviceUnavailable, InvalidSetting, MeshError, NotSupported, PermissionDenied
from wgmesh.core.model import Endpoint, ObservedPeer, Overlap, PublicKey, RefusedRoute
from wgmesh.wireguard.admission import ForeignRoute, ForeignRoutes
from wgmesh.wireguard.device import KERNEL, DeviceGone
from wgmesh.wireguard.disputes import AT_ONCE, CALM_S, UNDONE
from wgmesh.wireguard.plan import (
    Action,
    AddAddress,
    AddMeshRoute,
    AddRoute,
    BringUp,
    CreateDevice,
    RemoveDevice,
    SetGuard,
    SetListenPort,
    SetMtu,
    SetPeer,
)
from wgmesh.wireguard.reconciler import Reconciler

NOW = 1000.0
OWN = key(60)


def met(*numbers: int) -> dict[PublicKey, ObservedPeer]:
    """Peers with whom a handshake has completed: only they get networks."""
    return {key(number): ObservedPeer(key(number), handshake_at=NOW) for number in numbers}


def reconciler(device: FakeDevice, stored_port: int | None = None) -> Reconciler:
    return Reconciler(device, OWN, stored_port, LIMITS)


async def test_one_turn_creates_the_whole_device() -> None:
    device = FakeDevice(peers=met(1))
    turn = await reconciler(device).turn(desired_device(desired_peer(1), desired_peer(2)), NOW)
    assert not (turn.outcome.peer_failures or turn.outcome.refused_routes or turn.skipped)
    assert turn.outcome.device is not None
    assert turn.outcome.device.up and turn.outcome.device.listen_port == 51820
    assert len(turn.outcome.device.peers) == 2


async def test_a_network_is_routed_once_a_handshake_with_its_holder_has_completed() -> None:
    device, wanted = FakeDevice(), desired_device(desired_peer(1, "172.20.0.0/16"))
    before = (await reconciler(device).turn(wanted, NOW)).outcome
    assert before.device is not None and before.device.routes == frozenset()
    assert [refused.reason for refused in before.refused_routes] == ["Its tunnel is not proven yet."]
    device.peers[key(1)] = replace(device.peers[key(1)], handshake_at=NOW)
    after = (await reconciler(device).turn(wanted, NOW)).outcome
    assert after.device is not None and after.device.routes == {ipaddress.ip_network("172.20.0.0/16")}


async def test_a_second_turn_does_nothing() -> None:
    device = FakeDevice(exists=True, peers=met(1))
    wanted = desired_device(desired_peer(1, "172.20.0.0/16"))
    await reconciler(device).turn(wanted, NOW)
    assert (await reconciler(device).turn(wanted, NOW)).outcome.actions == ()


async def test_a_preview_names_the_steps_and_takes_none() -> None:
    foreign = ForeignRoutes((ForeignRoute(ipaddress.ip_network("172.20.1.0/24"), "eth0"),))
    device = FakeDevice(exists=True, peers=met(1), foreign=foreign)
    wanted = desired_device(desired_peer(1, "172.20.0.0/16"))
    preview = await reconciler(device).preview(wanted, NOW)
    assert device.applied == []
    turn = await reconciler(device).turn(wanted, NOW)
    assert tuple(action.what for action in preview.actions) == turn.outcome.actions
    assert all(action.why for action in preview.actions)
    assert preview.refused_routes == turn.outcome.refused_routes != ()


async def test_a_preview_shows_the_device_as_it_was_found_and_who_cannot_be_a_peer() -> None:
    device = FakeDevice(exists=True, up=True, listen_port=51820, peers={key(1): ObservedPeer(key(1))})
    own = replace(desired_peer(1), public_key=OWN)
    preview = await reconciler(device).preview(desired_device(own), NOW)
    assert preview.device == device.look() is not None
    assert [failure.public_key for failure in preview.peer_failures] == [OWN]


async def test_a_preview_explains_a_port_that_is_taken() -> None:
    device = FakeDevice(busy=frozenset({51820}))
    preview = await reconciler(device).preview(desired_device(), NOW)
    (port,) = (action for action in preview.actions if action.kind is ActionKind.SET_LISTEN_PORT)
    assert port.what == "listen on port 51821"
    assert "51820 was asked for: it is taken" in port.why


async def test_a_preview_starts_from_the_device_as_it_is_and_shows_it() -> None:
    device = FakeDevice()
    wanted = desired_device(desired_peer(1))
    await reconciler(device).turn(wanted, NOW)
    preview = await reconciler(device).preview(wanted, NOW)
    assert preview.actions == ()
    assert preview.device == device.look() is not None
    device.mtu = 1500
    (action,) = (await reconciler(device).preview(wanted, NOW)).actions
    assert (action.what, action.why) == ("set MTU 1420", "It is 1500.")


async def test_a_turn_that_knows_the_device_and_changes_only_peers_looks_at_peers_only() -> None:
    device = FakeDevice()
    known = (await reconciler(device).turn(desired_device(), NOW)).outcome.device
    device.looks.clear()
    await reconciler(device).turn(desired_device(desired_peer(1)), NOW, known)
    assert device.looks == ["peers", "peers"]


async def test_a_turn_that_changes_more_than_peers_takes_a_full_look_afterwards() -> None:
    device = FakeDevice()
    await reconciler(device).turn(desired_device(), NOW)
    device.peers |= met(1)
    device.looks.clear()
    await reconciler(device).turn(desired_device(desired_peer(1, "172.20.0.0/16")), NOW)
    assert device.looks == ["device", "routes", "device"]


async def test_a_device_without_its_port_asks_which_ports_are_taken() -> None:
    device = FakeDevice()
    await reconciler(device).turn(desired_device(), NOW)
    assert device.looks == ["device", "ports", "device"]


async def test_the_routes_of_the_host_count_also_where_only_one_of_the_peers_has_networks() -> None:
    foreign = ForeignRoutes((ForeignRoute(ipaddress.ip_network("172.20.1.0/24"), "eth0"),))
    device = FakeDevice(exists=True, peers=met(1), foreign=foreign)
    wanted = desired_device(desired_peer(1, "172.20.0.0/16"), desired_peer(2))
    outcome = (await reconciler(device).turn(wanted, NOW)).outcome
    assert [refused.public_key for refused in outcome.refused_routes] == [key(1)]


async def test_a_network_that_holds_the_endpoint_of_a_working_tunnel_is_not_routed_into_it() -> None:
    reached = ObservedPeer(key(2), Endpoint.parse("172.20.0.9:51820"), handshake_at=NOW)
    device = FakeDevice(exists=True, up=True, listen_port=51820, peers=met(1) | {key(2): reached})
    outcome = (await reconciler(device).turn(desired_device(desired_peer(1, "172.20.0.0/16")), NOW)).outcome
    assert [refused.public_key for refused in outcome.refused_routes] == [key(1)]
    assert device.routes == set()


async def test_one_bad_peer_fails_alone_and_its_network_is_not_routed() -> None:
    def faults(action: Action) -> MeshError | None:
        return DeviceUnavailable("bad peer") if isinstance(action, SetPeer) and action.public_key == key(2) else None

    device = FakeDevice(exists=True, peers=met(2, 3), faults=faults)
    peers = (desired_peer(1), desired_peer(2, "172.20.0.0/16"), desired_peer(3, "172.21.0.0/16"))
    outcome = (await reconciler(device).turn(desired_device(*peers), NOW)).outcome
    assert [(failure.public_key, failure.reason) for failure in outcome.peer_failures] == [(key(2), "bad peer")]
    assert device.routes == {ipaddress.ip_network("172.21.0.0/16")}


async def test_a_route_that_the_kernel_refuses_is_refused_alone_and_its_peer_is_not() -> None:
    bad = ipaddress.ip_network("172.20.0.0/16")

    def faults(action: Action) -> MeshError | None:
        return DeviceUnavailable("no") if isinstance(action, AddRoute) and action.network == bad else None

    device = FakeDevice(exists=True, peers=met(1), faults=faults)
    wanted = desired_device(desired_peer(1, "172.20.0.0/16", "172.21.0.0/16"))
    outcome = (await reconciler(device).turn(wanted, NOW)).outcome
    assert outcome.refused_routes == (RefusedRoute(bad, key(1), "no"),)
    assert outcome.peer_failures == () and outcome.problems == ()
    assert device.routes == {ipaddress.ip_network("172.21.0.0/16")}


async def test_a_route_of_a_family_that_this_host_does_not_have_is_a_refused_route() -> None:
    off = NotSupported("IPv6 is off.")
    device = FakeDevice(exists=True, peers=met(1), faults=lambda a: off if isinstance(a, AddRoute) else None)
    turn = await reconciler(device).turn(desired_device(desired_peer(1, "fd99::/64")), NOW)
    assert [refused.reason for refused in turn.outcome.refused_routes] == ["IPv6 is off."]
    assert turn.outcome.peer_failures == () and turn.skipped == ()


async def test_what_another_program_takes_away_is_set_again_at_once_and_then_ever_more_rarely() -> None:
    network = ipaddress.ip_network("172.20.0.0/16")
    device, wanted = FakeDevice(True, peers=met(1)), desired_device(desired_peer(1, str(network)))
    core, now, set_at = reconciler(device), 0.0, []
    while now < 300.0:
        device.routes.discard(network)
        turn = await core.turn(wanted, NOW, monotonic=now)
        set_at += [now] if network in device.routes else []
        now += 0.25
    assert set_at[: AT_ONCE + 1] == [each / 4 for each in range(AT_ONCE + 1)]
    assert all(sum(after <= at < after + 60 for at in set_at) <= 6 for after in range(60, 240, 60))
    assert [refused.reason for refused in turn.outcome.refused_routes] == [UNDONE]
    assert turn.again_at is not None and turn.outcome.peer_failures == ()


async def test_what_lasts_again_is_told_no_more_and_an_accident_much_later_is_mended_at_once() -> None:
    device, wanted = FakeDevice(), desired_device()
    core = reconciler(device)
    for now in range(AT_ONCE + 2):
        device.up = False
        turn = await core.turn(wanted, NOW, monotonic=now / 10)
    assert f"Bring the interface up: {UNDONE}" in turn.outcome.problems and device.up
    assert turn.again_at is not None
    assert (await core.turn(wanted, NOW, monotonic=turn.again_at)).outcome.problems == ()
    device.up = False
    turn = await core.turn(wanted, NOW, monotonic=turn.again_at + CALM_S)
    assert device.up and turn.outcome.problems == () and turn.again_at is None


async def test_what_failed_and_then_succeeds_was_undone_by_nobody() -> None:
    device, wanted = FakeDevice(), desired_device()
    core = reconciler(device)
    await core.turn(wanted, NOW, monotonic=0.0)
    device.mtu, device.faults = 1300, lambda a: PermissionDenied("no") if isinstance(a, SetMtu) else None
    failed = await core.turn(wanted, NOW, monotonic=1.0)
    assert failed.outcome.problems == ("Set MTU 1420: no",) and failed.again_at is not None
    device.faults = lambda a: None
    mended = await core.turn(wanted, NOW, monotonic=failed.again_at)
    assert device.mtu == 1420 and mended.outcome.problems == () and mended.again_at is None


async def test_what_the_node_itself_withdrew_and_wants_again_is_no_dispute() -> None:
    device = FakeDevice(exists=True, peers=met(1))
    core, with_route = reconciler(device), desired_device(desired_peer(1, "172.20.0.0/16"))
    for now in range(4 * AT_ONCE):
        wanted = with_route if now % 2 == 0 else desired_device(desired_peer(1))
        turn = await core.turn(wanted, NOW, monotonic=float(now) / 100)
        assert turn.outcome.actions and not turn.outcome.refused_routes


async def test_what_others_change_at_a_peer_again_and_again_is_no_failure_of_the_peer() -> None:
    device, wanted = FakeDevice(), desired_device(desired_peer(1))
    core, shown = reconciler(device), set[str]()
    for step in range(40):
        if key(1) in device.peers:
            device.peers[key(1)] = replace(device.peers[key(1)], allowed_ips=frozenset())
        outcome = (await core.turn(wanted, NOW, monotonic=step / 4)).outcome
        assert outcome.peer_failures == ()
        shown.update(outcome.problems)
    (problem,) = shown
    assert problem.startswith(f"Change peer {key(1).short}") and problem.endswith(UNDONE)


async def test_a_route_to_the_mesh_that_somebody_flushed_is_back() -> None:
    device, wanted = FakeDevice(), desired_device()
    core = reconciler(device)
    await core.turn(wanted, NOW)
    laid = set(device.mesh_routes)
    device.mesh_routes.clear()
    outcome = (await core.turn(wanted, NOW)).outcome
    assert device.mesh_routes == laid
    assert outcome.actions == tuple(AddMeshRoute(network).describe() for network in LIMITS.mesh)


async def test_an_interface_that_somebody_renamed_gets_its_name_back() -> None:
    device, wanted = FakeDevice(), desired_device()
    core = reconciler(device)
    await core.turn(wanted, NOW)
    device.renamed = True
    outcome = (await core.turn(wanted, NOW)).outcome
    assert outcome.actions == ("give the interface its name back",) and not device.renamed


async def test_what_this_host_cannot_do_is_skipped_with_a_sentence() -> None:
    def faults(action: Action) -> MeshError | None:
        is_ipv6 = isinstance(action, AddAddress) and action.address.version == 6
        return NotSupported("IPv6 is off.") if is_ipv6 else None

    device = FakeDevice(faults=faults)
    turn = await reconciler(device).turn(desired_device(desired_peer(1)), NOW)
    assert turn.skipped == ("IPv6 is off.",)
    assert device.up and device.peers


async def test_what_cannot_be_done_to_the_interface_is_told_and_the_rest_is_done() -> None:
    errors: dict[type[Action], MeshError] = {SetMtu: PermissionDenied("no"), AddAddress: DeviceUnavailable("EINVAL")}
    device = FakeDevice(faults=lambda a: errors.get(type(a)), mtu=1500)
    outcome = (await reconciler(device).turn(desired_device(desired_peer(1)), NOW)).outcome
    addresses = [str(address) for address in desired_device().addresses]
    assert outcome.problems == ("Set MTU 1420: no", *(f"Add address {address}: EINVAL" for address in addresses))
    assert device.peers.keys() == {key(1)} and device.up


async def test_where_the_device_cannot_be_created_nothing_else_is_tried() -> None:
    tried: list[Action] = []

    def faults(action: Action) -> MeshError | None:
        tried.append(action)
        return PermissionDenied("no") if isinstance(action, CreateDevice) else None

    with pytest.raises(PermissionDenied):
        await reconciler(FakeDevice(faults=faults)).turn(desired_device(desired_peer(1)), NOW)
    assert tried == [CreateDevice()]


@pytest.mark.parametrize("kind", [CreateDevice, BringUp])
async def test_a_device_that_is_gone_ends_the_turn_at_once(kind: type[Action]) -> None:
    device = FakeDevice(faults=lambda a: DeviceGone("gone") if isinstance(a, kind) else None)
    with pytest.raises(DeviceGone):
        await reconciler(device).turn(desired_device(desired_peer(1)), NOW)
    assert device.peers == {}


async def test_a_port_that_turns_out_busy_gives_way_to_the_next() -> None:
    device = FakeDevice(busy=frozenset({51820}), secretly_busy=frozenset({51821}))
    core = reconciler(device)
    outcome = (await core.turn(desired_device(reserved=(51822,)), NOW)).outcome
    assert outcome.device is not None and outcome.device.listen_port == 51823
    assert SetListenPort(51823).describe() in outcome.actions
    assert core.stored_port == 51823


async def test_the_port_of_before_is_taken_again_after_the_device_was_lost() -> None:
    device = FakeDevice()
    await reconciler(device, stored_port=51825).turn(desired_device(), NOW)
    assert device.listen_port == 51825


async def test_the_port_of_before_is_remembered_while_the_device_cannot_come_up() -> None:
    def faults(action: Action) -> MeshError | None:
        return NotSupported("no") if isinstance(action, BringUp | SetListenPort | AddMeshRoute) else None

    core = reconciler(FakeDevice(faults=faults), stored_port=51825)
    await core.turn(desired_device(), NOW)
    assert core.stored_port == 51825


async def test_a_new_device_without_a_wish_gets_the_port_that_the_kernel_chooses() -> None:
    device = FakeDevice()
    await reconciler(device).turn(desired_device(listen_port=0), NOW)
    assert device.listen_port == RANDOM_PORT


async def test_a_peer_with_our_own_key_is_reported_and_left_out() -> None:
    device = FakeDevice()
    own = replace(desired_peer(1), public_key=OWN)
    outcome = (await reconciler(device).turn(desired_device(own, desired_peer(2)), NOW)).outcome
    assert [failure.public_key for failure in outcome.peer_failures] == [OWN]
    assert device.peers.keys() == {key(2)}


async def test_removing_leaves_nothing_and_is_idempotent() -> None:
    device = FakeDevice()
    core = reconciler(device)
    await core.turn(desired_device(desired_peer(1)), NOW)
    await core.remove()
    await core.remove()
    assert await device.observe() is None


async def test_after_a_change_of_own_addresses_each_known_endpoint_is_set_to_what_it_is() -> None:
    roamed = Endpoint.parse("192.0.2.9:4711")
    device = FakeDevice(
        exists=True, up=True, peers={key(1): ObservedPeer(key(1), roamed), key(2): ObservedPeer(key(2))}
    )
    await reconciler(device).set_endpoints_again(device.look())
    assert device.applied == [SetPeer(key(1), endpoint=roamed)]


async def test_the_kernel_chooses_its_addresses_by_itself() -> None:
    device = FakeDevice(exists=True, peers={key(1): ObservedPeer(key(1), Endpoint.parse("192.0.2.9:4711"))})
    known = device.look()
    assert known is not None
    await reconciler(device).set_endpoints_again(replace(known, backend=KERNEL))
    await reconciler(device).set_endpoints_again(None)
    assert device.applied == []


async def test_a_node_is_refused_where_the_host_uses_the_meshs_network_and_no_device_is_made() -> None:
    device = FakeDevice()
    device.overlapping = (Overlap(ipaddress.ip_network("10.77.5.0/24"), "is connected to eth1"),)
    with pytest.raises(InvalidSetting, match=r"--mesh-subnet: .*10\.77\.5\.0/24 is connected to eth1"):
        await reconciler(device).prepare()
    assert not device.exists


async def test_a_device_is_made_at_start_and_one_of_an_earlier_life_stays_also_where_the_host_came_later() -> None:
    device = FakeDevice()
    await reconciler(device).prepare()
    assert device.applied == [CreateDevice()]
    device.overlapping = (Overlap(ipaddress.ip_network("10.77.5.0/24"), "is connected to eth1"),)
    await reconciler(device).prepare()
    assert device.applied == [CreateDevice()]


async def test_the_guard_stands_before_the_first_address_and_goes_after_the_device() -> None:
    device = FakeDevice()
    await reconciler(device).turn(desired_device(), NOW)
    kinds = [type(action) for action in device.applied]
    assert kinds.index(SetGuard) < kinds.index(AddAddress)
    await reconciler(device).remove()
    assert [type(action) for action in device.applied[-2:]] == [RemoveDevice, SetGuard]
    assert device.guard == ()


async def test_a_guard_that_somebody_has_removed_is_set_again_also_without_its_device_at_the_end() -> None:
    device = FakeDevice()
    await reconciler(device).turn(desired_device(), NOW)
    complete, device.guard = device.guard, device.guard[1:]
    await reconciler(device).turn(desired_device(), NOW)
    assert device.guard == complete
    device.exists = False
    await reconciler(device).remove()
    assert device.guard == ()


@pytest.mark.parametrize("fault", [NotSupported("no nf_tables"), PermissionDenied("no"), DeviceUnavailable("no")])
async def test_a_host_whose_firewall_cannot_be_set_has_the_device_all_the_same(fault: MeshError) -> None:
    device = FakeDevice(faults=lambda a: fault if isinstance(a, SetGuard) else None)
    turn = await reconciler(device).turn(desired_device(desired_peer(1)), NOW)
    assert turn.skipped == (str(fault),)
    assert device.up and device.peers and device.mesh_routes


async def test_a_host_without_firewall_rules_is_left_without_an_error() -> None:
    device = FakeDevice(faults=lambda a: NotSupported("no nf_tables") if isinstance(a, SetGuard) else None)
    await reconciler(device).turn(desired_device(), NOW)
    await reconciler(device).remove()
    assert not device.exists


async def test_the_mesh_steps_aside_for_what_appears_and_comes_back() -> None:
    device, wanted = FakeDevice(), desired_device(desired_peer(1))
    await reconciler(device).turn(wanted, NOW)
    before = (set(device.mesh_routes), list(device.addresses), device.guard)
    device.overlapping = (Overlap(ipaddress.ip_network("10.77.1.0/24"), "is connected to eth1"),)
    outcome = (await reconciler(device).turn(wanted, NOW)).outcome
    assert not any(device.overlapping[0].network.overlaps(each) for each in device.mesh_routes if each.version == 4)
    assert [refused.public_key for refused in outcome.refused_routes] == [key(1)]
    assert device.peers[key(1)].allowed_ips == frozenset()
    device.overlapping = ()
    await reconciler(device).turn(wanted, NOW)
    assert (device.mesh_routes, device.addresses, device.guard) == before
