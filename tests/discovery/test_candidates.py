"""The candidates of one peer: order, expiry, bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.discovery.candidates import CANDIDATES_MAX, Candidates

LAN, OBSERVED, ANNOUNCED = CandidateSource.LAN, CandidateSource.OBSERVED, CandidateSource.ANNOUNCED
STATIC, SECOND_HAND, CACHE = CandidateSource.STATIC, CandidateSource.SECOND_HAND, CandidateSource.CACHE


def test_candidates_come_in_the_order_of_their_source() -> None:
    candidates = Candidates()
    for number, source in enumerate([CACHE, SECOND_HAND, STATIC, ANNOUNCED, OBSERVED, LAN]):
        candidates.hear(at(number), source, 100.0)
    assert [each.source for each in candidates.best_first(101.0)] == [
        LAN,
        OBSERVED,
        ANNOUNCED,
        STATIC,
        SECOND_HAND,
        CACHE,
    ]


def test_the_most_recently_proven_address_comes_first_whatever_its_source() -> None:
    candidates = Candidates()
    candidates.hear(at(1), LAN, 100.0)
    candidates.hear(at(2), SECOND_HAND, 100.0)
    candidates.hear(at(3), OBSERVED, 100.0)
    candidates.prove(at(3), 101.0)
    candidates.prove(at(2), 102.0)
    assert order(candidates, 110.0) == [2, 3, 1]


def test_a_stale_proof_counts_no_more() -> None:
    candidates = Candidates()
    candidates.prove(at(2), 100.0)
    candidates.hear(at(1), LAN, 290.0)
    assert order(candidates, 279.0) == [2, 1]
    assert order(candidates, 280.0) == [1, 2]


def test_of_one_source_the_youngest_comes_first() -> None:
    candidates = Candidates()
    candidates.hear(at(1), OBSERVED, 100.0)
    candidates.hear(at(2), OBSERVED, 101.0)
    assert order(candidates, 102.0) == [2, 1]
    candidates.hear(at(1), OBSERVED, 102.0)
    assert order(candidates, 102.0) == [1, 2]


def test_a_lan_address_expires_after_twenty_silent_seconds_and_not_while_proven() -> None:
    candidates = Candidates()
    candidates.hear(at(1), LAN, 100.0)
    candidates.hear(at(2), LAN, 100.0)
    candidates.prove(at(2), 100.0)
    assert not candidates.expire(119.0)
    assert candidates.expire(120.0)
    assert order(candidates, 120.0) == [2]


def test_an_address_known_twice_survives_the_loss_of_one_source() -> None:
    candidates = Candidates()
    candidates.hear(at(1), LAN, 100.0)
    candidates.hear(at(1), ANNOUNCED, 100.0)
    assert [each.source for each in candidates.best_first(100.0)] == [LAN]
    candidates.expire(120.0)
    assert [each.source for each in candidates.best_first(120.0)] == [ANNOUNCED]


def test_replacing_a_source_leaves_the_others_alone() -> None:
    candidates = Candidates()
    candidates.replace([at(1), at(2)], ANNOUNCED, 100.0)
    candidates.hear(at(3), OBSERVED, 100.0)
    candidates.replace([at(4)], ANNOUNCED, 101.0)
    assert order(candidates, 101.0) == [3, 4]


def test_what_a_peer_has_announced_stays_until_it_announces_something_else() -> None:
    candidates = Candidates()
    assert candidates.replace([at(1), at(2)], ANNOUNCED, 100.0)
    assert not candidates.replace([at(1), at(2)], ANNOUNCED, 101.0)
    assert candidates.next_change(101.0) is None and not candidates.expire(1e6)
    assert candidates.replace([at(2)], ANNOUNCED, 1e6) and order(candidates, 1e6) == [2]


def test_hearsay_never_makes_an_address_younger_and_never_crowds_out() -> None:
    candidates = Candidates()
    for number in range(10):
        candidates.hear(at(number), SECOND_HAND, 100.0 + number)
    assert order(candidates, 110.0) == [3, 2, 1, 0]
    candidates.hear(at(0), SECOND_HAND, 500.0)
    candidates.expire(700.0)
    assert 0 not in order(candidates, 700.0)


def test_the_address_that_wireguard_roamed_to_is_a_candidate() -> None:
    candidates = Candidates()
    candidates.prove(at(7), 100.0)
    (candidate,) = candidates.best_first(110.0)
    assert (candidate.source, candidate.proven_at) == (OBSERVED, 100.0)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(list(CandidateSource)), st.booleans()), max_size=120))
def test_there_are_never_more_than_sixteen_and_proven_ones_are_kept(
    news: list[tuple[int, CandidateSource, bool]],
) -> None:
    candidates = Candidates()
    now = 1000.0
    for number, source, proven in news:
        now += 0.1
        if proven:
            candidates.prove(at(number), now)
        else:
            candidates.hear(at(number), source, now)
        best = candidates.best_first(now)
        assert len(best) <= CANDIDATES_MAX and len({each.endpoint for each in best}) == len(best)
        if proven:
            assert best[0].endpoint == at(number)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(list(CandidateSource))), max_size=30),
    st.floats(0.1, 2000.0),
)
def test_the_next_change_lies_ahead_and_nothing_expires_before_it(
    news: list[tuple[int, CandidateSource]], span_s: float
) -> None:
    candidates = Candidates()
    for number, source in news:
        candidates.hear(at(number), source, 100.0)
    candidates.prove(at(3), 100.0)
    now = 100.0 + span_s
    candidates.expire(now)
    following = candidates.next_change(now)
    assert following is None or following > now
    before = order(candidates, now)
    candidates.expire(following - 0.01 if following is not None else now + 1e6)
    assert order(candidates, now) == before


def at(number: int) -> Endpoint:
    return Endpoint.of(f"198.51.100.{number}", 51820) if number else Endpoint.of("192.0.2.1", 51820)


def order(candidates: Candidates, now: float) -> list[int]:
    return [int(str(each.endpoint.host).rpartition(".")[2]) if each.endpoint != at(0) else 0
            for each in candidates.best_first(now)]  # fmt: skip
