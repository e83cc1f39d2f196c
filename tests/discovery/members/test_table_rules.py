"""The peer table, one kind of news at a time: what changes, who is told that it has, and when it is looked at next."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from wgmesh.core.model import CandidateSource, Endpoint, PeerProof, PublicKey
from wgmesh.discovery.members.candidates import LAN_FRESH_S, PROOF_FRESH_S, SECOND_HAND_MAX
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.record import TELLABLE_S, PeerFacts, Witness
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.outbox import Change

FACTS = PeerFacts(ipaddress.IPv4Address("10.1.0.1"), hostname="a")
SECOND_HAND, LAN, OBSERVED = CandidateSource.SECOND_HAND, CandidateSource.LAN, CandidateSource.OBSERVED


@pytest.fixture
def table() -> PeerTable:
    """Peer 1 has spoken at 100 s, and nobody has looked since."""
    table = PeerTable()
    table.hear(key(1), FACTS, [at(1)], "exchange", 100.0, Evidence.POSSESSION)
    table.take_touched()
    return table


def test_peers_come_in_the_order_of_their_keys_whatever_order_they_came_in() -> None:
    table = PeerTable()
    numbers = [3, 1, 4, 2, 5]
    for number in numbers:
        table.hear(key(number), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
    assert [each.public_key for each in table.peers(100.0)] == sorted((key(number) for number in numbers), key=text)
    table.remove(key(4))
    assert [each.public_key for each in table.peers(100.0)] == sorted(map(key, (1, 2, 3, 5)), key=text)
    assert [record.key for record in table.records()] == list(map(key, (3, 1, 2, 5)))


def test_what_is_counted_and_listed_is_that_of_now(table: PeerTable) -> None:
    table.hear(key(2), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
    table.prove([PeerProof(key(1), at(1), 100.0)], 100.0)
    assert [table.proven_count(at) for at in (100.0, 100.0 + PROOF_FRESH_S)] == [1, 0]
    table.set_witness(key(1), at(77), 101.0)
    assert table.witnesses() == [Witness(at(77), 101.0)]


def test_a_peer_that_says_something_else_has_changed(table: PeerTable) -> None:
    assert table.hear(key(1), FACTS, [at(1)], "exchange", 101.0, Evidence.POSSESSION) is Change.AGE
    assert table.hear(key(1), FACTS, [at(2)], "exchange", 102.0, Evidence.POSSESSION) is Change.CONTENT
    assert (
        table.hear(key(1), replace(FACTS, hostname="b"), [at(2)], "exchange", 103.0, Evidence.POSSESSION)
        is Change.CONTENT
    )
    assert table.take_touched() == {key(1)}


def test_the_first_own_word_of_a_peer_of_hearsay_is_a_change_although_it_says_the_same() -> None:
    table = PeerTable()
    table.hear_second_hand(key(1), FACTS, None, "exchange", 100.0)
    assert table.hear(key(1), FACTS, [], "exchange", 101.0, Evidence.POSSESSION) is Change.CONTENT
    assert table.hear(key(1), FACTS, [], "exchange", 102.0, Evidence.POSSESSION) is Change.AGE


def test_a_peer_that_listens_at_another_port_is_no_longer_where_it_answered(table: PeerTable) -> None:
    table.set_control_endpoint(key(1), at(9))
    table.hear(key(1), FACTS, [at(1)], "exchange", 101.0, Evidence.POSSESSION)
    assert table.is_control_endpoint(at(9))
    table.hear(key(1), replace(FACTS, exchange_port=60000), [at(1)], "exchange", 102.0, Evidence.POSSESSION)
    record = table.get(key(1))
    assert record is not None and record.control_endpoint is None and not table.is_control_endpoint(at(9))


def test_an_address_from_which_two_have_answered_counts_until_both_are_gone(table: PeerTable) -> None:
    table.hear(key(2), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
    for number in (1, 2):
        assert table.set_control_endpoint(key(number), at(9)) is Change.CONTENT
    table.remove(key(1))
    assert table.is_control_endpoint(at(9))
    table.set_control_endpoint(key(2), at(8))
    assert not table.is_control_endpoint(at(9)) and table.is_control_endpoint(at(8))
    table.remove(key(2))
    assert not table.is_control_endpoint(at(8))


def test_the_same_control_address_again_is_nothing_new(table: PeerTable) -> None:
    assert table.set_control_endpoint(key(1), at(9)) is Change.CONTENT
    assert table.take_touched() == {key(1)}
    assert table.set_control_endpoint(key(1), at(9)) is Change.NOTHING
    assert table.take_touched() == frozenset()
    table.remove(key(1))
    assert not table.is_control_endpoint(at(9))


def test_where_a_peer_sees_us_is_news_when_it_is_elsewhere_and_younger_each_time(table: PeerTable) -> None:
    assert table.set_witness(key(1), at(77), 101.0) is Change.CONTENT
    assert table.set_witness(key(1), at(77), 102.0) is Change.NOTHING
    assert table.witnesses() == [Witness(at(77), 102.0)]
    assert table.set_witness(key(1), at(78), 103.0) is Change.CONTENT


def test_a_proof_of_possession_is_news_once_and_younger_each_time(table: PeerTable) -> None:
    assert table.note_possession(key(1), 101.0) is Change.CONTENT
    assert table.note_possession(key(1), 102.0) is Change.AGE
    assert table.peers(102.0)[0].possession_at == 102.0
    assert table.take_touched() == {key(1)}


def test_a_further_way_to_a_peer_is_news_once(table: PeerTable) -> None:
    assert table.label(key(1), "static") is Change.CONTENT
    assert table.take_touched() == {key(1)}
    assert table.label(key(1), "static") is Change.NOTHING


def test_the_trace_of_a_peer_is_shown(table: PeerTable) -> None:
    table.peers(100.0)
    table.set_traceparent(key(1), "trace")
    assert table.peers(100.0)[0].traceparent == "trace" and table.take_touched() == {key(1)}


def test_nothing_is_noted_of_a_peer_that_nobody_knows() -> None:
    table = PeerTable()
    table.set_traceparent(key(1), "trace")
    changes = [
        table.add_candidate(key(1), at(1), LAN, 100.0),
        table.set_control_endpoint(key(1), at(1)),
        table.set_witness(key(1), at(1), 100.0),
        table.label(key(1), "lan"),
        table.note_possession(key(1), 100.0),
        table.prove([PeerProof(key(1), at(1), 100.0)], 100.0),
    ]
    assert set(changes) == {Change.NOTHING}
    assert not table.remove(key(1)) and table.take_touched() == frozenset() and len(table) == 0


def test_hearsay_of_somebody_new_is_labelled_and_its_address_counts(table: PeerTable) -> None:
    assert table.hear_second_hand(key(2), FACTS, at(2), "known-peer", 100.0) is Change.NEW_PEER
    record = table.get(key(2))
    assert record is not None and record.methods == ["known-peer"]
    assert [(each.endpoint, each.source) for each in record.candidates.best_first(100.0)] == [(at(2), SECOND_HAND)]
    assert table.hear_second_hand(key(2), FACTS, at(2), "known-peer", 101.0) is Change.NOTHING
    assert table.hear_second_hand(key(2), FACTS, at(3), "known-peer", 101.0) is Change.CONTENT


def test_one_suggestion_too_many_changes_nothing(table: PeerTable) -> None:
    for number in range(2, 2 + SECOND_HAND_MAX):
        assert table.hear_second_hand(key(1), FACTS, at(number), "known-peer", 100.0) is Change.CONTENT
    assert table.hear_second_hand(key(1), FACTS, at(50), "known-peer", 100.0) is Change.NOTHING


def test_hearsay_fills_each_gap_and_replaces_nothing() -> None:
    table = PeerTable()
    known = PeerFacts(FACTS.mesh_ipv4)
    told = PeerFacts(
        ipaddress.IPv4Address("10.1.0.9"), ipaddress.IPv6Address("fd00::1"), "a", introducer=True, nat_type="cone"
    )
    other = replace(told, mesh_ipv6=ipaddress.IPv6Address("fd00::2"), hostname="b", introducer=False, nat_type="sym")
    table.hear_second_hand(key(1), known, None, "known-peer", 100.0)
    assert table.hear_second_hand(key(1), told, None, "known-peer", 101.0) is Change.CONTENT
    assert table.hear_second_hand(key(1), other, None, "known-peer", 102.0) is Change.NOTHING
    record = table.get(key(1))
    assert record is not None and record.facts == replace(told, mesh_ipv4=FACTS.mesh_ipv4)
    assert table.claimants(ipaddress.IPv6Address("fd00::1")) == {key(1)}


def test_a_peer_that_wireguard_has_reached_is_told_nothing_new_by_others() -> None:
    table = PeerTable()
    table.hear_second_hand(key(1), PeerFacts(FACTS.mesh_ipv4), None, "known-peer", 100.0)
    table.prove([PeerProof(key(1), at(1), 100.0)], 100.0)
    assert table.hear_second_hand(key(1), FACTS, None, "known-peer", 101.0) is Change.NOTHING


def test_a_cached_peer_is_new_and_says_where_it_is_from() -> None:
    table = PeerTable(peers_max=2)
    assert table.restore(key(1), FACTS, at(1), 100.0) is Change.NEW_PEER
    assert table.restore(key(1), FACTS, at(2), 100.0) is Change.NOTHING
    assert table.restore(key(2), FACTS, None, 100.0) is Change.NEW_PEER
    assert table.restore(key(3), FACTS, None, 100.0) is Change.NOTHING
    by_key = {each.public_key: each for each in table.peers(100.0)}
    assert by_key[key(1)].discovery_methods == ("cache",) and by_key[key(1)].first_seen_at == 100.0
    assert [(each.endpoint, each.source) for each in by_key[key(1)].candidates] == [(at(1), CandidateSource.CACHE)]
    assert by_key[key(2)].candidates == ()


def test_a_further_address_is_news_and_a_known_one_is_only_if_it_becomes_the_best(table: PeerTable) -> None:
    table.add_candidate(key(1), at(3), CandidateSource.STATIC, 100.0)
    assert table.add_candidate(key(1), at(2), OBSERVED, 100.0) is Change.CONTENT
    assert table.add_candidate(key(1), at(2), OBSERVED, 101.0) is Change.AGE
    assert table.add_candidate(key(1), at(4), CandidateSource.CACHE, 101.0) is Change.CONTENT
    assert table.add_candidate(key(1), at(3), CandidateSource.STATIC, 101.0) is Change.AGE
    assert table.add_candidate(key(1), at(1), LAN, 102.0) is Change.CONTENT
    table.take_touched()
    table.add_candidate(key(1), at(1), LAN, 103.0)
    assert table.take_touched() == {key(1)}


def test_each_proof_of_several_is_taken(table: PeerTable) -> None:
    for number in (2, 3):
        table.hear(key(number), FACTS, [at(number)], "exchange", 100.0, Evidence.POSSESSION)
    table.prove([PeerProof(key(3), at(3), 100.0)], 100.0)
    proofs = [PeerProof(key(number), at(number), 100.0) for number in (9, 3, 1, 2)]
    assert table.prove(proofs, 100.0) is Change.CONTENT
    assert table.proven_count(100.0) == 3
    renewed = [PeerProof(key(number), at(number), 110.0) for number in (1, 2)]
    assert table.prove(renewed, 110.0) is Change.AGE
    assert table.prove([PeerProof(key(1), at(8), 120.0), renewed[1]], 120.0) is Change.CONTENT


def test_a_proof_at_another_address_or_after_a_break_changes_the_peer(table: PeerTable) -> None:
    assert table.prove([PeerProof(key(1), at(1), 100.0)], 100.0) is Change.CONTENT
    assert table.prove([PeerProof(key(1), at(1), 99.0)], 100.0) is Change.NOTHING
    assert table.prove([PeerProof(key(1), at(2), 110.0)], 110.0) is Change.CONTENT
    assert table.prove([PeerProof(key(1), at(1), 120.0)], 120.0) is Change.CONTENT
    assert table.prove([PeerProof(key(1), at(1), 300.0)], 300.0) is Change.CONTENT
    assert [each.proven_at for each in table.peers(300.0)[0].candidates] == [300.0, 110.0]
    assert table.take_touched() == {key(1)}


def test_a_proof_that_comes_too_late_to_count_changes_nothing_that_is_seen(table: PeerTable) -> None:
    assert table.prove([PeerProof(key(1), at(1), 10.0)], 500.0) is Change.AGE


def test_a_renewed_proof_is_shown_and_remembered(table: PeerTable) -> None:
    for proven_at in (100.0, 130.0):
        table.prove([PeerProof(key(1), at(1), proven_at)], proven_at)
        table.peers(proven_at)
    assert table.peers(130.0)[0].candidates[0].proven_at == 130.0
    assert table.proven_count(130.0 + PROOF_FRESH_S - 1) == 1


def test_verified_peers_are_vouched_for_at_their_revision_until_they_leave() -> None:
    table = PeerTable()
    table.hear_second_hand(key(1), FACTS, None, "known-peer", 100.0)
    assert dict(table.vouched) == {}
    table.hear(key(1), replace(FACTS, revision=7), [], "exchange", 101.0, Evidence.POSSESSION)
    assert dict(table.vouched) == {key(1): 7} and table.rotation.first(8) == [key(1)]
    table.remove(key(1))
    assert dict(table.vouched) == {} and table.rotation.first(8) == []


def test_wireguards_proof_alone_makes_a_peer_worth_mentioning() -> None:
    table = PeerTable()
    table.hear_second_hand(key(1), FACTS, None, "known-peer", 100.0)
    table.prove([PeerProof(key(1), at(1), 100.0)], 100.0)
    assert dict(table.vouched) == {key(1): 0} and table.rotation.first(8) == [key(1)]


def test_who_was_reached_gives_way_to_nobody() -> None:
    table = PeerTable(peers_max=3)
    for number in (1, 2, 3):
        table.hear_second_hand(key(number), FACTS, None, "known-peer", 100.0)
    table.hear(key(1), FACTS, [], "exchange", 101.0, Evidence.POSSESSION)
    table.prove([PeerProof(key(number), at(2), 101.0) for number in (1, 2)], 101.0)
    assert table.hear(key(4), FACTS, [], "exchange", 102.0, Evidence.POSSESSION) is Change.NEW_PEER
    assert {record.key for record in table.records()} == {key(1), key(2), key(4)}
    table.prove([PeerProof(key(4), at(2), 102.0)], 102.0)
    assert table.hear(key(5), FACTS, [], "exchange", 102.0, Evidence.POSSESSION) is Change.NOTHING


def test_hearsay_that_has_gone_does_not_stand_in_the_line_of_those_that_give_way() -> None:
    table = PeerTable(peers_max=2)
    for number in (1, 2):
        table.hear_second_hand(key(number), FACTS, None, "known-peer", 100.0)
    table.remove(key(1))
    table.hear_second_hand(key(3), FACTS, None, "known-peer", 100.0)
    assert table.hear(key(4), FACTS, [], "exchange", 101.0, Evidence.POSSESSION) is Change.NEW_PEER
    assert {record.key for record in table.records()} == {key(3), key(4)}


def test_when_we_learn_who_we_are_everything_is_looked_at_and_we_are_no_peer(table: PeerTable) -> None:
    table.hear(key(2), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
    table.take_touched()
    table.set_own_key(key(2))
    assert table.own_key == key(2) and table.take_touched() == {key(1), key(2)}
    assert table.take_touched() == frozenset()
    assert [record.key for record in table.records()] == [key(1)]


def test_a_new_peer_claims_both_its_addresses_even_if_another_speaks_of_it() -> None:
    table, ipv6 = PeerTable(), ipaddress.IPv6Address("fd00::1")
    facts = replace(FACTS, mesh_ipv6=ipv6)
    table.hear(key(1), facts, [], "exchange", 100.0, Evidence.POSSESSION)
    table.hear_second_hand(key(2), facts, None, "known-peer", 100.0)
    table.restore(key(3), facts, None, 100.0)
    for address in (facts.mesh_ipv4, ipv6):
        assert table.claimants(address) == {key(1), key(2), key(3)}


def test_who_comes_and_who_goes_is_to_be_looked_at(table: PeerTable) -> None:
    table.hear_second_hand(key(3), FACTS, None, "known-peer", 100.0)
    table.restore(key(4), FACTS, None, 100.0)
    assert table.take_touched() == {key(3), key(4)}
    table.hear(key(2), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
    assert table.take_touched() == {key(2)}
    assert table.remove(key(2))
    assert table.take_touched() == {key(2)} and key(2) not in table and table.get(key(2)) is None


def test_a_peer_is_looked_at_when_it_is_told_on_no_more_or_its_first_address_grows_old(table: PeerTable) -> None:
    assert table.next_expiry(100.0) == 100.0 + TELLABLE_S
    table.add_candidate(key(1), at(2), OBSERVED, 150.0)
    assert table.next_expiry(150.0) == 100.0 + TELLABLE_S
    table.add_candidate(key(1), at(2), LAN, 150.0)
    assert table.next_expiry(150.0) == 150.0 + LAN_FRESH_S
    table.add_candidate(key(1), at(3), LAN, 160.0)
    assert table.next_expiry(160.0) == 150.0 + LAN_FRESH_S
    table.prove([PeerProof(key(1), at(1), 160.0)], 160.0)
    assert table.next_expiry(160.0) == 150.0 + LAN_FRESH_S


def test_a_look_that_is_overdue_is_due_now_and_an_empty_table_needs_none(table: PeerTable) -> None:
    assert table.next_expiry(5000.0) == 5000.0
    table.remove(key(1))
    assert table.next_expiry(100.0) is None


def test_a_peer_with_a_fresh_proof_is_looked_at_when_that_grows_stale(table: PeerTable) -> None:
    table.prove([PeerProof(key(1), at(1), 120.0)], 120.0)
    assert table.next_expiry(120.0) == 120.0 + PROOF_FRESH_S


def test_an_address_grows_old_and_that_is_news(table: PeerTable) -> None:
    table.add_candidate(key(1), at(2), LAN, 100.0)
    table.take_touched()
    assert table.expire(119.0) == ((), Change.NOTHING) and table.take_touched() == frozenset()
    assert table.expire(120.0) == ((), Change.CONTENT) and table.take_touched() == {key(1)}
    assert [each.endpoint for each in table.peers(120.0)[0].candidates] == [at(1)]
    assert table.next_expiry(120.0) == 100.0 + TELLABLE_S


def test_a_look_at_which_nothing_is_old_is_no_news_and_the_next_one_is_planned(table: PeerTable) -> None:
    table.hear(key(1), FACTS, [at(1)], "exchange", 400.0, Evidence.POSSESSION)
    assert table.expire(700.0) == ((), Change.NOTHING)
    assert table.next_expiry(700.0) == 1000.0


def test_a_look_at_several_peers_is_news_if_one_of_them_has_changed(table: PeerTable) -> None:
    table.hear(key(2), FACTS, [at(2)], "exchange", 100.0, Evidence.POSSESSION)
    table.add_candidate(key(1), at(11), LAN, 100.0)
    table.prove([PeerProof(key(2), at(2), 100.0)], 100.0)
    table.add_candidate(key(2), at(2), LAN, 101.0)  # kept by the proof when its time is over
    assert table.expire(125.0) == ((), Change.CONTENT)


def test_of_several_peers_at_one_look_each_is_judged_by_itself() -> None:
    table = PeerTable()
    for number in (1, 2, 3, 4):
        table.hear(key(number), FACTS, [at(number)], "exchange", 100.0, Evidence.POSSESSION)
    table.add_candidate(key(4), at(40), LAN, 690.0)
    table.prove([PeerProof(key(2), at(2), 690.0)], 690.0)
    gone, change = table.expire(710.0)
    assert {record.key for record in gone} == {key(1), key(3), key(4)} and change is Change.CONTENT
    assert [record.key for record in table.records()] == [key(2)]


def test_a_peer_that_only_its_tunnel_keeps_goes_when_that_is_silent_for_long() -> None:
    table = PeerTable()
    table.hear(key(1), FACTS, [at(1)], "exchange", 100.0, Evidence.POSSESSION)
    table.prove([PeerProof(key(1), at(1), 650.0)], 650.0)
    assert expired(table, 1249.0) == () and expired(table, 1250.0) == (key(1),)


def test_a_snapshot_is_made_again_when_a_proof_grows_stale(table: PeerTable) -> None:
    table.add_candidate(key(1), at(2), LAN, 100.0)
    table.prove([PeerProof(key(1), at(1), 100.0)], 100.0)
    before = table.peers(100.0)[0]
    assert table.peers(119.0)[0] is before
    assert table.peers(120.0)[0] is not before
    assert [each.endpoint for each in table.peers(279.0)[0].candidates] == [at(1), at(2)]
    assert [each.endpoint for each in table.peers(280.0)[0].candidates] == [at(2), at(1)]


def text(key: PublicKey) -> str:
    return key.text


def key(number: int) -> PublicKey:
    """Keys whose texts come in another order than their numbers."""
    return PublicKey((number * 0x9D % 256).to_bytes(1, "big") * 32)


def at(number: int) -> Endpoint:
    return Endpoint.of(f"198.51.100.{number}", 51820)


def expired(table: PeerTable, now: float) -> tuple[PublicKey, ...]:
    return tuple(record.key for record in table.expire(now)[0])


def test_a_lost_peer_that_speaks_is_told_on_only_when_it_is_lost_no_more(table: PeerTable) -> None:
    table.hear(key(1), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
    table.set_lost({key(1)}, 101.0)
    table.hear(key(1), FACTS, [], "exchange", 102.0, Evidence.POSSESSION)
    assert key(1) not in table.vouched and key(1) not in table.rotation.first(8)

    table.set_lost(frozenset(), 103.0)

    assert key(1) in table.vouched and key(1) in table.rotation.first(8)
