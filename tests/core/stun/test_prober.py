from __future__ import annotations

from collections.abc import Callable
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.core.stun import codec as stun
from wgmesh.core.stun.events import AnswerRefused, Event, MappingLearned, ServerSilent
from wgmesh.core.stun.prober import RETRY_GAPS_S, ROUND_GAP_S, SERVERS_MAX, SILENCE_GAP_MAX_S, Prober

A = Endpoint.parse("44.128.1.1:3478")
B = Endpoint.parse("44.129.1.1:3478")
OUTSIDE = Endpoint.parse("44.130.0.9:40000")

Server = Callable[[stun.Message], bytes | None]


def test_a_server_that_never_answers_is_given_up_after_the_last_retry() -> None:
    world = World({A: silent})

    world.run(until=sum(RETRY_GAPS_S))

    assert world.events == [ServerSilent(A)]
    assert [at for at, _ in world.sent] == [0.0, 0.5, 1.5, 3.5]
    assert len({transmit.data for _, transmit in world.sent}) == 1


def test_both_servers_are_asked_at_once_and_their_answers_reported() -> None:
    world = World({A: sees(OUTSIDE), B: sees(OUTSIDE)})

    world.run(until=1.0)

    assert world.events == [MappingLearned(A, OUTSIDE, 0.0), MappingLearned(B, OUTSIDE, 0.0)]
    assert len(world.sent) == 2


def test_a_healthy_server_is_asked_again_after_a_minute() -> None:
    world = World({A: sees(OUTSIDE)})

    world.run(until=2 * ROUND_GAP_S)

    assert [at for at, _ in world.sent] == [0.0, ROUND_GAP_S, 2 * ROUND_GAP_S]


