"""The peer table: what direct news, hearsay and proof each may change."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import CandidateSource, Endpoint, PeerProof, PublicKey
from wgmesh.discovery.bounds import PEERS_MAX
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.record import PeerFacts
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.outbox import Change

NET = ipaddress.ip_network("192.168.77.0/24")
FACTS = PeerFacts(ipaddress.IPv4Address("10.1.0.1"), hostname="a", routable_networks=(NET,), introducer=True)


def test_direct_news_replaces_everything() -> None:
    table = PeerTable()
    assert table.hear(key(1), FACTS, [at(1)], "exchange", 100.0, Evidence.POSSESSION) is Change.NEW_PEER
    bare = PeerFacts(FACTS.mesh_ipv4)
    assert table.hear(key(1), bare, [at(2)], "exchange", 101.0, Evidence.POSSESSION) is Change.CONTENT
    (peer,) = table.peers(101.0)
    assert (peer.hostname, peer.routable_networks, peer.introducer) == ("", (), False)
    assert [each.endpoint for each in peer.candidates] == [at(2)]
    assert (peer.first_seen_at, peer.direct_seen_at) == (100.0, 101.0)


def test_the_same_news_again_is_only_younger() -> None:
    table = PeerTable()
    table.hear(key(1), FACTS, [at(1)], "lan", 100.0, Evidence.POSSESSION)
    assert table.hear(key(1), FACTS, [at(1)], "lan", 105.0, Evidence.POSSESSION) is Change.AGE
    assert table.hear(key(1), FACTS, [at(1)], "exchange", 105.0, Evidence.POSSESSION) is Change.CONTENT
    assert table.peers(105.0)[0].discovery_methods == ("lan", "exchange")


def test_hearsay_neither_changes_nor_refreshes_a_verified_peer() -> None:
    table = PeerTable()
    table.hear(key(1), FACTS, [at(1)], "exchange", 100.0, Evidence.POSSESSION)
    lie = PeerFacts(ipaddress.IPv4Address("10.1.0.66"), hostname="evil")
    table.hear_second_hand(key(1), lie, at(9), "known-peer", 500.0)
    (peer,) = table.peers(500.0)
    assert (peer.mesh_ipv4, peer.hostname, peer.introducer) == (FACTS.mesh_ipv4, "a", True)
    assert peer.direct_seen_at == 100.0
    assert [each.source for each in peer.candidates] == [CandidateSource.ANNOUNCED, CandidateSource.SECOND_HAND]
    assert expired(table, 700.0) == (key(1),)


def test_hearsay_fills_gaps_of_hearsay_only() -> None:
    table = PeerTable()
    bare = PeerFacts(FACTS.mesh_ipv4)
    table.hear_second_hand(key(1), bare, None, "known-peer", 100.0)
    table.hear(key(2), bare, [], "exchange", 100.0, Evidence.POSSESSION)
    for number in (1, 2):
        table.hear_second_hand(key(number), FACTS, None, "known-peer", 101.0)
    assert [(peer.hostname, peer.introducer) for peer in table.peers(101.0)] == [("a", True), ("", False)]


def test_a_peer_of_hearsay_goes_ten_minutes_after_the_first_word_of_it() -> None:
    table = PeerTable()
    for now in (100.0, 300.0, 699.0):
        table.hear_second_hand(key(1), FACTS, at(1), "known-peer", now)
    assert expired(table, 699.0) == ()
    assert expired(table, 700.0) == (key(1),)


def test_direct_news_verifies_a_peer_of_hearsay() -> None:
    table = PeerTable()
    table.hear_second_hand(key(1), replace(FACTS, hostname=""), at(1), "known-peer", 100.0)
    record = table.get(key(1))
    assert record is not None and not record.is_verified
    table.hear(key(1), FACTS, [], "exchange", 101.0, Evidence.POSSESSION)
    assert record.is_verified


def test_a_proof_verifies_and_keeps_a_peer_for_three_minutes_more() -> None:
    table = PeerTable()
    table.hear_second_hand(key(1), FACTS, at(1), "known-peer", 100.0)
    assert table.prove([PeerProof(key(1), at(1), 650.0)], 650.0) is Change.CONTENT
    record = table.get(key(1))
    assert record is not None and record.is_verified and record.is_proven(829.0) and not record.is_proven(830.0)
    assert expired(table, 1249.0) == () and expired(table, 1250.0) == (key(1),)


def test_a_proof_from_a_clock_ahead_is_not_believed_beyond_now() -> None:
    table = PeerTable()
    table.hear(key(1), FACTS, [at(1)], "exchange", 100.0, Evidence.POSSESSION)
    table.prove([PeerProof(key(1), at(1), 1e12)], 100.0)
    record = table.get(key(1))
    assert record is not None and record.proven_at == 100.0


def test_an_unchanged_order_after_a_proof_is_only_age() -> None:
    table = PeerTable()
    table.hear(key(1), FACTS, [at(1)], "exchange", 100.0, Evidence.POSSESSION)
    table.prove([PeerProof(key(1), at(1), 100.0)], 100.0)
    assert table.prove([PeerProof(key(1), at(1), 101.0)], 101.0) is Change.AGE
    assert table.prove([PeerProof(key(1), at(1), 101.0)], 101.0) is Change.NOTHING
    assert table.prove([PeerProof(key(2), at(1), 101.0)], 101.0) is Change.NOTHING


def test_we_are_never_our_own_peer() -> None:
    table = PeerTable()
    table.hear(key(1), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
    table.set_own_key(key(1))
    assert len(table) == 0
    assert table.hear(key(1), FACTS, [], "exchange", 100.0, Evidence.POSSESSION) is Change.NOTHING
    assert table.hear_second_hand(key(1), FACTS, at(1), "known-peer", 100.0) is Change.NOTHING
    assert table.restore(key(1), FACTS, at(1), 100.0) is Change.NOTHING


def test_a_full_table_gives_way_to_who_speaks_for_himself() -> None:
    table = PeerTable()
    for number in range(PEERS_MAX):
        table.hear_second_hand(key(number), FACTS, None, "known-peer", 100.0 + number, informant=number % 20)
    assert table.hear_second_hand(key(5000), FACTS, None, "known-peer", 9000.0, informant=3) is Change.NOTHING
    assert table.hear(key(5001), FACTS, [], "exchange", 9000.0, Evidence.POSSESSION) is Change.NEW_PEER
    assert len(table) == PEERS_MAX and key(0) not in table and key(1) in table


def test_a_table_full_of_reached_peers_takes_nobody_more() -> None:
    table = PeerTable()
    for number in range(PEERS_MAX):
        table.hear(key(number), FACTS, [], "exchange", 100.0, Evidence.POSSESSION)
        table.prove([PeerProof(key(number), at(1), 100.0)], 100.0)
    assert table.hear(key(5001), FACTS, [], "exchange", 100.0, Evidence.POSSESSION) is Change.NOTHING
    assert len(table) == PEERS_MAX


def test_claims_and_turns_follow_the_peers_that_come_and_go() -> None:
    table = PeerTable()
    table.hear_second_hand(key(1), FACTS, at(1), "known-peer", 100.0)
    assert table.claimants(FACTS.mesh_ipv4) == {key(1)} and table.rotation.first(8) == []
    elsewhere = replace(FACTS, mesh_ipv4=ipaddress.IPv4Address("10.1.0.2"))
    table.hear(key(1), elsewhere, [at(1)], "exchange", 101.0, Evidence.POSSESSION)
    assert table.claimants(FACTS.mesh_ipv4) == frozenset() and table.claimants(elsewhere.mesh_ipv4) == {key(1)}
    assert table.rotation.first(8) == [key(1)]
    table.remove(key(1))
    assert table.claimants(elsewhere.mesh_ipv4) == frozenset() and table.rotation.first(8) == []


def test_a_snapshot_shows_every_change_although_it_is_not_made_each_time() -> None:
    table = PeerTable()
    table.hear(key(1), FACTS, [at(1)], "exchange", 100.0, Evidence.POSSESSION)
    assert table.peers(101.0)[0] is table.peers(101.0)[0]
    table.set_control_endpoint(key(1), at(9))
    table.label(key(1), "static")
    table.set_traceparent(key(1), "trace")
    table.add_candidate(key(1), at(2), CandidateSource.LAN, 102.0)
    (peer,) = table.peers(102.0)
    assert (peer.control_endpoint, peer.traceparent) == (at(9), "trace")
    assert peer.discovery_methods == ("exchange", "static")
    assert [each.endpoint for each in peer.candidates] == [at(2), at(1)]
    table.prove([PeerProof(key(1), at(1), 103.0)], 103.0)
    assert [each.endpoint for each in table.peers(103.0)[0].candidates] == [at(1), at(2)]
    assert [each.endpoint for each in table.peers(283.0)[0].candidates] == [at(2), at(1)]


_NEWS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 8), st.sampled_from(["", "h1", "h2"]), st.booleans()), max_size=12
)


@given(_NEWS, st.booleans())
def test_merging_hearsay_twice_is_merging_it_once(news: list[tuple[int, int, str, bool]], direct_first: bool) -> None:
    table = PeerTable()
    if direct_first:
        table.hear(key(1), FACTS, [at(1)], "exchange", 99.0, Evidence.POSSESSION)

    def merge(now: float) -> None:
        for number, address, hostname, introducer in news:
            facts = PeerFacts(ipaddress.IPv4Address("10.1.0.9"), hostname=hostname, introducer=introducer)
            table.hear_second_hand(key(number), facts, at(address), "known-peer", now)

    merge(100.0)
    once = table.peers(200.0)
    merge(150.0)
    assert table.peers(200.0) == once


@given(_NEWS, st.integers(1, 2000))
def test_a_sweep_is_due_later_than_now_or_does_something(news: list[tuple[int, int, str, bool]], span_s: int) -> None:
    table = PeerTable()
    for number, address, _, direct in news:
        if direct:
            table.hear(key(number), FACTS, [at(address)], "exchange", 100.0, Evidence.POSSESSION)
        else:
            table.hear_second_hand(key(number), FACTS, at(address), "known-peer", 100.0)
    table.prove([PeerProof(key(1), at(1), 100.0)], 100.0)
    now = 100.0 + span_s
    table.expire(now)
    due_at = table.next_expiry(now)
    assert (due_at is None) == (len(table) == 0)
    assert due_at is None or due_at > now


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def at(number: int) -> Endpoint:
    return Endpoint.of(f"198.51.100.{number}", 51820)


def expired(table: PeerTable, now: float) -> tuple[PublicKey, ...]:
    return tuple(record.key for record in table.expire(now)[0])
