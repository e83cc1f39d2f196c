from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from support.doubles.router import EXCHANGE, GATEWAY, OUTSIDE, OWN, SEED, WANTED, WIREGUARD, Home, Router
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.nat.portmapping.conversations import nonce
from wgmesh.nat.portmapping.mapper import (
    ANNOUNCEMENTS,
    FETCH_TIMEOUT_S,
    FORGOTTEN_GAP_S,
    PAUSE_S,
    RENEWAL_GAP_MIN_S,
    ROUTER,
    FetchWanted,
    Wanted,
)
from wgmesh.nat.portmapping.steps import LIFETIME_S, Site

ALL = {"pcp", "natpmp", "upnp"}
BOTH = {WIREGUARD: WIREGUARD, EXCHANGE: EXCHANGE}


def home(*speaks: str) -> Home:
    made = Home(Router(set(speaks)))
    made.want(WANTED)
    return made


@pytest.mark.parametrize(
    ("speaks", "protocol"),
    [(ALL, "PCP"), ({"natpmp", "upnp"}, "NAT-PMP"), ({"natpmp"}, "NAT-PMP"), ({"upnp"}, "UPnP-IGD")],
)
def test_both_ports_are_mapped_by_the_first_protocol_that_the_router_speaks(speaks: set[str], protocol: str) -> None:
    place = home(*speaks)
    place.run(30)

    made = place.mapper.mapping(WIREGUARD)
    assert made is not None
    assert (made.protocol, made.external) == (protocol, Endpoint(OUTSIDE, WIREGUARD))
    assert place.router.forwards == BOTH
    assert place.mapper.reason == ""


def test_a_router_of_natpmp_alone_is_not_asked_by_pcp_a_second_time() -> None:
    place = home("natpmp")

    versions = [sent.data[0] for _, sent in place.sent if isinstance(sent, Transmit)]

    assert versions == [2, 0, 0, 0]


@pytest.mark.parametrize("speaks", ["pcp", "natpmp", "upnp"])
def test_a_mapping_is_renewed_at_half_of_its_lifetime_and_never_lapses(speaks: str) -> None:
    place = home(speaks)
    place.run(30)
    made_at, count = place.sent[-1][0], len(place.sent)

    assert place.mapper.renew_at == made_at + LIFETIME_S / 2
    place.run(LIFETIME_S * 3)

    renewed = place.sent_since(count)
    assert renewed[0] == made_at + LIFETIME_S / 2
    assert (
        len({at for at in renewed}) <= 12
    )  # six rounds; UPnP's are of two moments where the description is looked for
    assert place.router.forwards == BOTH
    assert place.external is not None


def test_with_a_mapping_nothing_is_sent_between_two_renewals() -> None:
    place = home("pcp")
    count = len(place.sent)

    place.run(LIFETIME_S / 2 - 1)

    assert len(place.sent) == count == 2


def test_a_question_is_repeated_with_growing_pauses_and_a_router_that_comes_late_is_heard() -> None:
    place = Home(Router({"pcp"}))
    place.is_reachable = False
    place.want(WANTED)
    began = place.now

    place.run(2)
    assert [at - began for at in place.sent_since(0)] == [0, 0.5, 1.5]
    place.is_reachable = True
    place.router.speaks = ALL
    place.run(10)

    assert place.external is not None


def test_where_nobody_answers_each_protocol_is_tried_thrice_and_then_there_is_a_long_pause() -> None:
    place = home()
    place.run(60)

    kinds = [sent.data[:1] for _, sent in place.sent if isinstance(sent, Transmit)]
    assert (kinds.count(b"\x02"), kinds.count(b"\x00"), kinds.count(b"M")) == (3, 3, 6)  # to the group and the gateway
    assert place.mapper.reason == "the router answers neither PCP nor NAT-PMP nor UPnP-IGD"
    assert place.mapper.is_idle
    last, count = place.sent[-1][0], len(place.sent)
    place.run(PAUSE_S - 60)
    assert len(place.sent) == count
    place.run(120)
    assert len(place.sent) > count
    assert place.sent[count][0] - last >= PAUSE_S


def test_a_refusal_is_said_with_its_protocol() -> None:
    place = Home(Router({"pcp"}, result=2))
    place.want(WANTED)
    place.run(30)

    assert place.external is None
    assert place.mapper.reason == "PCP: it does not permit it"


