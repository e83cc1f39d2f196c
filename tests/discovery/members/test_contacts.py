"""Whom to ask, and when."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.bounds import CONTACTS_MAX
from wgmesh.discovery.members.contacts import CONCURRENT_MAX, LAST_RETRY_S, Contacts, Origin
from wgmesh.discovery.members.refreshes import Refreshes

KEY = PublicKey(bytes(32))


def test_what_the_operator_named_is_asked_before_hearsay_and_hearsay_before_the_cache() -> None:
    contacts = Contacts(middle)
    for number, origin in enumerate([Origin.CACHE, Origin.SECOND_HAND, Origin.HEARD]):
        contacts.add(at(number), origin, 0.0)
    contacts.set_static([at(9)], 0.0)
    order = [contact.origin for contact in contacts.due(0.0)]
    assert order == [Origin.HEARD, Origin.STATIC, Origin.SECOND_HAND, Origin.CACHE]


def test_hearsay_is_asked_eight_at_a_time_and_who_speaks_does_not_wait_for_it() -> None:
    contacts = Contacts(middle)
    for number in range(100):
        contacts.add(at(number), Origin.SECOND_HAND, 0.0)
    assert len(contacts.due(0.0)) == CONCURRENT_MAX == 8
    assert contacts.due(0.0) == [] and contacts.poll_timeout() is None
    contacts.add(at(200), Origin.HEARD, 0.0)
    assert [contact.address for contact in contacts.due(0.0)] == [at(200)]
    contacts.failed(at(0), 4.0)
    assert contacts.poll_timeout() == 0.0 and len(contacts.due(4.0)) == 1


def test_the_pause_after_silence_doubles_up_to_a_quarter_of_an_hour() -> None:
    contacts = Contacts(middle)
    contacts.add(at(1), Origin.SECOND_HAND, 0.0)
    now, pauses = 0.0, []
    for _ in range(12):
        assert contacts.due(now)
        contacts.failed(at(1), now)
        following = contacts.poll_timeout()
        assert following is not None
        pauses.append(following - now)
        now = following
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0] and pauses[-1] == LAST_RETRY_S


def test_an_answer_ends_a_contact_and_keeps_a_static_one() -> None:
    contacts = Contacts(middle)
    contacts.add(at(1), Origin.CACHE, 0.0)
    contacts.set_static([at(2)], 0.0)
    contacts.due(0.0)
    assert not contacts.answered(at(1), 1.0) and contacts.answered(at(2), 1.0)
    assert contacts.get(at(1)) is None
    assert contacts.poll_timeout() == 61.0


def test_mentioning_an_address_again_does_not_shorten_its_pause_unless_its_peer_speaks() -> None:
    contacts = Contacts(middle)
    contacts.add(at(1), Origin.CACHE, 0.0)
    contacts.due(0.0)
    contacts.failed(at(1), 4.0)
    contacts.add(at(1), Origin.SECOND_HAND, 5.0)
    assert contacts.poll_timeout() == 9.0
    contacts.add(at(1), Origin.HEARD, 5.0, KEY, eager=True)
    assert contacts.poll_timeout() == 5.0


def test_names_that_moved_take_their_old_addresses_with_them() -> None:
    contacts = Contacts(middle)
    contacts.set_static([at(1), at(2)], 0.0)
    contacts.set_static([at(2), at(3)], 1.0)
    assert [contact.address for contact in contacts.due(1.0)] == [at(2), at(3)]
    assert len(contacts) == 2


def test_a_departed_peers_addresses_go_and_static_ones_stay() -> None:
    contacts = Contacts(middle)
    contacts.set_static([at(1)], 0.0)
    contacts.add(at(1), Origin.SECOND_HAND, 0.0, KEY)
    contacts.add(at(2), Origin.SECOND_HAND, 0.0, KEY)
    contacts.drop_peer(KEY)
    assert contacts.get(at(1)) is not None and contacts.get(at(2)) is None


def test_there_is_a_bound_on_addresses() -> None:
    contacts = Contacts(middle)
    for number in range(CONTACTS_MAX + 10):
        contacts.add(Endpoint.of("192.0.2.1", number + 1), Origin.SECOND_HAND, 0.0)
    assert len(contacts) == CONTACTS_MAX


_STEP = st.tuples(st.sampled_from(["add", "due", "answered", "failed", "wait"]), st.integers(0, 20))


@given(st.lists(_STEP, max_size=60))
def test_the_timeout_is_when_something_is_due(steps: list[tuple[str, int]]) -> None:
    contacts = Contacts(random.Random(1).random)
    now = 0.0
    for step, number in steps:
        match step:
            case "add":
                contacts.add(at(number), Origin(number % 4), now)
            case "answered":
                contacts.answered(at(number), now)
            case "failed":
                contacts.failed(at(number), now)
            case "wait":
                now += number
            case _:
                contacts.due(now)
        following = contacts.poll_timeout()
        if following is None or following > now:
            assert contacts.due(now) == []
        else:
            assert contacts.due(now) != []


def test_every_peer_is_refreshed_between_forty_and_fifty_seconds() -> None:
    assert all(40.0 < gap < 50.0 for gap in gaps(nobody))


def test_who_is_content_is_refreshed_every_two_hours() -> None:
    assert all(6000.0 < gap < 8400.0 for gap in gaps(everybody))


def test_who_is_no_longer_content_is_refreshed_at_the_next_turn() -> None:
    refreshes = Refreshes(middle)
    refreshes.ensure(KEY, 0.0)
    assert refreshes.due(45.0, everybody) == []
    assert refreshes.due(90.0, nobody) == [KEY]
    assert refreshes.due(135.0, everybody) == []


def test_news_of_ours_reaches_also_who_is_content() -> None:
    refreshes = Refreshes(middle)
    refreshes.ensure(KEY, 0.0)
    refreshes.hurry(1.0)
    assert refreshes.due(2.0, everybody) == [KEY]
    assert refreshes.due(47.0, everybody) == []


def test_a_change_of_ours_is_told_to_all_soon_and_not_at_one_instant() -> None:
    refreshes = Refreshes(random.Random(3).random)
    keys = [PublicKey(number.to_bytes(32, "big")) for number in range(300)]
    for key in keys:
        refreshes.ensure(key, 0.0)
    refreshes.hurry(10.0)
    assert len(refreshes.due(10.0, nobody)) < 30
    told = sum(len(refreshes.due(10.0 + second / 10, nobody)) for second in range(1, 61))
    assert told >= 270


def test_a_dropped_peer_is_not_refreshed() -> None:
    refreshes = Refreshes(middle)
    refreshes.ensure(KEY, 0.0)
    refreshes.drop(KEY)
    assert refreshes.due(100.0, nobody) == [] and refreshes.poll_timeout() is None


def gaps(is_content: Callable[[PublicKey], bool]) -> list[float]:
    """Seconds between the refreshes of one peer, for a day."""
    refreshes = Refreshes(random.Random(2).random)
    refreshes.ensure(KEY, 0.0)
    turns, now = [], 0.0
    while now < 86400.0:
        following = refreshes.poll_timeout()
        assert following is not None
        now = following
        turns += [now] * len(refreshes.due(now, is_content))
    found = [after - before for before, after in itertools.pairwise(turns)]
    assert found
    return found


def nobody(key: PublicKey) -> bool:
    return False


def everybody(key: PublicKey) -> bool:
    return True


def middle() -> float:
    return 0.5


def at(number: int) -> Endpoint:
    return Endpoint.of("198.51.100.1", 1000 + number)


def test_an_address_of_the_operator_is_silent_until_it_answers_and_again_when_it_no_longer_does() -> None:
    contacts = Contacts(middle)
    contacts.set_static([at(1), at(2)], 0.0)
    seen = [contacts.are_silent([at(1), at(2)])]
    contacts.due(0.0)
    contacts.answered(at(1), 1.0)
    seen += [contacts.are_silent([at(1), at(2)]), contacts.are_silent([at(2)])]
    contacts.due(100.0)
    contacts.failed(at(1), 105.0)
    seen.append(contacts.are_silent([at(1), at(2)]))

    assert seen == [True, False, True, True]
