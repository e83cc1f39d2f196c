"""The node adds to the plan of the device what only it knows."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from wgmesh.core.device_plan import ActionKind, DevicePlan, PlannedAction
from wgmesh.core.model import (
    DesiredDevice,
    DesiredPeer,
    Identity,
    Peer,
    PeerFailure,
    PeersSnapshot,
    PresharedKey,
    PublicKey,
    RefusedRoute,
)
from wgmesh.node.addresses import OwnAddresses
from wgmesh.node.composition import Composition, World
from wgmesh.node.forecast import Forecast, forecast_to_proto
from wgmesh.node.liveness import Liveness, Verdict
from wgmesh.v1 import device_pb2

OWN, ALICE, BOB = (PublicKey(bytes([number] * 32)) for number in (1, 2, 3))
SITE = ipaddress.ip_network("10.1.0.0/24")
OWN_ADDRESSES = OwnAddresses(ipaddress.IPv4Address("10.77.0.1"), ipaddress.IPv6Address("fd5a::1"))
WORLD = World(
    Identity(OWN), peers=PeersSnapshot(peers=(Peer(ALICE, ipaddress.IPv4Address("10.77.0.2"), hostname="alice"),))
)
WANTED = Composition(
    addresses=OWN_ADDRESSES,
    device=DesiredDevice((), 51820, 1420, peers=(DesiredPeer(ALICE, PresharedKey(bytes(32)), frozenset()),)),
    proofs=(),
    verdicts={ALICE: Verdict(Liveness.CONNECTED, 1.0)},
    contests=(),
    foreign_subnet=frozenset(),
    next_at=None,
)
REMOVE_BOB = PlannedAction(ActionKind.REMOVE_PEER, "remove peer", "The node does not want it.", BOB)
ADD_ROUTE = PlannedAction(ActionKind.ADD_ROUTE, "add route", "Peer X advertises it.", ALICE, network=SITE)
REMOVE_ROUTE = PlannedAction(ActionKind.REMOVE_ROUTE, "remove route", "No peer has it.", network=SITE)


def the_reason(action: PlannedAction, composition: Composition = WANTED) -> str:
    (explained,) = Forecast(WORLD, composition, DevicePlan((action,))).actions
    return explained.why


def test_a_peer_is_removed_for_the_reason_for_which_it_is_not_wanted() -> None:
    assert the_reason(REMOVE_BOB, replace(WANTED, unwanted={BOB: "It is banned."})) == "It is banned."


def test_a_peer_that_is_wanted_and_left_out_keeps_the_reason_of_the_device() -> None:
    left_out = replace(REMOVE_BOB, public_key=ALICE, why="It is left out once.")
    assert the_reason(left_out, replace(WANTED, unwanted={BOB: "It is banned."})) == "It is left out once."


def test_a_route_is_added_because_the_tunnel_of_its_peer_works() -> None:
    assert the_reason(ADD_ROUTE) == "Peer X advertises it. Its tunnel works."


def test_a_route_of_a_peer_without_a_working_tunnel_says_that_nobody_else_has_one() -> None:
    connecting = Verdict(Liveness.CONNECTING, None, "no handshake has completed yet")
    assert the_reason(ADD_ROUTE, replace(WANTED, verdicts={ALICE: connecting})) == (
        "Peer X advertises it. Its tunnel is not proven (no handshake has completed yet), "
        "and no peer with a proven tunnel advertises it."
    )


def test_a_route_of_a_peer_that_is_kept_for_its_tunnel_has_a_working_one() -> None:
    assert the_reason(ADD_ROUTE, replace(WANTED, verdicts={})).endswith("Its tunnel works.")


def test_a_route_that_is_no_longer_accepted_is_removed_for_that_reason() -> None:
    refused = RefusedRoute(SITE, ALICE, "It lies outside the networks of --accept-routes.")
    assert the_reason(REMOVE_ROUTE, replace(WANTED, refused_routes=(refused,))) == (
        "It is refused now: It lies outside the networks of --accept-routes."
    )
    other = replace(refused, network=ipaddress.ip_network("10.2.0.0/24"))
    assert the_reason(REMOVE_ROUTE, replace(WANTED, refused_routes=(other,))) == "No peer has it."


def test_peers_are_named_where_their_names_are_known() -> None:
    actions = Forecast(WORLD, WANTED, DevicePlan((ADD_ROUTE, REMOVE_BOB, REMOVE_ROUTE))).actions
    assert [action.hostname for action in actions] == ["alice", "", ""]


def test_a_peer_that_failed_in_the_last_turn_is_told_while_it_is_wanted() -> None:
    plan = DevicePlan(peer_failures=(PeerFailure(OWN, "It carries this node's own key."),))
    last = (
        PeerFailure(ALICE, "No space left."),
        PeerFailure(BOB, "Gone since."),
        PeerFailure(OWN, "The same, before."),
    )
    forecast = Forecast(WORLD, WANTED, plan, last_failures=last)
    assert forecast.peer_failures == (*plan.peer_failures, PeerFailure(ALICE, "No space left."))


def test_the_answer_has_the_refusals_of_the_node_and_of_the_device_and_the_problems() -> None:
    by_node = RefusedRoute(ipaddress.ip_network("8.8.8.0/24"), ALICE, "It lies outside.")
    by_device = RefusedRoute(SITE, ALICE, "It overlaps eth0.")
    composition = replace(WANTED, refused_routes=(by_node,))
    answer = forecast_to_proto(
        Forecast(WORLD, composition, DevicePlan((ADD_ROUTE,), (by_device,)), ("The last turn failed: no.",))
    )
    assert [route.reason for route in answer.refused_routes] == ["It lies outside.", "It overlaps eth0."]
    assert list(answer.problems) == ["The last turn failed: no."]
    (action,) = answer.actions
    assert (action.kind, action.public_key, action.hostname, action.network) == (
        device_pb2.PlannedAction.KIND_ADD_ROUTE,
        ALICE.raw,
        "alice",
        "10.1.0.0/24",
    )
