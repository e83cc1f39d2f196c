"""Every step of a plan says why it is needed, from the same comparison that made it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.devices import desired_device, desired_devices, desired_peer, key, keys, nets, observed_devices, psk
from wgmesh.core.device_plan import ActionKind, PlannedAction
from wgmesh.core.model import DesiredDevice, Endpoint, ObservedDevice, ObservedPeer, PublicKey, RefusedRoute
from wgmesh.wireguard.admission import Admitted, ForeignRoute, ForeignRoutes, admit
from wgmesh.wireguard.plan import plan
from wgmesh.wireguard.reasons import Reasons

NOW = 1000.0
HERE, THERE = "192.0.2.1:51820", "198.51.100.2:51820"


def explained(admitted: Admitted, observed: ObservedDevice | None, port: int, now: float) -> list[PlannedAction]:
    reasons = Reasons(admitted.target, observed, admitted.refused, port, now)
    return [reasons.explained(step) for step in plan(admitted.target, observed, now)]


@given(
    desired_devices,
    st.frozensets(keys),
    st.none() | observed_devices(),
    st.sampled_from([0, 51820]),
    st.floats(-1e6, 1e12),
)
def test_every_step_of_any_plan_has_a_reason_in_whole_sentences(
    desired: DesiredDevice, hurried: frozenset[PublicKey], observed: ObservedDevice | None, port: int, now: float
) -> None:
    desired = with_hurried(desired, hurried)
    admitted = admit(desired, observed, ForeignRoutes((ForeignRoute(ipaddress.ip_network("fd99::/64"), "eth0"),)))
    steps = plan(admitted.target, observed, now)
    actions = explained(admitted, observed, port, now)
    assert [action.what for action in actions] == [step.describe() for step in steps]
    assert all(action.why and action.why[0].isupper() and action.why.endswith(".") for action in actions)
    for action, step in zip(actions, steps, strict=True):
        assert action.public_key == getattr(step, "public_key", None)
        assert action.network == getattr(step, "network", None)


@given(desired_devices, st.none() | observed_devices())
def test_no_reason_shows_a_preshared_key(desired: DesiredDevice, observed: ObservedDevice | None) -> None:
    text = repr(explained(admit(desired, observed, ForeignRoutes()), observed, 51820, NOW))
    for number in (1, 2):
        assert psk(number).reveal().hex() not in text
        assert repr(psk(number).reveal()) not in text


def with_hurried(desired: DesiredDevice, hurried: frozenset[PublicKey]) -> DesiredDevice:
    peers = tuple(replace(peer, only_if_connected=peer.public_key in hurried) for peer in desired.peers)
    return replace(desired, peers=peers)


def device(*peers: ObservedPeer, **changes: object) -> ObservedDevice:
    """The device as `desired_device` wants it, but for its peers and what is changed."""
    wanted = desired_device()
    made = ObservedDevice("wg0", "fake", wanted.listen_port, wanted.addresses, wanted.mtu, peers)
    return replace(made, **changes)  # type: ignore[arg-type]


def present(number: int, *more: str, endpoint: str | None = None, at: float | None = None) -> ObservedPeer:
    """The peer as `desired_peer` wants it, but for these."""
    wanted = desired_peer(number, endpoint=endpoint)
    allowed = wanted.allowed_ips | nets(*more)
    return ObservedPeer(key(number), wanted.endpoint, allowed, 25, at, preshared_key=wanted.preshared_key)


def only(desired: DesiredDevice, observed: ObservedDevice | None, *foreign: ForeignRoute) -> PlannedAction:
    """The one step that it takes."""
    (action,) = explained(admit(desired, observed, ForeignRoutes(foreign)), observed, desired.listen_port, NOW)
    return action


def test_a_new_interface_explains_itself() -> None:
    actions = explained(admit(desired_device(), None, ForeignRoutes()), None, 51820, NOW)
    assert actions[0] == PlannedAction(
        ActionKind.CREATE_DEVICE, "create the interface", "There is no interface of this name."
    )
    assert {action.why for action in actions[1:]} == {"The interface is new."}


@pytest.mark.parametrize(
    ("observed", "kind", "why"),
    [
        (device(mtu=1500), ActionKind.SET_MTU, "It is 1500."),
        (device(addresses=desired_device().addresses[1:]), ActionKind.ADD_ADDRESS, "The interface does not have it."),
        (
            device(addresses=(*desired_device().addresses, ipaddress.ip_interface("10.9.9.9/24"))),
            ActionKind.REMOVE_ADDRESS,
            "It is none of this node's addresses in the mesh.",
        ),
        (device(up=False), ActionKind.BRING_UP, "It is down, and carries nothing."),
        (device(listen_port=51999), ActionKind.SET_LISTEN_PORT, "It listens on 51999."),
        (device(listen_port=0), ActionKind.SET_LISTEN_PORT, "It listens on no port."),
        (device(routes=nets("10.1.0.0/24")), ActionKind.REMOVE_ROUTE, "No peer that the node wants has it."),
        (device(present(1)), ActionKind.REMOVE_PEER, "The node does not want it."),
    ],
)
def test_what_a_hand_has_changed_is_the_reason(observed: ObservedDevice, kind: ActionKind, why: str) -> None:
    action = only(desired_device(), observed)
    assert (action.kind, action.why) == (kind, why)


@pytest.mark.parametrize(
    ("wished", "why"),
    [
        (
            51820,
            "It listens on 51999. 51820 was asked for: it is taken, or an earlier life of this node has used 51821.",
        ),
        (0, "It listens on 51999. An earlier life of this node used it, and others may know it."),
        (51821, "It listens on 51999."),
    ],
)
def test_another_port_than_the_wished_one_is_explained(wished: int, why: str) -> None:
    target, observed = desired_device(listen_port=51821), device(listen_port=51999)
    (step,) = plan(target, observed, NOW)
    assert Reasons(target, observed, (), wished, NOW).explained(step).why == why


@pytest.mark.parametrize(
    ("was", "at", "why"),
    [
        (None, None, "It has no endpoint."),
        (THERE, None, f"Its endpoint is {THERE}, and no handshake has ever proven that."),
        (
            THERE,
            NOW - 400.5,
            f"Its endpoint is {THERE}, and its last handshake is 400 s old, which proves that no more.",
        ),
    ],
)
def test_an_endpoint_is_changed_because_nothing_proves_the_old_one(was: str | None, at: float | None, why: str) -> None:
    action = only(desired_device(desired_peer(1, endpoint=HERE)), device(present(1, endpoint=was, at=at)))
    assert (action.kind, action.public_key, action.why) == (ActionKind.CHANGE_PEER, key(1), why)
    assert HERE in action.what


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda peer: replace(peer, persistent_keepalive_s=15), "Its keepalive is 15 s."),
        (lambda peer: replace(peer, persistent_keepalive_s=0), "Its keepalive is off."),
        (lambda peer: replace(peer, preshared_key=psk(2)), "It has another preshared key."),
        (lambda peer: replace(peer, preshared_key=None), "It has no preshared key."),
        (lambda peer: replace(peer, allowed_ips=frozenset()), "It lacks 10.77.1.1/32."),
        (
            lambda peer: replace(peer, allowed_ips=peer.allowed_ips | nets("10.2.0.0/16")),
            "It has 10.2.0.0/16 without a right to it.",
        ),
        (
            lambda peer: replace(peer, allowed_ips=nets("10.2.0.0/16"), preshared_key=None),
            "It lacks 10.77.1.1/32. It has 10.2.0.0/16 without a right to it. It has no preshared key.",
        ),
    ],
)
def test_each_part_of_a_peer_that_is_changed_has_its_reason(
    change: Callable[[ObservedPeer], ObservedPeer], why: str
) -> None:
    action = only(desired_device(desired_peer(1)), device(change(present(1))))
    assert (action.kind, action.why) == (ActionKind.CHANGE_PEER, why)


def test_an_address_that_moves_names_the_peer_that_has_it_now() -> None:
    thief = replace(present(2), allowed_ips=nets("10.77.1.1/32", "10.77.1.2/32"))
    observed = device(replace(present(1), allowed_ips=frozenset()), thief)
    wanted = desired_device(desired_peer(1), desired_peer(2))
    loses, gains = explained(admit(wanted, observed, ForeignRoutes()), observed, 51820, NOW)
    assert loses.why == "It has 10.77.1.1/32 without a right to it."
    assert gains.why == f"It lacks 10.77.1.1/32 (peer {key(2).short} has it)."


def test_a_reason_names_a_few_networks_and_counts_the_rest() -> None:
    extra = [f"10.{number}.0.0/16" for number in range(1, 8)]
    action = only(desired_device(desired_peer(1)), device(present(1, *extra)))
    assert action.why == ("It has 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16 and 3 more without a right to it.")


def test_a_missing_peer_and_its_route_are_explained() -> None:
    peer, route = explained(
        admit(desired_device(desired_peer(1, "10.1.0.0/24")), device(), ForeignRoutes()), device(), 51820, NOW
    )
    assert (peer.kind, peer.why) == (ActionKind.ADD_PEER, "The device does not have it.")
    assert (route.kind, route.network) == (ActionKind.ADD_ROUTE, ipaddress.ip_network("10.1.0.0/24"))
    assert route.why == f"Peer {key(1).short} advertises it, and the host does not route it into the tunnel."


def test_a_route_that_an_interface_lost_while_it_was_down_is_told_apart() -> None:
    observed = device(present(1, "10.1.0.0/24"), up=False, routes=nets("10.1.0.0/24"))
    _, route = explained(
        admit(desired_device(desired_peer(1, "10.1.0.0/24")), observed, ForeignRoutes()), observed, 51820, NOW
    )
    assert route.why == f"Peer {key(1).short} advertises it, and an interface that was down has lost its routes."


def test_a_route_that_is_refused_now_goes_with_the_reason_of_the_refusal() -> None:
    wanted = desired_device(desired_peer(1, "10.1.0.0/24"))
    observed = device(present(1), routes=nets("10.1.0.0/24"))
    action = only(wanted, observed, ForeignRoute(ipaddress.ip_network("10.1.0.0/16"), "eth1", connected=True))
    assert action.kind == ActionKind.REMOVE_ROUTE
    assert action.why == "It is refused now: It overlaps 10.1.0.0/16, which is connected to eth1."


def test_a_peer_that_is_left_out_once_is_not_called_unwanted_and_neither_is_its_route() -> None:
    hurried = replace(desired_peer(1, "10.1.0.0/24"), only_if_connected=True)
    observed = device(present(1, "10.1.0.0/24"), routes=nets("10.1.0.0/24"))
    route, peer = explained(admit(desired_device(hurried), observed, ForeignRoutes()), observed, 51820, NOW)
    assert route.why == f"Peer {key(1).short}, which advertises it, is left out once."
    assert peer.kind == ActionKind.REMOVE_PEER
    assert peer.why.startswith("It is left out once, because no handshake with it has completed")


def test_a_refused_network_of_another_peer_is_no_reason_for_a_route_that_nobody_has() -> None:
    refused = RefusedRoute(ipaddress.ip_network("10.9.0.0/16"), key(2), "It is too wide.")
    observed = device(routes=nets("10.1.0.0/24"))
    (step,) = plan(desired_device(), observed, NOW)
    assert Reasons(desired_device(), observed, [refused], 0, NOW).explained(step).why == (
        "No peer that the node wants has it."
    )


def test_the_endpoint_in_a_reason_is_written_as_wg_writes_it() -> None:
    was = replace(present(1), endpoint=Endpoint.parse("[2001:db8::1]:51820"))
    action = only(desired_device(desired_peer(1, endpoint=HERE)), device(was))
    assert action.why.startswith("Its endpoint is [2001:db8::1]:51820, and")
