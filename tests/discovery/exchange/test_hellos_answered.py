"""What follows from the answer to a HELLO, and from silence."""

from __future__ import annotations

import ipaddress

import pytest
from support.discovery.discovery_wire import describe
from support.discovery.hello_scene import NOW, PORT, STRANGER, Scene, key, refreshed
from wgmesh.core.model import CandidateSource, Endpoint, PublicKey
from wgmesh.discovery.events import ContactAnswered, ProbeAnswered
from wgmesh.discovery.exchange.transactions import PATIENCE_S, Purpose
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.rate_limits import ANSWER_TRUST_S
from wgmesh.discovery.messages.replay import Stamp


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_answer_of_who_seemed_to_have_left_keeps_it(scene: Scene) -> None:
    record = scene.knows(2, "198.51.100.2")
    for purpose_asks, is_kept in ((False, False), (True, True)):
        scene.members.pending_goodbyes.suspect(key(2), int(NOW), NOW)
        if purpose_asks:
            scene.hellos.confirm(record, NOW)
        else:
            scene.asks(Endpoint.of("198.51.100.2", PORT), Purpose.REFRESH, 2)
        assert scene.answer(2, Endpoint.of("198.51.100.2", PORT)) == ""
        assert (scene.members.pending_goodbyes.poll_timeout() is None) == is_kept


def test_who_seemed_to_have_left_may_answer_from_anywhere(scene: Scene) -> None:
    record = scene.knows(2, "198.51.100.2")
    scene.members.pending_goodbyes.suspect(key(2), int(NOW), NOW)
    scene.hellos.confirm(record, NOW)
    assert scene.answer(2, STRANGER) == ""
    assert scene.members.pending_goodbyes.poll_timeout() is None


def test_an_answer_that_nobody_has_asked_for_is_refused(scene: Scene) -> None:
    assert scene.answer(2, STRANGER) == "unsolicited"
    assert key(2) not in scene.members.table


def test_an_answer_without_the_proof_that_is_due_is_refused_and_the_question_stands(scene: Scene) -> None:
    scene.asks(STRANGER)
    assert scene.answer(2, STRANGER, standing=Standing.DOUBTFUL) == "unproven"
    assert scene.answer(2, STRANGER, standing=Standing.PROVEN) == ""


def test_who_answers_at_the_address_that_was_asked_is_there(scene: Scene) -> None:
    scene.asks(STRANGER)
    assert scene.answer(2, STRANGER, observed=Endpoint.parse("203.0.113.1:7000")) == ""
    record = scene.members.table.get(key(2))
    assert record is not None and record.methods == ["exchange"] and record.direct_seen_at == NOW + 1.0
    assert record.control_endpoint == STRANGER
    assert scene.candidates(2) == {"198.51.100.77:7000": CandidateSource.OBSERVED}
    assert scene.parts.own.observed_endpoints(NOW) == (Endpoint.parse("203.0.113.1:7000"),)
    assert len(scene.hellos.transactions) == 0


def test_who_has_answered_gets_through_a_flood_for_hours(scene: Scene) -> None:
    scene.asks(STRANGER)
    scene.answer(2, STRANGER)
    assert scene.is_trusted(STRANGER.host, NOW + ANSWER_TRUST_S)
    assert not scene.is_trusted(STRANGER.host, NOW + 1.0 + ANSWER_TRUST_S)


def test_who_answers_from_elsewhere_lives_and_nothing_more_is_known_of_where(scene: Scene) -> None:
    scene.asks(STRANGER, number=2)
    elsewhere = Endpoint.of("198.51.100.99", PORT)
    assert scene.answer(2, elsewhere, observed=Endpoint.parse("203.0.113.1:7000")) == ""
    record = scene.members.table.get(key(2))
    assert record is not None and record.control_endpoint is None and scene.candidates(2) == {}
    assert scene.parts.own.observed_endpoints(NOW) == () and len(scene.hellos.transactions) == 0
    assert not scene.is_trusted(elsewhere.host, NOW + 2.0)