def test_without_any_answer_rounds_become_rarer_up_to_a_limit() -> None:
    world = World({A: silent})

    world.run(until=3600.0)

    starts = [at for at, _ in world.sent][:: len(RETRY_GAPS_S)]
    gaps = [later - earlier - sum(RETRY_GAPS_S) for earlier, later in pairwise(starts)]
    assert gaps[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(gaps) == SILENCE_GAP_MAX_S


def test_a_dead_server_beside_a_living_one_is_asked_ever_more_rarely_but_not_never() -> None:
    world = World({A: sees(OUTSIDE), B: silent})

    world.run(until=3600.0)

    asked = {server: sum(transmit.to == server for _, transmit in world.sent) for server in (A, B)}
    assert asked[A] > 50
    assert 4 * 7 <= asked[B] <= 4 * 12


def test_a_server_that_wakes_up_is_back_at_full_pace() -> None:
    world = World({A: sees(OUTSIDE), B: silent})
    world.run(until=1200.0)

    world.servers[B] = sees(OUTSIDE)
    world.run(until=2400.0)

    learned = [event.at for event in world.events if isinstance(event, MappingLearned) and event.server == B]
    assert len(learned) > 8
    assert learned[-1] - learned[-2] < ROUND_GAP_S + sum(RETRY_GAPS_S) + 1


@pytest.mark.parametrize("source", [B, Endpoint(A.host, 3479)])
def test_an_answer_from_another_address_than_the_asked_one_is_ignored(source: Endpoint) -> None:
    world = World({A: silent})
    world.run(until=0.1)
    answer = sees(OUTSIDE)(stun.decode(world.sent[0][1].data))
    assert answer is not None

    world.prober.handle_datagram(answer, source, 0.2)

    assert world.prober.poll_event() is None


def test_an_answer_to_another_transaction_is_ignored() -> None:
    world = World({A: silent})
    world.run(until=0.1)
    answer = sees(OUTSIDE)(stun.Message(stun.MessageType.BINDING_REQUEST, bytes(12)))
    assert answer is not None

    world.prober.handle_datagram(answer, A, 0.2)

    assert world.prober.poll_event() is None


def test_a_second_copy_of_an_answer_changes_nothing() -> None:
    world = World({A: sees(OUTSIDE)})
    world.run(until=0.1)
    answer = sees(Endpoint.parse("44.131.0.1:1"))(stun.decode(world.sent[0][1].data))
    assert answer is not None

    world.prober.handle_datagram(answer, A, 0.2)

    assert world.prober.poll_event() is None


@pytest.mark.parametrize(
    "claimed", ["192.168.1.5:1", "100.64.0.1:1", "127.0.0.1:1", "0.0.0.0:1", "224.0.0.1:1", "[fd00::1]:1"]
)
def test_a_public_server_that_claims_to_see_a_private_address_is_not_believed(claimed: str) -> None:
    world = World({A: sees(Endpoint.parse(claimed))})

    world.run(until=1.0)

    assert [type(event) for event in world.events] == [AnswerRefused]


@pytest.mark.parametrize(
    "claimed", ["255.255.255.255:1", "240.0.0.1:1", "169.254.1.1:1", "0.0.0.0:1", "[2001:db8::1]:1"]
)
def test_no_server_is_believed_that_names_what_is_no_address_of_a_host_or_of_another_family(claimed: str) -> None:
    private = Endpoint.parse("10.9.0.1:3478")
    world = World({private: sees(Endpoint.parse(claimed))})

    world.run(until=1.0)

    assert [type(event) for event in world.events] == [AnswerRefused]


def test_a_private_server_rightly_sees_a_private_address() -> None:
    private = Endpoint.parse("10.9.0.1:3478")
    seen = Endpoint.parse("192.168.1.5:51820")
    world = World({private: sees(seen)})

    world.run(until=1.0)

    assert world.events == [MappingLearned(private, seen, 0.0)]


def test_an_error_response_is_refused_with_a_reason() -> None:
    def fails(request: stun.Message) -> bytes:
        return stun.encode(stun.Message(stun.MessageType.BINDING_ERROR, request.transaction_id))

    world = World({A: fails})

    world.run(until=1.0)

    assert world.events == [AnswerRefused(A, "it answered with an error")]


def test_a_server_that_joins_late_is_asked_at_once_and_the_others_are_not_disturbed() -> None:
    world = World({A: sees(OUTSIDE)})
    world.run(until=10.0)

    world.servers[B] = sees(OUTSIDE)
    world.prober.set_servers([A, B], world.now)
    world.run(until=11.0)

    assert [(at, transmit.to) for at, transmit in world.sent] == [(0.0, A), (10.0, B)]


def test_a_removed_server_is_asked_no_more() -> None:
    world = World({A: silent, B: sees(OUTSIDE)})
    world.run(until=0.1)

    world.prober.set_servers([B], world.now)
    world.run(until=300.0)

    assert [transmit.to for _, transmit in world.sent].count(A) == 1


def test_asking_all_again_uses_new_transactions() -> None:
    world = World({A: sees(OUTSIDE)})
    world.run(until=5.0)

    world.prober.ask_all(world.now)
    world.run(until=6.0)

    assert len({transmit.data for _, transmit in world.sent}) == 2
    assert len(world.events) == 2


def test_no_more_servers_are_asked_than_the_limit() -> None:
    many = {Endpoint.parse(f"44.128.2.{number}:3478"): sees(OUTSIDE) for number in range(1, 30)}

    world = World(many)
    world.run(until=1.0)

    assert len(world.sent) == SERVERS_MAX


def test_the_channel_follows_the_family_of_the_server() -> None:
    world = World({A: silent, Endpoint.parse("[2606:4700::1]:3478"): silent})

    world.run(until=0.1)

    assert [transmit.channel for _, transmit in world.sent] == ["ipv4", "ipv6"]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from([A, B]), st.booleans(), st.binary(max_size=60)), max_size=30)
)
def test_the_prober_always_has_a_next_deadline_whatever_arrives(
    arrivals: list[tuple[float, Endpoint, bool, bytes]],
) -> None:
    world = World({A: silent, B: silent})
    for gap, source, is_genuine, noise in arrivals:
        world.run(until=world.now + gap)
        mine = [transmit for _, transmit in world.sent if transmit.to == source]
        genuine = sees(OUTSIDE)(stun.decode(mine[-1].data))
        world.prober.handle_datagram(genuine if is_genuine and genuine else noise, source, world.now)

    deadline = world.prober.poll_timeout()

    assert deadline is not None
    assert deadline <= world.now + SILENCE_GAP_MAX_S


def silent(_: stun.Message) -> bytes | None:
    return None


def sees(mapped: Endpoint) -> Server:
    def answer(request: stun.Message) -> bytes | None:
        attribute = stun.Attribute(stun.AttributeType.XOR_MAPPED_ADDRESS, mapped)
        return stun.encode(stun.Message(stun.MessageType.BINDING_SUCCESS, request.transaction_id, (attribute,)))

    return answer


class World:
    """Servers that answer at once, and a clock that jumps from deadline to deadline."""

    def __init__(self, servers: dict[Endpoint, Server]) -> None:
        numbers = count(1)
        self.servers = servers
        self.now = 0.0
        self.sent: list[tuple[float, Transmit]] = []
        self.events: list[Event] = []
        self.prober = Prober(lambda size: next(numbers).to_bytes(size, "big"))
        self.prober.set_servers(list(servers), 0.0)

    def run(self, until: float) -> None:
        self._drain()
        while (due := self.prober.poll_timeout()) is not None and due <= until:
            self.now = max(self.now, due)
            self.prober.handle_timeout(self.now)
            self._drain()
        self.now = until

    def _drain(self) -> None:
        while (transmit := self.prober.poll_transmit()) is not None:
            self.sent.append((self.now, transmit))
            answer = self.servers[transmit.to](stun.decode(transmit.data))
            if answer is not None:
                self.prober.handle_datagram(answer, transmit.to, self.now)
        while (event := self.prober.poll_event()) is not None:
            self.events.append(event)
