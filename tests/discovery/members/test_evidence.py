"""Which word about a member gives way to which, and who gives way to whom in a full table."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint, PeerProof, PublicKey
from wgmesh.discovery.members.candidates import PROOF_FRESH_S
from wgmesh.discovery.members.evidence import (
    CLAIMS_MAX,
    CLAIMS_PER_HOST_MAX,
    DIRECT_PER_HOST_MAX,
    TOLD_PER_HOST_MAX,
    Evidence,
    Places,
)
from wgmesh.discovery.members.record import ANSWER_FRESH_S, CLAIM_S, PeerFacts
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.outbox import Change

HEARSAY, CLAIM, ANSWER, POSSESSION, TUNNEL = Evidence
FACTS = PeerFacts(ipaddress.IPv4Address("10.1.0.1"), hostname="honest")
LIE = replace(FACTS, hostname="lie", mesh_ipv4=ipaddress.IPv4Address("10.1.0.66"), exchange_port=9)
NOW = 1000.0
HERE, ELSEWHERE = Endpoint.parse("198.51.100.1:52527"), Endpoint.parse("203.0.113.66:52527")


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def host(number: int, port: int = 52527) -> Endpoint:
    return Endpoint(ipaddress.IPv4Address(0x0A000000 + number), port)


def say(
    table: PeerTable,
    number: int,
    evidence: Evidence,
    source: Endpoint = HERE,
    facts: PeerFacts = FACTS,
    at: float = NOW,
) -> Change:
    """Gives a peer a word of this rank; hearsay is told by who is at the source."""
    if evidence is HEARSAY:
        return table.hear_second_hand(key(number), facts, None, "gossip", at, informant=source)
    change = table.hear(key(number), facts, [Endpoint(source.host, 51820)], "exchange", at, evidence, source)
    if evidence is ANSWER and change is not Change.NOTHING:
        table.set_control_endpoint(key(number), source)
    return change


def reach(table: PeerTable, number: int, at: float = NOW) -> None:
    table.prove([PeerProof(key(number), Endpoint(HERE.host, 51820), at)], at)


def known_as(evidence: Evidence) -> PeerTable:
    """A table with one peer of which that much is known."""
    table = PeerTable()
    say(table, 1, POSSESSION if evidence is TUNNEL else evidence)
    if evidence is TUNNEL:
        reach(table, 1)
    return table


@pytest.mark.parametrize("known", Evidence)
@pytest.mark.parametrize("word", [CLAIM, ANSWER, POSSESSION, TUNNEL])
def test_a_word_from_elsewhere_replaces_facts_and_addresses_only_where_nothing_better_is_known(
    known: Evidence, word: Evidence
) -> None:
    table = known_as(known)
    change = say(table, 1, word, ELSEWHERE, LIE, NOW + 1)
    (peer,) = table.peers(NOW + 1)
    is_believed = word >= POSSESSION or known <= CLAIM
    assert (peer.hostname == "lie") == is_believed and (change is not Change.NOTHING) == is_believed
    addresses = {each.endpoint.host for each in peer.candidates}
    assert (ELSEWHERE.host in addresses) == is_believed
    if not is_believed:
        record = table.get(key(1))
        assert record is not None and record.facts == FACTS and record.direct_seen_at in (None, NOW)


def test_who_answers_again_where_it_has_answered_may_say_something_new() -> None:
    table = known_as(ANSWER)
    assert say(table, 1, ANSWER, HERE, replace(FACTS, hostname="new"), NOW + 45) is Change.CONTENT
    assert table.peers(NOW + 45)[0].hostname == "new"


def test_who_has_not_answered_for_long_may_have_moved() -> None:
    table = known_as(ANSWER)
    assert say(table, 1, ANSWER, ELSEWHERE, at=NOW + ANSWER_FRESH_S - 1) is Change.NOTHING
    assert say(table, 1, ANSWER, ELSEWHERE, at=NOW + ANSWER_FRESH_S) is Change.CONTENT


def test_a_peer_with_a_working_tunnel_is_believed_to_answer_where_wireguard_has_reached_it() -> None:
    table = known_as(ANSWER)
    reach(table, 1)
    assert say(table, 1, ANSWER, ELSEWHERE, LIE) is Change.NOTHING
    assert say(table, 1, ANSWER, HERE, replace(FACTS, hostname="new")) is Change.CONTENT
    assert say(table, 1, CLAIM, HERE, LIE) is Change.NOTHING
    assert say(table, 1, CLAIM, HERE, LIE, NOW + PROOF_FRESH_S) is Change.NOTHING  # it was direct, and still is


@pytest.mark.parametrize("evidence", Evidence)
def test_only_what_is_direct_is_told_on_and_seen(evidence: Evidence) -> None:
    table = known_as(evidence)
    record = table.get(key(1))
    assert record is not None and record.evidence is evidence
    is_direct = evidence >= ANSWER
    assert record.is_verified == is_direct
    assert (key(1) in table.vouched) == (table.rotation.first(8) == [key(1)]) == is_direct
    assert (record.direct_seen_at is not None) == is_direct


def test_a_claim_goes_after_a_minute_and_a_half_and_the_last_one_counts() -> None:
    table = known_as(CLAIM)
    say(table, 1, CLAIM, at=NOW + 60)
    assert table.expire(NOW + CLAIM_S)[0] == ()
    assert [record.key for record in table.expire(NOW + 60 + CLAIM_S)[0]] == [key(1)]


def test_one_host_has_few_claims() -> None:
    table = PeerTable()
    for number in range(1100):
        say(table, number, CLAIM, host(1, port=1000 + number))
    assert len(table) == CLAIMS_PER_HOST_MAX
    assert say(table, 5000, CLAIM, host(2)) is Change.NEW_PEER


def test_all_hosts_together_have_few_claims_and_the_newest_is_there() -> None:
    table = PeerTable()
    for number in range(1100):
        assert say(table, number, CLAIM, host(number)) is Change.NEW_PEER
    assert len(table) == CLAIMS_MAX and key(1099) in table and key(0) not in table


def test_a_host_of_ipv6_is_its_network() -> None:
    table = PeerTable()
    for number in range(1100):
        say(table, number, CLAIM, Endpoint(ipaddress.IPv6Address((0x20010DB8 << 96) + number), 52527))
    assert len(table) == CLAIMS_PER_HOST_MAX


@pytest.mark.parametrize("evidence", [ANSWER, POSSESSION])
def test_one_host_answers_and_proves_for_few_names_until_their_tunnels_work(evidence: Evidence) -> None:
    table = PeerTable()
    for number in range(1, 1101):
        say(table, number, evidence, host(1, port=1000 + number))
    assert len(table.vouched) == DIRECT_PER_HOST_MAX
    assert len(table) <= DIRECT_PER_HOST_MAX + CLAIMS_PER_HOST_MAX
    assert key(1100) in table  # it is there, so WireGuard may try it
    reach(table, 1100)
    assert key(1100) in table.vouched


def test_who_is_direct_stays_so_at_a_host_that_has_many() -> None:
    table = known_as(POSSESSION)
    for number in range(100, 100 + DIRECT_PER_HOST_MAX):
        say(table, number, POSSESSION, ELSEWHERE)
    assert say(table, 1, POSSESSION, ELSEWHERE, replace(FACTS, hostname="moved"), NOW + 1) is Change.CONTENT
    assert table.peers(NOW + 1)[0].hostname == "moved"


def test_one_informant_tells_of_few_until_its_tunnel_works() -> None:
    table = PeerTable(peers_max=400)
    for number in range(1100):
        say(table, number, HEARSAY, HERE)
    assert len(table) == TOLD_PER_HOST_MAX
    for number in range(2000, 3000):
        table.hear_second_hand(key(number), FACTS, None, "gossip", NOW, informant=key(1), is_reached=True)
    assert len(table) == TOLD_PER_HOST_MAX + 200  # half a table


@given(
    st.lists(st.tuples(st.sampled_from([HEARSAY, CLAIM, ANSWER, POSSESSION]), st.integers(1, 40)), max_size=150),
    st.sampled_from([ANSWER, POSSESSION]),
)
def test_a_table_full_of_words_has_room_for_who_shows_itself(
    words: list[tuple[Evidence, int]], evidence: Evidence
) -> None:
    """Whatever 40 hosts have said: a newcomer at another one gets a place, and a reached peer keeps its own."""
    table = PeerTable(peers_max=20)
    say(table, 9000, POSSESSION, host(900))
    reach(table, 9000)
    for number, (word, place) in enumerate(words):
        say(table, number, word, host(place), at=NOW + number)
        assert len(table) <= 20 and key(9000) in table
    has_better_alone = len(table) == 20 and all(record.evidence > evidence for record in table.records())
    newcomer = say(table, 5000, evidence, host(500), at=NOW + 500)
    assert (newcomer is Change.NEW_PEER) != has_better_alone
    assert len(table) <= 20 and key(9000) in table


def test_in_a_table_full_of_names_a_newcomer_that_shows_itself_takes_the_place_of_who_has_most() -> None:
    table = PeerTable(peers_max=100)
    for number in range(100):
        say(table, number, HEARSAY, host(1 if number < 60 else number))
    assert len(table) == 100
    assert say(table, 5000, POSSESSION, host(500)) is Change.NEW_PEER
    assert key(0) not in table and [record.key for record in table.take_displaced()] == [key(0)]


def full_of(evidence: Evidence, *payers: str) -> Places:
    """Places all of which are taken, each paid for by one of these."""
    places = Places(len(payers))
    for number, payer in enumerate(payers):
        places.set(key(number), evidence, payer)
    return places


@pytest.mark.parametrize("evidence", [HEARSAY, ANSWER, POSSESSION])
def test_among_equals_the_oldest_of_who_pays_for_most_goes_and_only_for_who_pays_for_less(evidence: Evidence) -> None:
    places = full_of(evidence, "one", "two", "two")
    assert places.room(evidence, evidence, "new", is_known=False) == (True, key(1))
    assert places.room(evidence, evidence, "one", is_known=False) == (True, key(1))
    assert places.room(evidence, evidence, "two", is_known=False) == (False, None)


def test_where_all_pay_for_the_same_there_is_room_for_who_pays_for_nothing_yet() -> None:
    places = full_of(ANSWER, "one", "two", "three")
    assert places.room(ANSWER, ANSWER, "new", is_known=False) == (True, key(0))
    assert places.room(ANSWER, ANSWER, "two", is_known=False) == (False, None)


def test_the_weaker_gives_way_to_the_stronger_of_any_payer_and_never_the_other_way() -> None:
    for weaker, stronger in ((HEARSAY, ANSWER), (ANSWER, POSSESSION), (POSSESSION, TUNNEL)):
        assert full_of(weaker, "one").room(stronger, stronger, "one", is_known=False) == (True, key(0))
        assert full_of(stronger, "one").room(weaker, weaker, "new", is_known=False) == (False, None)


def test_of_weaker_ranks_the_weakest_gives_way() -> None:
    places = Places(3)
    for number, evidence in enumerate((ANSWER, POSSESSION, HEARSAY)):
        places.set(key(number), evidence, "one")
    assert places.room(POSSESSION, POSSESSION, "new", is_known=False) == (True, key(2))


def test_a_member_that_was_reached_by_a_tunnel_gives_way_to_nobody() -> None:
    assert full_of(TUNNEL, "one", "one").room(TUNNEL, TUNNEL, "new", is_known=False) == (False, None)


def test_who_has_a_place_needs_no_other_one_for_a_better_word() -> None:
    assert full_of(HEARSAY, "one", "two").room(ANSWER, ANSWER, "one", is_known=True) == (True, None)


def test_at_a_host_with_all_its_claims_the_oldest_goes_only_for_a_better_word() -> None:
    places = Places(1000)
    for number in range(CLAIMS_PER_HOST_MAX):
        places.set(key(number), CLAIM, "host")
    places.set(key(0), CLAIM, "host")  # again: it is no younger for it
    assert places.room(CLAIM, CLAIM, "host", is_known=False) == (False, None)
    assert places.room(CLAIM, ANSWER, "host", is_known=False) == (True, key(0))


def test_all_claims_together_have_few_places_and_the_next_host_gets_one_of_them() -> None:
    places = Places(1000)
    for number in range(CLAIMS_MAX):
        places.set(key(number), CLAIM, f"host {number}")
    assert places.room(CLAIM, CLAIM, "new", is_known=False) == (True, key(0))
    assert places.room(CLAIM, CLAIM, "host 5", is_known=False) == (False, None)
    places.drop(key(7))
    assert places.room(CLAIM, CLAIM, "new", is_known=False) == (True, None)


def test_who_gets_a_better_place_leaves_the_one_it_had() -> None:
    places = Places(10)
    places.set(key(1), HEARSAY, "informant")
    assert places.told_by("informant") == 1
    places.set(key(1), ANSWER, "host")
    assert places.told_by("informant") == 0 and len(places) == 1
    places.drop(key(1))
    places.drop(key(1))
    assert len(places) == 0 and not any(places._held.values()), "who pays for nothing is not remembered"


def test_beyond_the_share_of_its_host_only_an_answer_or_a_proof_is_a_mere_claim() -> None:
    places = Places(1000)
    for number in range(DIRECT_PER_HOST_MAX):
        places.set(key(number), POSSESSION if number % 2 else ANSWER, "host")
    for word in (ANSWER, POSSESSION):
        assert places.rank(key(99), word, "host") is CLAIM
        assert places.rank(key(99), word, "other host") is word
        assert places.rank(key(0), word, "host") is word, "it is one of them"
    for word in (HEARSAY, CLAIM, TUNNEL):
        assert places.rank(key(99), word, "host") is word