def test_an_old_answer_from_elsewhere_ends_the_question_and_teaches_nothing(scene: Scene) -> None:
    scene.asks(STRANGER, number=2)
    scene.members.clocks.advance(key(2), Stamp(int(NOW) + 1), NOW + 1, is_proven=False)
    assert scene.answer(2, Endpoint.of("198.51.100.99", PORT)) == ""
    assert key(2) not in scene.members.table and len(scene.hellos.transactions) == 0
    scene.asks(STRANGER, number=2)
    assert scene.answer(2, STRANGER) == "" and key(2) in scene.members.table  # a clock that was set back


def test_an_answer_through_the_tunnel_tells_nothing_of_outside(scene: Scene) -> None:
    inside = Endpoint(describe(2).mesh_ipv4, PORT)
    scene.asks(inside)
    assert scene.answer(2, inside, observed=Endpoint.parse("203.0.113.1:7000")) == ""
    record = scene.members.table.get(key(2))
    assert record is not None and record.control_endpoint is None and scene.candidates(2) == {}
    assert scene.parts.own.observed_endpoints(NOW) == ()


def test_an_address_inside_the_mesh_is_not_where_a_peer_sees_us(scene: Scene) -> None:
    scene.asks(STRANGER)
    scene.answer(2, STRANGER, observed=Endpoint(describe(1).mesh_ipv4, PORT))
    assert scene.parts.own.observed_endpoints(NOW) == ()


def test_a_neighbour_of_our_own_kind_that_answers_is_on_the_lan(scene: Scene) -> None:
    beside, behind = Endpoint.of("192.168.1.7", PORT), Endpoint.of("192.168.2.7", PORT)
    other = LanInterface("eth1", 3, (ipaddress.ip_interface("192.168.9.1/24"),))
    scene.parts.own.set_interfaces((other, *scene.parts.own.interfaces), NOW)
    for number, source, native, expected in (
        (2, beside, True, CandidateSource.LAN),
        (3, beside, False, CandidateSource.OBSERVED),
        (4, behind, True, CandidateSource.OBSERVED),
    ):
        scene.asks(source)
        assert scene.answer(number, source, native=native) == ""
        assert scene.candidates(number) == {f"{source.host}:7000": expected}


def test_a_static_address_that_answers_is_one_of_the_peers_and_is_asked_again(scene: Scene) -> None:
    scene.parts.contacts.set_static([STRANGER], NOW)
    scene.hellos.ask_contacts(NOW)
    scene.events()
    assert scene.answer(2, STRANGER) == ""
    record = scene.members.table.get(key(2))
    assert record is not None and "static" in record.methods
    assert ContactAnswered("static") in scene.events()
    assert [slot.source for slot in record.candidates.best_first(NOW)] == [CandidateSource.OBSERVED]
    record.candidates.expire(NOW + 1000)
    assert scene.candidates(2) == {"198.51.100.77:7000": CandidateSource.STATIC}
    assert scene.parts.contacts.get(STRANGER) is not None


def test_an_address_of_hearsay_that_answers_is_no_contact_any_more(scene: Scene) -> None:
    scene.parts.contacts.add(STRANGER, Origin.SECOND_HAND, NOW)
    scene.hellos.ask_contacts(NOW)
    scene.events()
    scene.answer(2, STRANGER)
    record = scene.members.table.get(key(2))
    assert record is not None and record.methods == ["exchange"]
    assert ContactAnswered("second-hand") in scene.events() and scene.parts.contacts.get(STRANGER) is None
    record.candidates.expire(NOW + 1000)
    assert scene.candidates(2) == {}


def test_an_answer_to_a_refresh_is_no_contacts_answer(scene: Scene) -> None:
    scene.asks(STRANGER, Purpose.REFRESH)
    scene.answer(2, STRANGER)
    assert not [each for each in scene.events() if isinstance(each, ContactAnswered | ProbeAnswered)]


