"""Who owns which mesh address, and how a node that loses a contest moves."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Candidate, CandidateSource, Endpoint, Identity, Peer, PublicKey
from wgmesh.node.addresses import AddressBook, OwnAddresses
from wgmesh.node.settings import NodeSettings

SECRET = Secret.parse("wgmesh-address-test-secret")
KEYS = derive(SECRET)
SMALL, LARGE = sorted((PublicKey(bytes([1] * 32)), PublicKey(bytes([200] * 32))))
PINNED = KEYS.default_ipv4_network.network_address + 77  # follows from none of the keys here


def test_a_new_node_takes_the_address_that_follows_from_its_key() -> None:
    own = AddressBook(settings()).own(Identity(SMALL), [])

    assert own == OwnAddresses(derived(SMALL), derive_ipv6(SMALL, SECRET, KEYS))


def test_a_stored_address_is_kept_where_it_lies_in_the_mesh() -> None:
    pinned = KEYS.default_ipv4_network.network_address + 777

    assert AddressBook(settings()).own(Identity(SMALL, pinned), []).ipv4 == pinned


def test_a_stored_address_of_another_mesh_is_derived_again() -> None:
    foreign = ipaddress.IPv4Address("172.16.0.9")

    assert AddressBook(settings()).own(Identity(SMALL, foreign), []).ipv4 == derived(SMALL)


def test_a_stored_ipv6_address_of_another_secret_is_derived_again() -> None:
    stale = ipaddress.IPv6Address("fd00::1")

    own = AddressBook(settings()).own(Identity(SMALL, mesh_ipv6=stale), [])

    assert own.ipv6 == derive_ipv6(SMALL, SECRET, KEYS)


def test_a_node_that_loses_its_address_moves_to_its_next_derivation() -> None:
    book = AddressBook(subnet_settings("10.9.0.0/29"))
    loser, winner = colliding_pair(book)

    own = book.own(Identity(loser), [reached(winner, address_in("10.9.0.0/29", winner))])

    assert own.ipv4 != address_in("10.9.0.0/29", loser)
    assert own.ipv4 in ipaddress.ip_network("10.9.0.0/29")


def test_nobody_moves_for_somebody_that_is_only_heard_of() -> None:
    """In a /16 one key of 65,536 has any given address, so an attacker who wants one makes keys until one fits."""
    book = AddressBook(subnet_settings("10.9.0.0/29"))
    victim, invented = colliding_pair(book)
    address = address_in("10.9.0.0/29", victim)

    own = book.own(Identity(victim), [peer(invented, address)])
    (contest,) = book.contests(victim, own, [peer(invented, address)])

    assert own.ipv4 == address
    assert (contest.winner, contest.losers) == (victim, (invented,))


def test_an_address_stays_with_the_peer_that_was_reached_there_and_not_with_one_only_heard_of() -> None:
    book = AddressBook(subnet_settings("10.9.0.0/29"))
    victim, invented = colliding_pair(book)
    address = address_in("10.9.0.0/29", victim)
    own_key = next(
        key
        for key in (PublicKey(bytes([n] * 32)) for n in range(200, 250))
        if address_in("10.9.0.0/29", key) != address
    )
    own = book.own(Identity(own_key), [])

    (contest,) = book.contests(own_key, own, [reached(victim, address), peer(invented, address)])
    assert (contest.winner, contest.losers) == (victim, (invented,))
    (contest,) = book.contests(own_key, own, [reached(victim, address), reached(invented, address)])
    assert contest.winner == invented


def test_a_node_that_wins_a_contest_stays() -> None:
    book = AddressBook(subnet_settings("10.9.0.0/29"))
    loser, winner = colliding_pair(book)

    own = book.own(Identity(winner), [peer(loser, address_in("10.9.0.0/29", loser))])

    assert own.ipv4 == address_in("10.9.0.0/29", winner)


def test_naming_anothers_address_does_not_take_it_however_small_the_key() -> None:
    victim_address = derived(LARGE)
    book = AddressBook(settings())

    own = book.own(Identity(LARGE), [peer(SMALL, victim_address)])
    contests = book.contests(LARGE, own, [peer(SMALL, victim_address)])

    assert own.ipv4 == victim_address
    assert [(contest.winner, contest.losers) for contest in contests] == [(LARGE, (SMALL,))]


def test_two_peers_that_claim_one_address_have_one_winner_whatever_their_order() -> None:
    address = KEYS.default_ipv4_network.network_address + 999
    own_key = PublicKey(bytes([77] * 32))
    book = AddressBook(settings())
    own = book.own(Identity(own_key), [])

    for peers in ([peer(SMALL, address), peer(LARGE, address)], [peer(LARGE, address), peer(SMALL, address)]):
        (contest,) = book.contests(own_key, own, peers)
        assert contest.address == address
        assert contest.winner == SMALL


def test_of_two_pinned_claims_the_one_that_was_here_first_stands() -> None:
    """Addresses that follow from no key: a newcomer must not take one by having a smaller key."""
    book = AddressBook(settings())
    smaller, larger = sorted((PublicKey(bytes([7]) * 32), PublicKey(bytes([8]) * 32)))
    own_key = PublicKey(bytes([77] * 32))
    own = OwnAddresses(derived(own_key), derive_ipv6(own_key, SECRET, KEYS))
    peers = [Peer(smaller, PINNED, first_seen_at=200.0), Peer(larger, PINNED, first_seen_at=100.0)]
    for order in (peers, peers[::-1]):
        (contest,) = book.contests(own_key, own, order)
        assert (contest.winner, contest.losers) == (larger, (smaller,))


def test_our_own_claim_on_an_address_that_follows_from_no_key_is_judged_by_the_keys_alone() -> None:
    """Who was here first is another thing for each node; both have to come to the same winner."""
    book = AddressBook(settings())

    for own_key, other in ((LARGE, SMALL), (SMALL, LARGE)):
        rival = reached(other, PINNED)
        own = book.own(Identity(own_key, PINNED), [rival])
        still_there = OwnAddresses(PINNED, derive_ipv6(own_key, SECRET, KEYS))
        (contest,) = book.contests(own_key, still_there, [rival])

        assert (contest.winner, contest.losers) == (SMALL, (LARGE,))
        assert (own.ipv4 == PINNED) is (own_key == SMALL)


@pytest.mark.parametrize("subnet", [None, ipaddress.IPv4Network("10.9.0.0/16")])
def test_a_claim_that_follows_from_the_key_beats_one_that_does_not_however_small_that_key(
    subnet: ipaddress.IPv4Network | None,
) -> None:
    book = AddressBook(settings(subnet))
    address = derive_ipv4(LARGE, SECRET, KEYS, subnet)
    thief = reached(SMALL, address)

    own = book.own(Identity(LARGE), [thief])
    (contest,) = book.contests(LARGE, own, [thief])

    assert own.ipv4 == address
    assert (contest.winner, contest.losers) == (LARGE, (SMALL,))


def test_an_ipv6_address_belongs_to_the_key_that_it_follows_from() -> None:
    address = derive_ipv6(LARGE, SECRET, KEYS)
    thief = replace(reached(SMALL, derived(SMALL)), mesh_ipv6=address)
    book = AddressBook(settings())

    (contest,) = book.contests(LARGE, book.own(Identity(LARGE), []), [thief])

    assert (contest.address, contest.winner, contest.losers) == (address, LARGE, (SMALL,))


def test_of_two_claims_that_follow_from_their_keys_the_smaller_key_wins_however_late_it_came() -> None:
    book = AddressBook(subnet_settings("10.9.0.0/29"))
    loser, winner = colliding_pair(book)
    address = address_in("10.9.0.0/29", loser)
    own_key = next(
        key for key in (PublicKey(bytes([n] * 32)) for n in range(256)) if address_in("10.9.0.0/29", key) != address
    )
    late, early = (replace(reached(key, address), first_seen_at=at) for key, at in ((winner, 200.0), (loser, 100.0)))

    (contest,) = book.contests(own_key, book.own(Identity(own_key), []), [early, late])

    assert (contest.winner, contest.losers) == (winner, (loser,))


def test_a_name_that_nothing_has_proven_takes_no_address_from_who_has_shown_itself() -> None:
    """Its key is the smaller one and it came first, so that nothing else would keep it from the address."""
    own_key = PublicKey(bytes([77] * 32))
    book = AddressBook(settings())
    invented = replace(peer(SMALL, PINNED), first_seen_at=100.0)
    shown = replace(peer(LARGE, PINNED), first_seen_at=200.0)

    for evident in (replace(shown, direct_seen_at=200.0), replace(shown, possession_at=200.0)):
        (contest,) = book.contests(own_key, book.own(Identity(own_key), []), [invented, evident])
        assert (contest.winner, contest.losers) == (LARGE, (SMALL,))


def test_those_who_must_move_are_named_in_the_order_of_their_keys() -> None:
    own_key = PublicKey(bytes([77] * 32))
    book = AddressBook(settings())
    keys = [PublicKey(bytes([number] * 32)) for number in (9, 3, 7, 5)]

    (contest,) = book.contests(own_key, book.own(Identity(own_key), []), [peer(key, PINNED) for key in keys])

    assert contest.losers == tuple(sorted(set(keys) - {contest.winner}))


def derived(key: PublicKey) -> ipaddress.IPv4Address:
    return derive_ipv4(key, SECRET, KEYS)


def address_in(subnet: str, key: PublicKey) -> ipaddress.IPv4Address:
    return derive_ipv4(key, SECRET, KEYS, ipaddress.IPv4Network(subnet))


def colliding_pair(book: AddressBook) -> tuple[PublicKey, PublicKey]:
    """Two keys with one address in a /29; the one with the larger text is the loser."""
    seen: dict[ipaddress.IPv4Address, PublicKey] = {}
    for number in range(256):
        key = PublicKey(bytes([number] * 32))
        other = seen.setdefault(address_in("10.9.0.0/29", key), key)
        if other != key:
            winner, loser = sorted((key, other))
            return loser, winner
    raise AssertionError("256 keys always collide in a /29")


def peer(key: PublicKey, address: ipaddress.IPv4Address) -> Peer:
    return Peer(key, address)


def reached(key: PublicKey, address: ipaddress.IPv4Address) -> Peer:
    candidate = Candidate(Endpoint.parse("192.0.2.1:51820"), CandidateSource.ANNOUNCED, observed_at=1.0, proven_at=1.0)
    return Peer(key, address, candidates=(candidate,))


def settings(mesh_subnet: ipaddress.IPv4Network | None = None) -> NodeSettings:
    return NodeSettings(
        secret=SECRET,
        keys=KEYS,
        interface="wg0",
        hostname="self",
        state_dir=Path("/nonexistent"),
        listen_port=51820,
        mtu=1420,
        mesh_subnet=mesh_subnet,
    )


def subnet_settings(subnet: str) -> NodeSettings:
    return settings(ipaddress.IPv4Network(subnet))
