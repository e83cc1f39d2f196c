"""Who gets a network that peers advertise."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import IPNetwork, PublicKey, RefusedRoute
from wgmesh.core.settings import PRIVATE_NETWORKS
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.liveness import Liveness, Verdict
from wgmesh.node.routes import (
    GRACE_S,
    NOT_PROVEN,
    REFUSED_MAX,
    REMEMBERED_MAX,
    ROUTES_MAX,
    TAKE_BACK_S,
    Choice,
    RouteChooser,
    Surroundings,
)

LOW, HIGH, THIRD = (PublicKey(bytes([number]) * 32) for number in (1, 2, 3))
ANY = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
SITE = ipaddress.ip_network("10.66.0.0/24")
PART = ipaddress.ip_network("10.66.0.0/25")
ELSEWHERE = ipaddress.ip_network("10.67.0.0/24")
SITE_V6, ELSEWHERE_V6 = ipaddress.ip_network("fd66::/48"), ipaddress.ip_network("fd67::/48")


def proven(now: float = 0.0) -> Verdict:
    return Verdict(Liveness.CONNECTED, proven_at=now)


def dead(now: float = 0.0) -> Verdict:
    return Verdict(Liveness.STALE, proven_at=now)


def both(first: PublicKey = LOW, second: PublicKey = HIGH) -> dict[PublicKey, Iterable[IPNetwork]]:
    """Two that advertise one network, in this order."""
    return {first: [SITE], second: [SITE]}


def choose(
    chooser: RouteChooser, advertised: dict[PublicKey, Iterable[IPNetwork]], *alive: PublicKey, now: float = 0.0
) -> Choice:
    return chooser.choose(advertised, {key: proven(now) for key in alive}, now)


def test_networks_outside_the_accept_list_are_refused_by_name() -> None:
    chooser = RouteChooser([ipaddress.ip_network("10.66.0.0/16")])
    choice = choose(chooser, {LOW: [SITE, ELSEWHERE]}, LOW)
    assert choice.routes == {LOW: {SITE}}
    (refused,) = choice.refused
    assert (refused.network, refused.public_key) == (ELSEWHERE, LOW) and "--accept-routes" in refused.reason


def test_the_accept_list_judges_each_family_by_its_own_networks() -> None:
    chooser = RouteChooser([SITE, SITE_V6])
    choice = choose(chooser, {LOW: [ELSEWHERE_V6, SITE_V6, ELSEWHERE, SITE]}, LOW)
    assert choice.routes == {LOW: {SITE, SITE_V6}}
    assert [each.network for each in choice.refused] == [ELSEWHERE, ELSEWHERE_V6]


def test_a_network_around_an_accepted_one_is_refused() -> None:
    around = ipaddress.ip_network("10.66.0.0/16")
    choice = choose(RouteChooser([SITE]), {LOW: [around]}, LOW)
    assert choice.routes == {} and [each.network for each in choice.refused] == [around]


def test_what_is_refused_is_named_in_order_so_that_status_does_not_flicker() -> None:
    networks = [ipaddress.ip_network(f"10.{number}.0.0/16") for number in range(20)]
    refused = choose(RouteChooser([]), {HIGH: networks[::-1], LOW: networks}, LOW).refused
    assert [(each.public_key, each.network) for each in refused] == [
        *((LOW, network) for network in networks),
        *((HIGH, network) for network in networks),
    ]


def test_of_two_that_advertise_one_network_the_lower_key_has_it_if_its_tunnel_works() -> None:
    assert choose(RouteChooser(ANY), both(), LOW, HIGH).routes == {LOW: {SITE}}
    assert choose(RouteChooser(ANY), both(), HIGH).routes == {HIGH: {SITE}}
    choice = choose(RouteChooser(ANY), both(), LOW, HIGH)
    assert [(each.public_key, LOW.short in each.reason) for each in choice.refused] == [(HIGH, True)]


def test_the_lower_key_has_it_in_whatever_order_the_peers_are_listed() -> None:
    assert choose(RouteChooser(ANY), both(HIGH, LOW), LOW, HIGH).routes == {LOW: {SITE}}


def test_a_stale_tunnel_is_no_working_one() -> None:
    choice = RouteChooser(ANY).choose(both(), {LOW: dead(), HIGH: proven(200.0)}, now=200.0)
    assert choice.routes == {HIGH: {SITE}}


def test_a_network_moves_at_once_when_its_holder_dies_and_back_after_half_a_minute_of_proof() -> None:
    chooser = RouteChooser(ANY)
    assert choose(chooser, both(), LOW, HIGH).routes == {LOW: {SITE}}
    for now in (1.0, 2.0):
        assert choose(chooser, both(), HIGH, now=now).routes == {HIGH: {SITE}}
    back = choose(chooser, both(), LOW, HIGH, now=3.0)
    assert back.routes == {HIGH: {SITE}} and back.next_at == 3.0 + TAKE_BACK_S
    assert choose(chooser, both(), LOW, HIGH, now=3.0 + TAKE_BACK_S).routes == {LOW: {SITE}}


def test_a_lower_key_whose_tunnel_has_never_failed_takes_a_network_at_once() -> None:
    chooser = RouteChooser(ANY)
    choose(chooser, {HIGH: [SITE]}, HIGH)
    assert choose(chooser, both(), LOW, HIGH, now=1.0).routes == {LOW: {SITE}}


def test_a_recovered_holder_keeps_its_network_when_a_higher_key_appears() -> None:
    chooser = RouteChooser(ANY)
    for now, alive in enumerate([(LOW,), (), (LOW,)]):
        choose(chooser, {LOW: [SITE]}, *alive, now=float(now))
    choice = choose(chooser, both(), LOW, HIGH, now=3.0)
    assert choice.routes == {LOW: {SITE}}
    assert choice.next_at == 3.0 + REJECT_AFTER_S  # and nothing can move before the holder's tunnel ends


def test_a_higher_key_that_has_recovered_is_no_reason_to_look_again() -> None:
    chooser = RouteChooser(ANY)
    for now, alive in enumerate([(LOW, HIGH), (LOW,)]):
        choose(chooser, both(), *alive, now=float(now))
    assert choose(chooser, both(), LOW, HIGH, now=2.0).next_at == 2.0 + REJECT_AFTER_S


@pytest.mark.parametrize("verdict", [None, Verdict(Liveness.CONNECTING), Verdict(Liveness.STALE, proven_at=-200.0)])
def test_a_claim_without_a_proven_tunnel_routes_nothing_and_says_what_it_waits_for(verdict: Verdict | None) -> None:
    chooser = RouteChooser(ANY)
    for now in (0.0, 1.0, 10_000.0):
        choice = chooser.choose({LOW: [SITE]}, {LOW: verdict} if verdict else {}, now)
        assert choice.routes == {}
        assert choice.refused == (RefusedRoute(SITE, LOW, NOT_PROVEN, is_waiting=True),)


def test_a_network_outlives_the_proof_of_its_holder_by_the_grace_time_and_not_by_more() -> None:
    chooser, advertised = RouteChooser(ANY), {LOW: [SITE]}
    held = Surroundings(routed={LOW: frozenset({SITE})})
    chooser.choose(advertised, {LOW: proven(0.0)}, 0.0, held)
    ended = chooser.choose(advertised, {LOW: dead(0.0)}, REJECT_AFTER_S, held)
    assert ended.routes == {LOW: {SITE}} and ended.next_at == REJECT_AFTER_S + GRACE_S
    last = chooser.choose(advertised, {LOW: dead(0.0)}, REJECT_AFTER_S + GRACE_S - 0.1, held)
    assert last.routes == {LOW: {SITE}} and last.refused == ()
    gone = chooser.choose(advertised, {LOW: dead(0.0)}, REJECT_AFTER_S + GRACE_S, held)
    assert gone.routes == {} and [each.is_waiting for each in gone.refused] == [True]
    assert chooser.choose(advertised, {LOW: proven(400.0)}, 400.0).routes == {LOW: {SITE}}


def test_a_holder_that_is_back_within_the_grace_time_has_never_lost_its_network() -> None:
    chooser, advertised = RouteChooser(ANY), {LOW: [SITE]}
    held = Surroundings(routed={LOW: frozenset({SITE})})
    for now, verdict in ((0.0, proven()), (180.0, dead()), (299.0, dead()), (299.5, proven(299.5)), (480.0, dead())):
        assert chooser.choose(advertised, {LOW: verdict}, now, held).routes == {LOW: {SITE}}
    assert chooser.choose(advertised, {LOW: dead()}, 480.0 + GRACE_S - 1, held).routes == {LOW: {SITE}}


def test_the_grace_time_installs_nothing_that_is_not_routed_already() -> None:
    chooser = RouteChooser(ANY)
    held = Surroundings(routed={LOW: frozenset({SITE})})
    chooser.choose({LOW: [SITE]}, {LOW: proven()}, 0.0, held)
    choice = chooser.choose({LOW: [SITE, ELSEWHERE]}, {LOW: dead()}, 200.0, held)
    assert choice.routes == {LOW: {SITE}} and [each.network for each in choice.refused] == [ELSEWHERE]
    assert chooser.choose({LOW: [SITE]}, {LOW: dead()}, 201.0, Surroundings()).routes == {}


def test_a_clock_that_is_set_forward_takes_no_grace_away() -> None:
    chooser, advertised = RouteChooser(ANY), {LOW: [SITE]}
    held = Surroundings(routed={LOW: frozenset({SITE})})
    chooser.choose(advertised, {LOW: proven()}, 0.0, held)
    assert chooser.choose(advertised, {LOW: dead()}, 1e6, held).routes == {LOW: {SITE}}
    assert chooser.choose(advertised, {LOW: dead()}, 1e6 + GRACE_S, held).routes == {}


def test_a_node_that_was_started_again_gives_its_holders_the_grace_time_too_but_not_those_it_has_never_met() -> None:
    held = Surroundings(routed={LOW: frozenset({SITE})})
    chooser = RouteChooser(ANY)
    assert chooser.choose({LOW: [SITE]}, {LOW: dead(-200.0)}, 0.0, held).routes == {LOW: {SITE}}
    assert chooser.choose({LOW: [SITE]}, {LOW: dead(-200.0)}, GRACE_S, held).routes == {}
    unmet = Verdict(Liveness.CONNECTING)
    assert RouteChooser(ANY).choose({LOW: [SITE]}, {LOW: unmet}, 0.0, held).routes == {}


def test_in_its_grace_time_a_network_goes_to_another_whose_tunnel_works() -> None:
    held = Surroundings(routed={LOW: frozenset({SITE})})
    chooser = RouteChooser(ANY)
    chooser.choose(both(), {LOW: proven()}, 0.0, held)
    assert chooser.choose(both(), {LOW: dead(), HIGH: proven(200.0)}, 200.0, held).routes == {HIGH: {SITE}}


@pytest.mark.parametrize("network", ["8.0.0.0/7", "64.0.0.0/2", "fc00::/7", "fc00::/8", "2000::/12"])
def test_a_wide_network_is_taken_only_where_the_operator_has_named_it(network: str) -> None:
    wide = ipaddress.ip_network(network)
    refused = choose(RouteChooser((*ANY, *PRIVATE_NETWORKS)), {LOW: [wide, SITE]}, LOW)
    assert refused.routes == {LOW: {SITE}} and "name this very network" in refused.refused[0].reason
    named = choose(RouteChooser((*ANY, wide)), {LOW: [wide]}, LOW)
    assert named.routes == ({LOW: {wide}} if wide not in PRIVATE_NETWORKS else {})


@pytest.mark.parametrize("network", ["10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10", "fd00::/16"])
def test_private_networks_of_a_proven_peer_are_taken_by_default(network: str) -> None:
    wanted = ipaddress.ip_network(network)
    assert choose(RouteChooser(PRIVATE_NETWORKS), {LOW: [wanted]}, LOW).routes == {LOW: {wanted}}


@pytest.mark.parametrize("where", ["10.66.0.0", "10.66.0.9", "10.66.0.255"])
def test_a_network_that_holds_an_address_from_which_a_member_has_answered_is_not_routed(where: str) -> None:
    answered = Surroundings(((ipaddress.ip_address(where), THIRD),))
    choice = RouteChooser(ANY).choose({LOW: [SITE, ELSEWHERE]}, {LOW: proven()}, 0.0, answered)
    assert choice.routes == {LOW: {ELSEWHERE}}
    (refused,) = choice.refused
    assert refused.network == SITE and where in refused.reason and THIRD.short in refused.reason


def test_an_answer_that_may_have_come_through_the_network_itself_is_no_reason_to_withdraw_it() -> None:
    chooser, answered = RouteChooser(ANY), ((ipaddress.ip_address("10.66.0.9"), THIRD),)
    advertised, verdicts = {LOW: [SITE]}, {LOW: proven()}
    chooser.choose(advertised, verdicts, 0.0)
    held = Surroundings(answered, {LOW: frozenset({SITE})})
    assert chooser.choose(advertised, verdicts, 1.0, held).routes == {LOW: {SITE}}
    assert chooser.choose(advertised, verdicts, 2.0, Surroundings(answered)).routes == {
        LOW: {SITE}
    }  # the link was down


def test_of_too_many_networks_those_that_are_routed_already_stay() -> None:
    many = [ipaddress.ip_network((0x0A000000 + number * 256, 24)) for number in range(ROUTES_MAX)]
    held = Surroundings(routed={HIGH: frozenset({SITE_V6})})
    choice = RouteChooser(ANY).choose({LOW: many, HIGH: [SITE_V6]}, {LOW: proven(), HIGH: proven()}, 0.0, held)
    assert choice.routes[HIGH] == {SITE_V6} and len(choice.routes[LOW]) == ROUTES_MAX - 1
    assert len(choice.refused) == 1 and str(ROUTES_MAX) in choice.refused[0].reason


def test_what_is_told_of_refused_networks_has_a_bound_and_proven_peers_come_first() -> None:
    crowd = {PublicKey(bytes([9]) + number.to_bytes(31, "big")): [SITE] for number in range(REFUSED_MAX + 9)}
    choice = choose(RouteChooser([SITE_V6]), {HIGH: [ELSEWHERE], **crowd}, HIGH)
    assert len(choice.refused) == REFUSED_MAX
    assert (choice.refused[0].public_key, choice.refused[0].is_waiting) == (HIGH, False)


@pytest.mark.parametrize("absent", [{HIGH: [SITE]}, {LOW: [], HIGH: [SITE]}])
def test_one_that_left_or_withdrew_its_network_comes_back_like_one_that_was_lost(
    absent: dict[PublicKey, Iterable[IPNetwork]],
) -> None:
    chooser = RouteChooser(ANY)
    choose(chooser, both(), LOW, HIGH)
    assert choose(chooser, absent, LOW, HIGH, now=1.0).routes == {HIGH: {SITE}}
    assert choose(chooser, both(), LOW, HIGH, now=2.0).routes == {HIGH: {SITE}}
    assert choose(chooser, both(), LOW, HIGH, now=2.0 + TAKE_BACK_S).routes == {LOW: {SITE}}


@pytest.mark.parametrize(("known", "holder"), [(REMEMBERED_MAX, HIGH), (REMEMBERED_MAX + 1, LOW)])
def test_those_who_left_are_remembered_until_too_many_new_keys_have_come(known: int, holder: PublicKey) -> None:
    chooser = RouteChooser(ANY)
    choose(chooser, both(), LOW, HIGH)
    strangers = [PublicKey(b"new" + number.to_bytes(29, "big")) for number in range(known - 2)]
    choose(chooser, {HIGH: [SITE], **{key: [ELSEWHERE] for key in strangers}}, HIGH, now=1.0)
    assert choose(chooser, both(), LOW, HIGH, now=2.0).routes == {holder: {SITE}}


def test_a_contested_network_is_looked_at_again_when_the_proof_of_its_holder_ends() -> None:
    assert choose(RouteChooser(ANY), both(), LOW, now=5.0).next_at == 5.0 + REJECT_AFTER_S
    assert choose(RouteChooser(ANY), {LOW: [SITE]}, LOW, now=5.0).next_at == 5.0 + REJECT_AFTER_S


@pytest.mark.parametrize("age_s", [REJECT_AFTER_S, REJECT_AFTER_S + 20])
def test_the_next_look_is_never_at_this_instant_or_in_the_past(age_s: float) -> None:
    choice = RouteChooser(ANY).choose(both(), {LOW: dead(1000.0), HIGH: dead(1000.0)}, now=1000.0 + age_s)
    assert choice.next_at is None


def test_a_mere_claim_takes_no_part_of_a_network_that_works() -> None:
    held = Surroundings(routed={LOW: frozenset({PART})})
    chooser = RouteChooser(ANY)
    chooser.choose({LOW: [PART], HIGH: [SITE]}, {LOW: proven()}, 0.0, held)
    choice = chooser.choose({LOW: [PART], HIGH: [SITE]}, {HIGH: proven()}, 1.0, held)
    assert choice.routes == {HIGH: {SITE}}
    (refused,) = choice.refused
    assert (refused.network, refused.public_key) == (PART, LOW)
    assert str(SITE) in refused.reason and HIGH.short in refused.reason


def test_a_part_belongs_to_its_own_gateway_while_that_works_and_else_to_the_one_of_the_whole() -> None:
    chooser = RouteChooser(ANY)
    nested: dict[PublicKey, Iterable[IPNetwork]] = {LOW: [SITE], HIGH: [PART]}
    works = choose(chooser, nested, LOW, HIGH)
    assert works.routes == {LOW: {SITE}, HIGH: {PART}}
    assert works.next_at == REJECT_AFTER_S
    assert choose(chooser, nested, LOW, now=1.0).routes == {LOW: {SITE}}


def test_a_part_of_a_network_whose_gateway_is_dead_is_taken_by_a_peer_that_offers_it() -> None:
    held = Surroundings(routed={LOW: frozenset({SITE})})
    chooser = RouteChooser(ANY)
    chooser.choose({LOW: [SITE], HIGH: [PART]}, {LOW: proven()}, 0.0, held)
    choice = chooser.choose({LOW: [SITE], HIGH: [PART]}, {HIGH: proven()}, 1.0, held)
    assert choice.routes == {LOW: {SITE}, HIGH: {PART}}


def test_a_network_beside_one_that_works_is_nobodys_part() -> None:
    choice = choose(RouteChooser(ANY), {LOW: [ELSEWHERE], HIGH: [SITE]}, LOW, HIGH)
    assert choice.routes == {LOW: {ELSEWHERE}, HIGH: {SITE}}


def test_one_peer_may_offer_a_network_and_a_part_of_it() -> None:
    assert choose(RouteChooser(ANY), {LOW: [SITE, PART]}, LOW).routes == {LOW: {SITE, PART}}


_NETWORKS = st.builds(
    lambda address, length: ipaddress.ip_network((address, length), strict=False),
    st.integers(0x0A000000, 0x0A0000FF),
    st.integers(24, 32),
)
_ADVERTISED = st.fixed_dictionaries({key: st.frozensets(_NETWORKS, max_size=6) for key in (LOW, HIGH, THIRD)})
_TURN = st.tuples(_ADVERTISED, st.frozensets(st.sampled_from((LOW, HIGH, THIRD))))


@given(st.lists(_TURN, min_size=1, max_size=6))
def test_each_network_has_one_holder_and_none_is_taken_from_a_tunnel_that_works_by_one_that_does_not(
    turns: list[tuple[dict[PublicKey, frozenset[IPNetwork]], frozenset[PublicKey]]],
) -> None:
    chooser = RouteChooser(ANY)
    for now, (advertised, alive) in enumerate(turns):
        choice = choose(chooser, dict(advertised), *alive, now=float(now))
        held = [(network, key) for key, networks in choice.routes.items() for network in networks]
        assert len({network for network, _ in held}) == len(held)
        assert all(network in advertised[key] for network, key in held)
        refused = {(each.network, each.public_key) for each in choice.refused}
        assert refused | set(held) == {(network, key) for key, each in advertised.items() for network in each}
        for _, key in held:
            assert key in alive  # nothing is on the device yet that a grace time could keep
