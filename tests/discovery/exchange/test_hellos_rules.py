"""Each HELLO by itself: where it may go, how often it is repeated, and whom it is said to."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from support.discovery.discovery_wire import describe
from support.discovery.hello_scene import INTERFACE, NOW, PORT, STRANGER, Scene, key, refreshed
from support.discovery.pairing import pair_key
from wgmesh.core.model import Endpoint
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.events import ContactTried, ProbeFailed
from wgmesh.discovery.exchange.hellos import (
    SHARED_MAX,
    STRANGER_PATIENCE_S,
    STRANGER_RESEND_AT_S,
    UNHURRIED_RESEND_AT_S,
)
from wgmesh.discovery.exchange.transactions import PATIENCE_S, RESEND_AT_S, Purpose
from wgmesh.discovery.members.candidates import PROOF_FRESH_S, TUNNEL_LOST_S
from wgmesh.discovery.members.contacts import FIRST_RETRY_S, Origin
from wgmesh.discovery.members.pending_goodbyes import CONFIRM_S, GRACE_S


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_nobody_is_asked_at_an_address_that_is_nobodys(scene: Scene) -> None:
    assert not scene.hellos.ask(Endpoint.of("0.0.0.0", PORT), Purpose.PROBE, NOW)
    assert scene.sent() == []


def test_nobody_is_asked_in_the_tunnel_while_we_have_no_address_outside_to_name(scene: Scene) -> None:
    inside = Endpoint(describe(2).mesh_ipv4, PORT)
    scene.parts.own.set_interfaces((), NOW)
    assert not scene.hellos.ask(inside, Purpose.REFRESH, NOW) and scene.sent() == []
    assert scene.hellos.ask(STRANGER, Purpose.CONTACT, NOW) and scene.sent() == [str(STRANGER)]
    scene.parts.own.set_interfaces((INTERFACE,), NOW)
    assert scene.hellos.ask(inside, Purpose.REFRESH, NOW) and scene.sent() == [str(inside)]


def test_a_hello_is_repeated_until_patience_ends(scene: Scene) -> None:
    scene.asks(STRANGER, Purpose.PROBE)
    assert scene.repeats(PATIENCE_S - 0.1) == list(RESEND_AT_S) and scene.events() == []
    scene.hellos.handle_timeout(NOW + PATIENCE_S)
    assert scene.events() == [ProbeFailed(STRANGER)]


def test_a_second_question_at_the_same_address_is_joined_to_the_first(scene: Scene) -> None:
    scene.asks(STRANGER, Purpose.CONTACT)
    assert scene.hellos.ask(STRANGER, Purpose.PROBE, NOW, patience_s=6.0)
    assert scene.sent() == [str(STRANGER)]
    scene.hellos.handle_timeout(NOW + PATIENCE_S)
    assert scene.events() == []
    scene.hellos.handle_timeout(NOW + 6.0)
    assert scene.events() == [ProbeFailed(STRANGER)]


def test_there_is_a_bound_on_the_questions_in_flight() -> None:
    scene = Scene(Bounds(hellos_in_flight=1))
    scene.asks(STRANGER)
    other = Endpoint.of("198.51.100.78", PORT)
    assert not scene.hellos.ask(other, Purpose.CONTACT, NOW)
    assert scene.sent() == [str(STRANGER)] and not scene.is_trusted(other.host, NOW)


def test_the_key_of_whom_we_expect_is_wanted_and_a_hello_with_it_proves_that_it_is_ours(scene: Scene) -> None:
    scene.asks(STRANGER, number=2)
    assert scene.parts.pair_keys.take_wanted(NOW) == (key(2),)
    scene.parts.pair_keys.settle(key(3), pair_key(key(1), key(3)))
    scene.asks(Endpoint.of("198.51.100.3", PORT), number=3)
    proofs = [body.extension.proof for _, body in scene.hellos_sent() if body.extension is not None]
    assert [bool(proof) for proof in proofs] == [False, True]


def test_where_nobody_is_expected_no_key_is_wanted(scene: Scene) -> None:
    scene.asks(STRANGER)
    assert scene.parts.pair_keys.take_wanted(NOW) == ()


def test_an_answer_gets_through_a_flood_while_it_is_waited_for(scene: Scene) -> None:
    scene.asks(STRANGER)
    assert scene.is_trusted(STRANGER.host, NOW + PATIENCE_S - 0.1)
    assert not scene.is_trusted(STRANGER.host, NOW + PATIENCE_S)


def test_those_are_mentioned_whose_turn_it_is_and_never_to_themselves(scene: Scene) -> None:
    for number in range(2, 2 + SHARED_MAX + 2):
        scene.knows(number)
    turns = [record.key for record in scene.hellos.known_to(None)]
    assert turns == scene.members.table.rotation.first(SHARED_MAX) and len(turns) == SHARED_MAX
    others = [record.key for record in scene.hellos.known_to(turns[0])]
    assert turns[0] not in others and len(others) == SHARED_MAX


def test_peers_are_named_only_where_they_are_shared(scene: Scene) -> None:
    scene.knows(3, "198.51.100.3")
    scene.asks(STRANGER)
    assert scene.hellos.ask(Endpoint.of("198.51.100.78", PORT), Purpose.REFRESH, NOW, share=True)
    named = [[known.public_key for known in body.known_peers] for _, body in scene.hellos_sent()]
    assert named == [[], [key(3)]]


@pytest.mark.parametrize(
    ("origin", "number", "repeats", "patience_s", "name"),
    [
        (Origin.STATIC, None, RESEND_AT_S, PATIENCE_S, "static"),
        (Origin.SECOND_HAND, None, RESEND_AT_S, PATIENCE_S, "second-hand"),
        (Origin.SECOND_HAND, 3, RESEND_AT_S, PATIENCE_S, "second-hand"),
        (Origin.CACHE, 2, UNHURRIED_RESEND_AT_S, PATIENCE_S, "cache"),
        (Origin.HEARD, 3, UNHURRIED_RESEND_AT_S, PATIENCE_S, "heard"),
        (Origin.DHT, None, STRANGER_RESEND_AT_S, STRANGER_PATIENCE_S, "dht"),
        (Origin.DHT, 2, STRANGER_RESEND_AT_S, STRANGER_PATIENCE_S, "dht"),
    ],
)
def test_how_often_an_address_is_asked_depends_on_where_it_is_from_and_whether_a_key_is_agreed(
    scene: Scene, origin: Origin, number: int | None, repeats: tuple[float, ...], patience_s: float, name: str
) -> None:
    scene.parts.pair_keys.settle(key(3), pair_key(key(1), key(3)))
    scene.parts.contacts.add(STRANGER, origin, NOW, None if number is None else key(number))
    scene.hellos.ask_contacts(NOW)
    assert scene.sent() == [str(STRANGER)] and scene.events() == [ContactTried(name)]
    assert scene.repeats(patience_s - 0.1) == list(repeats)
    assert scene.parts.contacts.poll_timeout() is None
    scene.hellos.handle_timeout(NOW + patience_s)
    retry_at = scene.parts.contacts.poll_timeout()
    assert retry_at is not None and retry_at > NOW + patience_s + FIRST_RETRY_S / 2


def test_a_contact_is_asked_as_the_peer_that_it_is_expected_to_be(scene: Scene) -> None:
    scene.parts.contacts.add(STRANGER, Origin.CACHE, NOW, key(2))
    scene.hellos.ask_contacts(NOW)
    assert scene.parts.pair_keys.take_wanted(NOW) == (key(2),)
    assert scene.answer(2, Endpoint.of("198.51.100.99", PORT)) == ""


def test_an_address_that_cannot_be_asked_waits_for_its_next_turn(scene: Scene) -> None:
    scene.parts.contacts.set_static([Endpoint.of("0.0.0.0", PORT)], NOW)
    scene.hellos.ask_contacts(NOW)
    assert scene.sent() == [] and scene.events() == []
    retry_at = scene.parts.contacts.poll_timeout()
    assert retry_at is not None and retry_at > NOW


def test_a_peer_without_a_tunnel_hears_from_us_where_it_answered_or_else_at_its_best_address(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", native=True, exchange_port=60000)
    assert [str(to) for to, _ in refreshed(scene, 2)] == ["198.51.100.2:60000"]
    scene.members.table.set_control_endpoint(key(2), STRANGER)
    assert [str(to) for to, _ in refreshed(scene, 2)] == [str(STRANGER)]
    scene.knows(3)
    assert refreshed(scene, 3) == []


def test_others_are_named_outside_only_where_a_peer_has_answered(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2")
    scene.knows(4, "198.51.100.4")
    ((_, body),) = refreshed(scene, 2)
    assert body.known_peers == ()
    scene.members.table.set_control_endpoint(key(2), STRANGER)
    ((_, body),) = refreshed(scene, 2)
    assert [known.public_key for known in body.known_peers] == [key(4)]


def test_a_go_peer_with_a_tunnel_hears_from_us_there_and_of_the_others(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", proven_at=NOW)
    scene.knows(4, "198.51.100.4")
    ((to, body),) = refreshed(scene, 2)
    assert to == Endpoint(describe(2).mesh_ipv4, PORT)
    assert [known.public_key for known in body.known_peers] == [key(4)]
    assert scene.repeats(3.9) == list(UNHURRIED_RESEND_AT_S)


def test_our_own_kind_is_left_in_peace_until_its_tunnel_is_lost(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", native=True, proven_at=NOW)
    assert refreshed(scene, 2, NOW + TUNNEL_LOST_S - 1) == []
    ((to, _),) = refreshed(scene, 2, NOW + TUNNEL_LOST_S)
    assert to == Endpoint.of("198.51.100.2", PORT)


def test_what_is_new_is_told_our_own_kind_through_the_tunnel_and_without_a_list(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", native=True, proven_at=NOW)
    scene.knows(4, "198.51.100.4")
    scene.members.refreshes.hurry_one(key(2), NOW)
    scene.hellos.refresh_peers(NOW)
    ((to, body),) = scene.hellos_sent()
    assert to == Endpoint(describe(2).mesh_ipv4, PORT) and body.known_peers == ()


def test_a_tunnel_that_is_old_or_of_another_mesh_is_not_tried(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", proven_at=NOW)
    assert [str(to) for to, _ in refreshed(scene, 2, NOW + PROOF_FRESH_S)] == [f"198.51.100.2:{PORT}"]
    scene.knows(3, "198.51.100.3", mesh_ipv4=IPv4Address("172.20.0.3"), proven_at=NOW)
    assert [str(to) for to, _ in refreshed(scene, 3)] == [f"198.51.100.3:{PORT}"]


def test_a_tunnel_that_cannot_be_used_yet_is_gone_round(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", proven_at=NOW)
    scene.parts.own.set_interfaces((), NOW)
    assert [str(to) for to, _ in refreshed(scene, 2)] == [f"198.51.100.2:{PORT}"]


def test_who_seems_to_have_left_is_asked_inside_and_outside_with_hellos_that_nobody_can_have_answered(
    scene: Scene,
) -> None:
    record = scene.knows(2, "198.51.100.2")
    outside, inside = Endpoint.of("198.51.100.2", PORT), Endpoint(describe(2).mesh_ipv4, PORT)
    for target in (outside, inside):
        scene.asks(target, Purpose.REFRESH, 2)
    scene.sent()
    scene.hellos.confirm(record, NOW)
    assert scene.sent() == [str(inside), str(outside)]
    scene.hellos.handle_timeout(NOW + CONFIRM_S - GRACE_S - 0.1)
    assert len(scene.hellos.transactions) == 2
    scene.hellos.handle_timeout(NOW + CONFIRM_S - GRACE_S)
    assert len(scene.hellos.transactions) == 0


def test_who_seems_to_have_left_and_has_no_address_outside_is_asked_inside_alone(scene: Scene) -> None:
    scene.hellos.confirm(scene.knows(2), NOW)
    assert scene.sent() == [f"{describe(2).mesh_ipv4}:{PORT}"]
