"""Views that are compared, rounds, and whole meshes that learn of every member by gossip alone."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.announcements import public_keys
from support.discovery.discovery_wire import KEYS, Node, Wire, kind, prove
from support.discovery.go_peer import GoPeer, meet
from support.discovery.pairing import prove_payload
from wgmesh.core.model import Endpoint, PeerProof, PublicKey
from wgmesh.core.wire.announcement import Extension, KnownPeer
from wgmesh.core.wire.envelope import MessageType, open_envelope, seal
from wgmesh.core.wire.gossip_message import BUCKETS_MAX, PREFIX_BYTES, Gossip, encode_gossip
from wgmesh.discovery.gossip.rounds import FIRST_CALM_S, LAST_CALM_S, NEWS_A_ROUND, GossipRounds, fan_out, react
from wgmesh.discovery.members.digest import View, bucket_count, compare, differing, summary_of

_numbers = count(1)
NO_EXTENSION = Extension(bytes(8), 1)
views = st.dictionaries(public_keys, st.integers(0, 2**48 - 1), max_size=60)


@given(views)
def test_equal_views_have_nothing_to_tell_each_other(view: dict[PublicKey, int]) -> None:
    assert differing(view, summary_of(view, bucket_count(len(view)))) == []


@given(views, public_keys, st.integers(0, 2**40))
def test_one_member_more_is_found(view: dict[PublicKey, int], key: PublicKey, revision: int) -> None:
    poorer = {each: at for each, at in view.items() if each != key}
    richer = poorer | {key: revision}
    told = differing(richer, summary_of(poorer, bucket_count(len(poorer))))
    _, wanted = compare(poorer, told)
    assert wanted == [key.raw[:PREFIX_BYTES]]
    told = differing(poorer, summary_of(richer, bucket_count(len(richer))))
    lacking, _ = compare(richer, told)
    assert lacking == [key]


@given(views, st.data())
def test_a_newer_revision_is_found_by_either_side(view: dict[PublicKey, int], data: st.DataObject) -> None:
    if not view:
        return
    key = data.draw(st.sampled_from(sorted(view)))
    newer = view | {key: view[key] + 1}
    lacking, wanted = compare(newer, differing(view, summary_of(newer, bucket_count(len(newer)))))
    assert (lacking, wanted) == ([key], [])
    lacking, wanted = compare(view, differing(newer, summary_of(view, bucket_count(len(view)))))
    assert (lacking, wanted) == ([], [key.raw[:PREFIX_BYTES]])


@pytest.mark.parametrize(("members", "buckets"), [(0, 1), (1, 1), (16, 2), (50, 8), (300, 64), (1000, BUCKETS_MAX)])
def test_summaries_grow_with_the_mesh_up_to_a_bound(members: int, buckets: int) -> None:
    assert bucket_count(members) == buckets


@pytest.mark.parametrize(("members", "peers"), [(1, 1), (2, 2), (50, 7), (300, 10), (1000, 11)])
def test_a_round_goes_to_as_many_as_the_logarithm_of_the_mesh(members: int, peers: int) -> None:
    assert fan_out(members) == peers


def test_rounds_come_seldom_where_nothing_happens_and_soon_after_news() -> None:
    view = {PublicKey(bytes([number]) * 32): 1 for number in range(50)}
    rounds = GossipRounds(random.Random(1).random)
    assert rounds.greet(0.0)
    gaps = gaps_of(rounds, view, 0.0, 12)
    assert gaps[-1] >= LAST_CALM_S * 0.8 and max(gaps) <= LAST_CALM_S * 1.2
    rounds.note_news(next(iter(view)), len(view), 5000.0)
    following = rounds.poll_timeout()
    assert following is not None and following <= 5000.0 + 2.0
    rounds.learned(len(view), 6000.0)
    assert gaps_of(rounds, view, 6000.0, 2)[0] < 2 * FIRST_CALM_S


def test_news_is_told_in_as_many_rounds_as_reach_everybody_and_no_more() -> None:
    view = {PublicKey(bytes([number]) * 32): 1 for number in range(50)}
    rounds = GossipRounds(random.Random(1).random)
    news = sorted(view)[:5]
    for key in news:
        rounds.note_news(key, len(view), 0.0)
    told: list[PublicKey] = []
    for _ in range(40):
        at = rounds.poll_timeout()
        assert at is not None
        turn = rounds.due(at, sorted(view), view)
        assert turn is not None and len(turn.news) <= NEWS_A_ROUND
        assert len(set(turn.peers)) == len(turn.peers) == fan_out(50)
        told += turn.news
    assert {key: told.count(key) for key in news} == dict.fromkeys(news, fan_out(50))


def test_news_that_others_know_already_is_told_no_more() -> None:
    view = {PublicKey(bytes([number]) * 32): 1 for number in range(50)}
    rounds = GossipRounds(random.Random(1).random)
    rounds.note_news(next(iter(view)), len(view), 0.0)
    for _ in range(fan_out(50)):
        rounds.agreed()
    at = rounds.poll_timeout()
    assert at is not None
    turn = rounds.due(at, sorted(view), view)
    assert turn is not None and not turn.news


@given(st.lists(st.tuples(public_keys, st.integers(0, 9), st.booleans()), max_size=40))
def test_a_view_that_is_kept_says_the_same_as_a_new_one(changes: list[tuple[PublicKey, int, bool]]) -> None:
    kept, plain = View(), dict[PublicKey, int]()
    for key, revision, is_gone in changes:
        kept.note(key, revision)
        plain[key] = revision
        if is_gone:
            kept.drop(key)
            del plain[key]
    assert kept == plain
    for buckets in (1, 4, BUCKETS_MAX):
        assert summary_of(kept, buckets) == summary_of(plain, buckets)
        told = differing(kept, (bytes(3),) * buckets)
        assert sum(len(bucket.entries) for bucket in told) <= len(plain)
        assert compare(kept, told) == ([], [])


def test_a_newcomer_compares_at_once_with_the_first_few_that_it_reaches() -> None:
    rounds = GossipRounds(random.Random(1).random)
    assert [rounds.greet(0.0) for _ in range(5)] == [True, True, True, False, False]


def test_an_equal_summary_is_answered_by_silence() -> None:
    view = {PublicKey(bytes([number]) * 32): number for number in range(9)}
    said = Gossip(next(iter(view)), NO_EXTENSION, summary_of(view, 2))
    assert react(said, view, {}).is_empty


def test_who_asks_for_a_member_is_told_of_it_and_never_of_himself() -> None:
    view = {PublicKey(bytes([number]) * 32): number for number in range(9)}
    prefixes = {key.raw[:PREFIX_BYTES]: key for key in view}
    asker, other = list(view)[:2]
    said = Gossip(asker, NO_EXTENSION, wanted=(asker.raw[:6], other.raw[:6], b"nobody"))
    assert react(said, view, prefixes).records == (other,)


def test_a_peer_is_told_of_by_who_has_proof_of_it_and_not_by_hearsay() -> None:
    """In a line of nodes that reach only their neighbours, each hears of those two steps away, and of no more."""
    wire = Wire()
    line = [wire.add(f"198.51.{number}.1", number=number, lan=False) for number in range(1, 9)]
    hide_all_but_neighbours(wire, line)
    for left, right in pairwise(line):
        left.core.set_static([right.address], wire.now)
        wire.settle()
    for _ in range(20):
        for node in line:
            prove_all(wire, node, line)
        wire.advance(5.0)
    for index, node in enumerate(line):
        near = {each.key for each in line[max(0, index - 2) : index + 3]} - {node.key}
        assert set(node.peers()) == near


def test_gossip_from_outside_the_tunnel_or_without_proof_tells_nothing() -> None:
    wire = Wire()
    one, two = wire.add("192.168.1.1"), wire.add("192.168.1.2")
    prove(wire, one, two)
    prove(wire, two, one)
    wire.advance(30.0)
    gossip = next(each for each in two.sent if kind(each) == "GOSSIP")
    wire.advance(1300.0)  # nobody remembers its nonce
    one.events.clear()
    inside = str(Endpoint(two.description.mesh_ipv4, KEYS.gossip_port))
    payload = dict(open_envelope(gossip.data, KEYS.gossip_key, wire.now - 1320).payload) | {"timestamp": int(wire.now)}
    wire.inject(one, seal(MessageType.GOSSIP, payload, KEYS.gossip_key, bytes(12)), inside)
    assert one.rejections() == ["unproven"]


def test_a_go_peer_that_a_native_one_knows_is_told_of_by_gossip() -> None:
    wire = Wire()
    go = GoPeer(9, "198.51.100.9")
    one = wire.add("192.168.1.1")
    meet(wire, one, go)
    two = wire.add("192.168.1.2")
    for _ in range(8):
        prove(wire, one, two)
        prove(wire, two, one)
        wire.advance(5.0)
    assert go.key in two.peers()


def test_a_lie_about_the_revision_of_another_costs_a_question_now_and_then_and_changes_nothing() -> None:
    wire = Wire()
    one, two, liar = (wire.add(f"192.168.1.{number}") for number in (1, 2, 3))
    for node in (two, liar):
        prove(wire, one, node)
    before = one.peers()[two.key]
    record = replace(record_of(two), revision=2**47, hostname="liar")
    one.sent.clear()
    for _ in range(50):
        said = Gossip(liar.key, NO_EXTENSION, records=(record,))
        tell(wire, liar, one, said)
        wire.advance(0.1)
    asked = [each for each in one.sent if kind(each) == "HELLO"]
    assert len({each.data for each in asked}) <= 4
    after = one.peers()[two.key]
    assert (after.hostname, after.candidates[0].endpoint) == (before.hostname, before.candidates[0].endpoint)


def record_of(node: Node) -> KnownPeer:
    return KnownPeer(node.key, node.description.mesh_ipv4, age_s=0)


def tell(wire: Wire, sender: Node, recipient: Node, gossip: Gossip) -> None:
    """Says it through the tunnel, with a valid proof of the sender."""
    number = next(_numbers)
    payload = encode_gossip(replace(gossip, extension=replace(NO_EXTENSION, sequence=number)), int(wire.now))
    payload = prove_payload(MessageType.GOSSIP, payload, sender.key, recipient.key)
    data = seal(MessageType.GOSSIP, payload, KEYS.gossip_key, number.to_bytes(12, "big"))
    wire.inject(recipient, data, str(Endpoint(sender.description.mesh_ipv4, KEYS.gossip_port)))


def gaps_of(rounds: GossipRounds, view: Mapping[PublicKey, int], now: float, count: int) -> list[float]:
    gaps = []
    for _ in range(count):
        at = rounds.poll_timeout()
        assert at is not None
        rounds.due(at, sorted(view), view)
        following = rounds.poll_timeout()
        assert following is not None
        gaps.append(following - at)
    return gaps


def hide_all_but_neighbours(wire: Wire, line: list[Node]) -> None:
    """Lets datagrams pass between neighbours in the line only, inside and outside the tunnel."""
    place = {node.key: index for index, node in enumerate(line)}
    by_host = {node.host: index for index, node in enumerate(line)}
    by_host |= {str(node.description.mesh_ipv4): index for index, node in enumerate(line)}
    wire.drop = lambda sender, transmit: abs(place[sender.key] - by_host[str(transmit.to.host)]) > 1


def prove_all(wire: Wire, node: Node, line: list[Node]) -> None:
    index = line.index(node)
    neighbours = [each for each in line[max(0, index - 1) : index + 2] if each is not node]
    proofs = [PeerProof(each.key, Endpoint.of(each.host, 51820), wire.now) for each in neighbours]
    node.core.set_self(node.description, [proof for proof in proofs if proof.public_key in node.peers()], wire.now)
    wire.settle()