def test_strangers_of_the_dht_that_answer_or_stay_silent_are_told_of(scene: Scene) -> None:
    met: list[tuple[PublicKey, float]] = []
    silent: list[tuple[Endpoint, float]] = []
    scene.hellos.on_stranger_met = lambda key, now: met.append((key, now))
    scene.hellos.on_stranger_silent = lambda address, now: silent.append((address, now))
    dead, known = Endpoint.of("198.51.100.78", PORT), Endpoint.of("198.51.100.79", PORT)
    for address, origin in ((STRANGER, Origin.DHT), (dead, Origin.DHT), (known, Origin.SECOND_HAND)):
        scene.parts.contacts.add(address, origin, NOW)
    scene.hellos.ask_contacts(NOW)
    scene.answer(2, STRANGER)
    scene.hellos.handle_timeout(NOW + PATIENCE_S)
    assert met == [(key(2), NOW + 1.0)] and silent == [(dead, NOW + PATIENCE_S)]
    scene.asks(known)
    scene.answer(3, known)
    assert len(met) == 1


def test_a_probe_tells_who_answered_how_fast_and_what_it_saw(scene: Scene) -> None:
    scene.asks(STRANGER, Purpose.PROBE)
    seen = Endpoint.parse("203.0.113.1:7000")
    scene.answer(2, STRANGER, after_s=0.25, observed=seen)
    (answer,) = [each for each in scene.events() if isinstance(each, ProbeAnswered)]
    assert answer == ProbeAnswered(STRANGER, key(2), "node-2", describe(2).mesh_ipv4, 0.25, seen)


def test_silence_in_the_tunnel_asks_outside(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", proven_at=NOW)
    refreshed(scene, 2)
    scene.hellos.handle_timeout(NOW + PATIENCE_S)
    assert scene.sent() == [f"198.51.100.2:{PORT}"] and scene.to_ask() == {}


def test_silence_outside_makes_all_other_addresses_of_the_peer_worth_a_try(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", "198.51.100.22", "198.51.100.222", native=True, exchange_port=60000)
    refreshed(scene, 2)
    scene.hellos.handle_timeout(NOW + PATIENCE_S)
    expected = (Origin.SECOND_HAND, key(2))
    assert scene.to_ask(NOW + PATIENCE_S) == {"198.51.100.22:60000": expected, "198.51.100.222:60000": expected}


def test_silence_to_any_other_question_asks_nobody_else(scene: Scene) -> None:
    scene.knows(2, "198.51.100.2", "198.51.100.22")
    scene.asks(Endpoint.of("198.51.100.2", PORT), Purpose.CONTACT, 2)
    scene.asks(Endpoint.of("198.51.100.9", PORT), Purpose.REFRESH, 9)  # has left since
    scene.sent()
    scene.hellos.handle_timeout(NOW + PATIENCE_S)
    assert scene.to_ask(NOW + PATIENCE_S) == {} and scene.sent() == [] and scene.events() == []


def test_a_silent_address_of_a_peer_that_is_reached_elsewhere_is_forgotten_unless_the_operator_named_it(
    scene: Scene,
) -> None:
    scene.knows(2, "198.51.100.2", proven_at=NOW)
    scene.knows(3, "198.51.100.3")
    named, told, other, nobodys = (Endpoint.of(f"198.51.100.{number}", PORT) for number in (70, 71, 72, 73))
    scene.parts.contacts.set_static([named], NOW)
    for address, number in ((named, 2), (told, 2), (other, 3)):
        scene.parts.contacts.add(address, Origin.SECOND_HAND, NOW, key(number))
    scene.parts.contacts.add(nobodys, Origin.SECOND_HAND, NOW)
    scene.hellos.ask_contacts(NOW)
    scene.hellos.handle_timeout(NOW + PATIENCE_S)
    kept = [address for address in (named, told, other, nobodys) if scene.parts.contacts.get(address) is not None]
    assert kept == [named, other, nobodys]
