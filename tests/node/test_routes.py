"""Who gets a network that peers advertise."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import IPNetwork, PublicKey
from wgmesh.node.liveness import REJECT_AFTER_S, Liveness, Verdict
from wgmesh.node.routes import TAKE_BACK_S, Choice, RouteChooser

LOW, HIGH, THIRD = (PublicKey(bytes([number]) * 32) for number in (1, 2, 3))
ANY = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
SITE = ipaddress.ip_network("10.66.0.0/24")
PART = ipaddress.ip_network("10.66.0.0/25")
ELSEWHERE = ipaddress.ip_network("10.67.0.0/24")


def proven(now: float = 0.0) -> Verdict:
    return Verdict(Liveness.CONNECTED, proven_at=now)


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


def test_of_two_that_advertise_one_network_the_lower_key_has_it_if_its_tunnel_works() -> None:
    both: dict[PublicKey, Iterable[IPNetwork]] = {LOW: [SITE], HIGH: [SITE]}
    assert choose(RouteChooser(ANY), both, LOW, HIGH).routes == {LOW: {SITE}}
    assert choose(RouteChooser(ANY), both, HIGH).routes == {HIGH: {SITE}}
    choice = choose(RouteChooser(ANY), both, LOW, HIGH)
    assert [(each.public_key, LOW.short in each.reason) for each in choice.refused] == [(HIGH, True)]


def test_a_network_moves_at_once_when_its_holder_dies_and_back_after_half_a_minute_of_proof() -> None:
    chooser = RouteChooser(ANY)
    both: dict[PublicKey, Iterable[IPNetwork]] = {LOW: [SITE], HIGH: [SITE]}
    assert choose(chooser, both, LOW, HIGH).routes == {LOW: {SITE}}
    assert choose(chooser, both, HIGH, now=1.0).routes == {HIGH: {SITE}}
    back = choose(chooser, both, LOW, HIGH, now=2.0)
    assert back.routes == {HIGH: {SITE}} and back.next_at == 2.0 + TAKE_BACK_S
    assert choose(chooser, both, LOW, HIGH, now=2.0 + TAKE_BACK_S).routes == {LOW: {SITE}}


def test_a_contested_network_is_looked_at_again_when_the_proof_of_its_holder_ends() -> None:
    choice = choose(RouteChooser(ANY), {LOW: [SITE], HIGH: [SITE]}, LOW, now=5.0)
    assert choice.next_at == 5.0 + REJECT_AFTER_S
    assert choose(RouteChooser(ANY), {LOW: [SITE]}, LOW, now=5.0).next_at is None


def test_a_mere_claim_takes_no_part_of_a_network_that_works() -> None:
    choice = choose(RouteChooser(ANY), {LOW: [PART], HIGH: [SITE]}, HIGH)
    assert choice.routes == {HIGH: {SITE}}
    (refused,) = choice.refused
    assert (refused.network, refused.public_key) == (PART, LOW)
    assert str(SITE) in refused.reason and HIGH.short in refused.reason


def test_a_part_belongs_to_its_own_gateway_while_that_works_and_else_to_the_one_of_the_whole() -> None:
    chooser = RouteChooser(ANY)
    both: dict[PublicKey, Iterable[IPNetwork]] = {LOW: [SITE], HIGH: [PART]}
    works = choose(chooser, both, LOW, HIGH)
    assert works.routes == {LOW: {SITE}, HIGH: {PART}}
    assert works.next_at == REJECT_AFTER_S
    assert choose(chooser, both, LOW, now=1.0).routes == {LOW: {SITE}}


def test_a_part_of_a_network_whose_gateway_is_dead_is_taken_by_whoever_offers_it() -> None:
    assert choose(RouteChooser(ANY), {LOW: [SITE], HIGH: [PART]}).routes == {LOW: {SITE}, HIGH: {PART}}


def test_one_peer_may_offer_a_network_and_a_part_of_it() -> None:
    assert choose(RouteChooser(ANY), {LOW: [SITE, PART]}).routes == {LOW: {SITE, PART}}


def test_a_peer_that_withdraws_a_network_leaves_it_to_the_other() -> None:
    chooser = RouteChooser(ANY)
    choose(chooser, {LOW: [SITE], HIGH: [SITE]}, LOW, HIGH)
    assert choose(chooser, {LOW: [], HIGH: [SITE]}, LOW, HIGH).routes == {HIGH: {SITE}}


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
        for network, key in held:
            if key not in alive:
                claimants = {other for other, each in advertised.items() if network in each}
                assert not claimants & alive
                assert not any(
                    network.subnet_of(outer) and other in alive  # type: ignore[arg-type]
                    for outer, other in held
                    if other != key
                )