def test_that_the_exchange_port_is_refused_does_not_cost_the_tunnel_its_mapping() -> None:
    for speaks in ("pcp", "upnp"):
        place = Home(Router({speaks}, refuses_port=EXCHANGE))
        place.want(WANTED)
        place.run(30)

        assert place.external == Endpoint(OUTSIDE, WIREGUARD)
        assert place.mapper.mapping(EXCHANGE) is None
        assert place.mapper.renew_at is not None
        assert place.mapper.renew_at - place.now > PAUSE_S


def test_a_port_that_is_taken_outside_is_replaced_by_another() -> None:
    for version, expected in ((1, WIREGUARD + 1), (2, 61000)):
        place = Home(Router({"upnp"}, taken={WIREGUARD}, igd_version=version))
        place.want(WANTED)
        place.run(30)

        assert place.external == Endpoint(OUTSIDE, expected)


def test_a_device_with_every_port_taken_is_given_up() -> None:
    place = Home(Router({"upnp"}, taken=set(range(65536))))
    place.want(WANTED)
    place.run(60)

    assert place.external is None
    assert "718" in place.mapper.reason
    assert len(place.sent) < 40


def test_a_device_that_knows_permanent_mappings_only_gets_one_and_loses_it_at_the_stop() -> None:
    place = Home(Router({"upnp"}, only_permanent=True))
    place.want(WANTED)
    place.run(30)
    assert place.router.forwards == BOTH

    place.want(None)

    assert place.router.forwards == {}


@pytest.mark.parametrize("speaks", ["pcp", "natpmp", "upnp"])
def test_a_stop_takes_both_mappings_back_and_then_nothing_is_due(speaks: str) -> None:
    place = home(speaks)
    place.run(30)
    assert place.router.forwards == BOTH

    place.want(None)

    assert place.router.forwards == {}
    assert place.mapper.is_idle
    assert place.mapper.poll_timeout() is None
    assert place.external is None


def test_another_port_takes_the_place_of_the_one_before_at_the_same_router() -> None:
    place = home("pcp")

    place.want(Wanted(WANTED.site, (51999, EXCHANGE)))

    assert place.router.forwards == {51999: 51999, EXCHANGE: EXCHANGE}


