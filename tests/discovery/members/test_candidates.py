"""The candidates of one peer: order, expiry, bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import CandidateSource, Endpoint
from wgmesh.discovery.members.candidates import CANDIDATES_MAX, Candidates

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


def test_an_observed_address_and_hearsay_expire_ten_minutes_after_they_were_heard() -> None:
    candidates = Candidates()
    for number, source in enumerate((OBSERVED, SECOND_HAND, ANNOUNCED, STATIC, CACHE), 1):
        candidates.hear(at(number), source, 100.0)
    assert not candidates.expire(699.0) and candidates.expire(700.0)
    assert [each.source for each in candidates.best_first(700.0)] == [ANNOUNCED, STATIC, CACHE]


def test_hearsay_that_is_repeated_is_no_younger() -> None:
    candidates = Candidates()
    candidates.hear(at(1), SECOND_HAND, 100.0)
    candidates.hear(at(1), SECOND_HAND, 500.0)
    assert candidates.expire(700.0) and order(candidates, 700.0) == []


def test_a_suggestion_is_taken_however_many_addresses_are_known_from_elsewhere() -> None:
    candidates = Candidates()
    for number in range(1, 7):
        candidates.hear(at(number), STATIC, 100.0)
    candidates.hear(at(7), SECOND_HAND, 100.0)
    assert order(candidates, 100.0)[-1] == 7


def test_the_best_source_of_an_address_is_shown_also_while_it_is_proven() -> None:
    candidates = Candidates()
    candidates.hear(at(1), CACHE, 90.0)
    candidates.hear(at(1), LAN, 100.0)
    candidates.prove(at(1), 101.0)
    for now in (102.0, 200.0, 280.0):  # the announcements of a LAN are not needed while its address works
        candidates.expire(now)
        (candidate,) = candidates.best_first(now)
        assert (candidate.source, candidate.observed_at, candidate.proven_at) == (LAN, 100.0, 101.0)
    candidates.expire(281.0)
    assert [each.source for each in candidates.best_first(281.0)] == [CACHE]


def test_a_proof_never_makes_an_addresss_life_shorter() -> None:
    candidates = Candidates()
    candidates.hear(at(1), OBSERVED, 100.0)
    candidates.prove(at(1), 50.0)
    assert not candidates.expire(649.0)


def test_an_address_that_wireguard_reached_ten_minutes_ago_and_nobody_names_is_dropped() -> None:
    candidates = Candidates()
    candidates.prove(at(1), 100.0)
    assert not candidates.expire(699.0) and candidates.endpoints() == {at(1)}
    assert candidates.expire(700.0) and candidates.endpoints() == set()


def test_of_what_wireguard_has_reached_the_sixteen_newest_are_kept() -> None:
    candidates = Candidates()
    for number in (2, 1, *range(3, 17)):
        candidates.prove(at(number), 100.0 + number)
    assert len(candidates.endpoints()) == 16
    candidates.prove(at(17), 117.0)
    assert candidates.endpoints() == {at(number) for number in range(2, 18)}


def test_the_newest_proof_is_one_of_its_own_address_alone() -> None:
    candidates = Candidates()
    assert not candidates.is_newest_proof(at(1))
    candidates.prove(at(1), 100.0)
    candidates.prove(at(2), 101.0)
    assert [candidates.is_newest_proof(at(number)) for number in (1, 2, 3)] == [False, True, False]


def test_proofs_grow_stale_one_by_one() -> None:
    candidates = Candidates()
    candidates.prove(at(1), 150.0)
    candidates.prove(at(2), 100.0)
    candidates.hear(at(3), LAN, 200.0)
    assert order(candidates, 279.0) == [1, 2, 3]
    assert order(candidates, 280.0) == [1, 3, 2]


def test_an_order_that_holds_is_not_worked_out_again() -> None:
    candidates = Candidates()
    candidates.hear(at(1), STATIC, 100.0)
    for proven_at in (100.0, 150.0):
        candidates.prove(at(int(proven_at) - 90), proven_at)
    for now in (160.0, 280.0, 400.0):
        assert candidates.best_first(now) is candidates.best_first(now)


def test_the_order_may_change_when_a_proof_grows_stale_and_again_when_it_is_dropped() -> None:
    candidates = Candidates()
    candidates.prove(at(1), 100.0)
    assert candidates.next_change(100.0) == 280.0
    assert candidates.next_change(280.0) == 700.0
    assert candidates.next_change(700.0) is None


def test_announcing_the_same_addresses_in_another_order_is_no_news() -> None:
    candidates = Candidates()
    candidates.replace([at(1), at(2)], ANNOUNCED, 100.0)
    assert not candidates.replace([at(2), at(1)], ANNOUNCED, 101.0)


def test_a_new_address_takes_the_place_of_the_oldest_of_the_worst_source() -> None:
    candidates = Candidates()
    candidates.hear(at(1), CACHE, 101.0)
    candidates.hear(at(16), CACHE, 100.0)
    for number in range(2, 16):
        candidates.hear(at(number), STATIC, 100.0)
    candidates.hear(at(17), OBSERVED, 102.0)
    assert candidates.endpoints() == {at(number) for number in (*range(1, 16), 17)}
    candidates.hear(at(17), OBSERVED, 103.0)  # known already: nobody has to go
    assert len(candidates.endpoints()) == 16


def test_an_address_that_works_is_kept_before_better_ones_that_are_not_proven() -> None:
    candidates = Candidates()
    candidates.hear(at(1), CACHE, 100.0)
    candidates.prove(at(1), 100.0)
    for number in range(2, 18):
        candidates.hear(at(number), STATIC, 100.0 + number)
    (first, *_) = candidates.best_first(120.0)
    assert (first.endpoint, first.source) == (at(1), CACHE)
    assert at(2) not in candidates.endpoints()


def test_a_seventeenth_address_is_taken_although_all_others_work() -> None:
    candidates = Candidates()
    for number in range(1, 17):
        candidates.hear(at(number), STATIC, 100.0 + number)
        candidates.prove(at(number), 100.0 + number)
    candidates.hear(at(17), LAN, 120.0)
    assert at(17) in candidates.endpoints()


def test_room_is_made_first_by_what_is_too_old() -> None:
    candidates = Candidates()
    candidates.hear(at(1), CACHE, 100.0)
    for number in range(2, 17):
        candidates.hear(at(number), LAN, 100.0)
    candidates.hear(at(17), OBSERVED, 130.0)
    assert order(candidates, 130.0) == [17, 1]


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
