"""When members that we have met and do not reach are looked for."""

from __future__ import annotations

import itertools
import random

from support.discovery.discovery_wire import START, describe
from wgmesh.core.model import PublicKey
from wgmesh.discovery.mainline.missed import AT_A_TIME, FIRST_S, GAP_S, LAST_S, MISSED_MAX, PUT_S, Missed

Visit = tuple[float, PublicKey, bool]
KEYS = [describe(number).public_key for number in range(1, 30)]


def visits(missed: Missed, keys: list[PublicKey], span_s: int, *, is_stored: bool = True) -> list[Visit]:
    """Who is visited, and when. The DHT keeps what is put, or does not."""
    seen = []
    for now in (START + second for second in range(0, span_s, 5)):
        for key, must_put in missed.due(now, keys, revision=1):
            seen.append((now, key, must_put))
            if is_stored:
                missed.stored(key)
    return seen


def test_nobody_is_looked_for_in_the_first_seconds_and_each_ever_less_often() -> None:
    seen = visits(Missed(random.Random(1).random), KEYS[:1], 4 * 3600)
    times = [at - START for at, _, _ in seen]
    assert 0.8 * FIRST_S <= times[0] <= 1.2 * FIRST_S + 5
    assert len(times) < 4 * 3600 / (0.8 * LAST_S) + 8


def test_our_record_is_put_at_first_after_half_an_hour_and_when_it_says_something_new() -> None:
    missed = Missed(random.Random(1).random)
    seen = visits(missed, KEYS[:1], 3600)
    puts = [at for at, _, must_put in seen if must_put]
    assert puts[0] == seen[0][0] and puts[1] - puts[0] >= PUT_S and len(puts) == 2
    assert missed.due(START + 2 * 3600, KEYS[:1], 2) == [(KEYS[0], True)]


def test_what_no_node_of_the_dht_keeps_is_put_at_every_visit() -> None:
    seen = visits(Missed(random.Random(1).random), KEYS[:1], 3600, is_stored=False)
    assert len(seen) > 4 and all(must_put for _, _, must_put in seen)


def test_few_are_looked_for_at_a_time_and_all_get_their_turn() -> None:
    missed = Missed(random.Random(1).random)
    seen = visits(missed, KEYS, 120)
    at = [at for at, _, _ in seen]
    assert max(at.count(each) for each in at) == AT_A_TIME
    assert all(later - earlier >= GAP_S for earlier, later in itertools.pairwise(sorted(set(at))))
    assert {key for _, key, _ in seen} == set(KEYS)


def test_what_is_remembered_has_a_bound_and_who_is_back_is_forgotten() -> None:
    missed = Missed(random.Random(1).random)
    many = [PublicKey(number.to_bytes(32)) for number in range(1, 2 * MISSED_MAX)]
    missed.due(START, many, 1)
    assert len(missed._members) == MISSED_MAX
    missed.due(START + 1, [], 1)
    assert not missed._members