def test_at_another_router_everything_is_asked_for_again_and_the_old_one_is_left_alone() -> None:
    place = home("pcp")
    count = len(place.sent)

    place.want(replace(WANTED, site=Site(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"))))

    assert {sent.to.host for _, sent in place.sent[count:] if isinstance(sent, Transmit)} == {IPv4Address("10.0.0.1")}
    assert place.external is None


def test_asking_for_what_is_already_wanted_sends_nothing() -> None:
    place = home("pcp")
    count = len(place.sent)

    place.want(WANTED)

    assert len(place.sent) == count


def test_a_router_that_stays_silent_keeps_the_mapping_until_it_expires_and_not_longer() -> None:
    place = home("pcp")
    place.is_reachable = False

    place.run(LIFETIME_S - 1)
    assert place.external is not None
    changes = place.changes
    place.run(2)

    assert place.external is None
    assert place.changes > changes
    place.is_reachable = True
    place.run(PAUSE_S * 2)
    assert place.external is not None


def test_a_router_that_grants_little_is_not_asked_more_than_once_a_minute() -> None:
    place = Home(Router({"pcp"}, lifetime_s=120))
    place.want(WANTED)
    count = len(place.sent)

    place.run(600)

    assert len(set(place.sent_since(count))) <= 600 / RENEWAL_GAP_MIN_S
    assert place.external is not None


@pytest.mark.parametrize("speaks", ["pcp", "natpmp"])
def test_a_lifetime_that_would_be_asked_for_all_the_time_is_refused(speaks: str) -> None:
    place = Home(Router({speaks}, lifetime_s=119))
    place.want(WANTED)
    place.run(30)

    assert place.external is None
    assert "119 s" in place.mapper.reason


def announcement(epoch_s: int, version: int = 2) -> bytes:
    if version:
        return struct.pack("!BBBBII12x", 2, 0x80, 0, 0, 0, epoch_s)
    return struct.pack("!BBHI4s", 0, 0x80, 0, epoch_s, OUTSIDE.packed)


@pytest.mark.parametrize(("speaks", "version"), [("pcp", 2), ("natpmp", 0)])
def test_a_router_that_says_it_has_started_again_is_asked_for_all_mappings_at_once(speaks: str, version: int) -> None:
    place = home(speaks)
    place.run(100)
    place.router.forget(place.now)

    place.mapper.handle_datagram(announcement(0, version), Endpoint(GATEWAY, 5351), place.now, ANNOUNCEMENTS)
    place.run(1)

    assert place.router.forwards == BOTH
    count = len(place.sent)
    place.run(PAUSE_S)
    assert len(place.sent) == count


def test_an_announcement_during_a_round_is_remembered_until_its_end() -> None:
    place = home("pcp")
    place.run(LIFETIME_S / 2 - 1)
    place.is_reachable = False
    place.run(1.2)  # the renewal has begun, and waits
    place.mapper.handle_datagram(announcement(0), Endpoint(GATEWAY, 5351), place.now, ANNOUNCEMENTS)
    place.router.forget(place.now)
    place.run(10)  # all protocols in vain
    place.is_reachable = True
    place.run(FORGOTTEN_GAP_S)

    assert place.router.forwards == BOTH


def test_a_mapping_of_upnp_is_not_touched_by_announcements_of_other_protocols() -> None:
    place = home("upnp")
    place.run(100)
    count = len(place.sent)

    for epoch_s, version in ((5000, 0), (0, 0), (5000, 2), (0, 2)):
        place.mapper.handle_datagram(announcement(epoch_s, version), Endpoint(GATEWAY, 5351), place.now, ANNOUNCEMENTS)
        place.run(60)

    assert len(place.sent) == count


def test_a_router_that_refuses_is_not_asked_more_often_for_starting_again_all_the_time() -> None:
    place = Home(Router({"pcp"}, result=2))
    place.want(WANTED)
    place.run(60)
    count = len(place.sent)

    place.router.forget(place.now)
    place.run(PAUSE_S * 2.5)

    rounds = [sent for _, sent in place.sent[count:] if isinstance(sent, Transmit) and sent.data[0] == 2]
    assert len(rounds) == 2


def test_a_renewal_in_vain_is_tried_again_after_each_pause_while_the_mapping_lasts() -> None:
    place = home("pcp")
    place.run(LIFETIME_S / 2 - 1)
    place.is_reachable = False
    changes = place.changes
    place.run(PAUSE_S + 60)

    assert place.external is not None
    assert place.mapper.reason == "the router answers neither PCP nor NAT-PMP nor UPnP-IGD"
    assert place.changes > changes
    place.is_reachable = True
    count = len(place.sent)
    place.run(PAUSE_S)
    assert len(place.sent) > count
    assert place.mapper.reason == ""


def test_an_announcement_of_a_router_that_has_not_started_again_changes_nothing() -> None:
    place = home("pcp")
    place.run(100)
    count = len(place.sent)

    place.mapper.handle_datagram(announcement(1100), Endpoint(GATEWAY, 5351), place.now, ANNOUNCEMENTS)
    place.run(60)

    assert len(place.sent) == count


def test_forged_announcements_cost_no_more_than_a_question_in_ten_seconds() -> None:
    place = home("pcp")
    count = len(place.sent)

    for _ in range(1000):
        place.run(0.1)
        place.mapper.handle_datagram(announcement(0), Endpoint(GATEWAY, 5351), place.now, ANNOUNCEMENTS)
        place.settle()

    assert len(set(place.sent_since(count))) <= 100 / FORGOTTEN_GAP_S + 1


@pytest.mark.parametrize("source", [Endpoint.of("192.168.7.66", 5351), Endpoint(GATEWAY, 5352)])
def test_an_announcement_from_elsewhere_is_nothing(source: Endpoint) -> None:
    place = home("pcp")
    place.run(100)
    count = len(place.sent)

    place.mapper.handle_datagram(announcement(0), source, place.now, ANNOUNCEMENTS)
    place.run(60)

    assert len(place.sent) == count


def test_a_router_found_to_have_forgotten_while_it_is_asked_is_asked_again_for_what_came_before() -> None:
    place = home("pcp")
    place.run(LIFETIME_S / 2 - 1)
    [(first, _), *_] = [
        place.router.answer(sent, place.now) or (b"", None) for _, sent in place.sent[:1] if isinstance(sent, Transmit)
    ]
    assert first
    place.now += 1
    place.mapper.handle_timeout(place.now)
    question = place.mapper.poll_transmit()
    assert question is not None
    answer = place.router.answer(question, place.now)
    assert answer is not None
    place.mapper.handle_datagram(*answer, place.now, ROUTER)  # WireGuard's port, before it forgets
    place.router.forget(place.now)

    place.settle()  # the exchange port, after it
    place.run(FORGOTTEN_GAP_S + 1)

    assert place.router.forwards == BOTH


def open_question() -> tuple[Home, Transmit]:
    place = Home(Router({"pcp"}))
    place.mapper.want(WANTED, place.now)
    question = place.mapper.poll_transmit()
    assert question is not None
    return place, question


@pytest.mark.parametrize("source", [Endpoint.of("192.168.7.66", 5351), Endpoint(GATEWAY, 5350), Endpoint(OWN, 5351)])
def test_an_answer_that_does_not_come_from_the_gateways_port_is_not_taken(source: Endpoint) -> None:
    place, question = open_question()
    answer = place.router.answer(question, place.now)
    assert answer is not None

    place.mapper.handle_datagram(answer[0], source, place.now, ROUTER)

    assert place.external is None
    place.mapper.handle_datagram(*answer, place.now, ROUTER)
    assert place.external is not None


def test_an_answer_with_another_nonce_is_not_taken() -> None:
    place, question = open_question()
    answer = place.router.answer(question, place.now)
    assert answer is not None
    data = bytearray(answer[0])
    data[24] ^= 1

    place.mapper.handle_datagram(bytes(data), answer[1], place.now, ROUTER)

    assert place.external is None


def test_an_answer_after_all_is_done_changes_nothing() -> None:
    place, question = open_question()
    answer = place.router.answer(question, place.now)
    assert answer is not None
    place.settle()
    place.mapper.handle_datagram(*answer, place.now, ROUTER)
    place.want(None)

    place.router.outside = IPv4Address("44.130.0.9")
    place.mapper.handle_datagram(*answer, place.now, ROUTER)

    assert place.external is None


@pytest.mark.parametrize("speaks", ["pcp", "natpmp", "upnp"])
def test_an_external_address_that_is_refused_ends_the_round_without_a_mapping(speaks: str) -> None:
    place = Home(Router({speaks}, outside=IPv4Address("10.64.0.7")))
    place.want(WANTED)
    place.run(30)

    assert place.external is None
    assert place.mapper.reason.endswith("10.64.0.7 is no good")
    assert place.router.forwards == {}
    if speaks == "pcp":
        assert not any(isinstance(sent, Transmit) and sent.data[0] != 2 for _, sent in place.sent)


def test_an_address_that_turns_bad_takes_the_mapping_away() -> None:
    place = home("pcp")
    place.router.outside = IPv4Address("10.64.0.7")

    place.run(LIFETIME_S / 2 + 1)

    assert place.external is None


def test_a_description_on_another_host_is_not_fetched() -> None:
    for location in ("http://192.168.7.66:5000/desc.xml", "http://router.example/desc.xml", "https://192.168.7.1/d"):
        place = Home(Router({"upnp"}, location=location))
        place.want(WANTED)
        place.run(30)

        assert not any(isinstance(sent, FetchWanted) for _, sent in place.sent)
        assert place.external is None


def test_a_fetch_that_is_not_answered_is_given_up_and_a_late_answer_to_it_is_not_taken() -> None:
    place = Home(Router({"upnp"}))
    place.mapper.want(WANTED, place.now)
    fetch = None
    while fetch is None:
        place.now += 0.5
        place.mapper.handle_timeout(place.now)
        while (transmit := place.mapper.poll_transmit()) is not None:
            answer = place.router.answer(transmit, place.now)
            if answer is not None:
                place.mapper.handle_datagram(*answer, place.now, ROUTER)
        while (event := place.mapper.poll_event()) is not None:
            fetch = event if isinstance(event, FetchWanted) else fetch
    place.mapper.handle_fetched(fetch.number + 1, place.router.fetch(fetch.fetch.request), place.now)
    assert not place.mapper.is_idle

    place.run(FETCH_TIMEOUT_S + 1)
    assert place.mapper.is_idle
    place.mapper.handle_fetched(fetch.number, place.router.fetch(fetch.fetch.request), place.now)

    assert place.external is None
    assert place.mapper.reason == "UPnP-IGD: it does not answer over HTTP"


def test_where_the_protocol_that_worked_is_switched_off_another_one_takes_over() -> None:
    place = home("pcp")
    place.router.speaks = {"upnp"}

    place.run(LIFETIME_S / 2 + 60)

    made = place.mapper.mapping(WIREGUARD)
    assert made is not None
    assert made.protocol == "UPnP-IGD"


def test_each_port_has_a_nonce_of_its_own_that_follows_from_the_seed() -> None:
    assert nonce(SEED, WIREGUARD) == nonce(SEED, WIREGUARD)
    assert len({nonce(SEED, WIREGUARD), nonce(SEED, EXCHANGE), nonce(bytes(16), WIREGUARD)}) == 3
    assert len(nonce(SEED, WIREGUARD)) == 12
