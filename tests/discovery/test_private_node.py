"""Nodes of the private DHT on a simulated network: every datagram takes 20 ms, and time is the network's."""

from __future__ import annotations

import heapq
import ipaddress
import random
from collections.abc import Callable, Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from wgmesh.core.datagram_seal import MAX_DATAGRAM_BYTES, NONCE_BYTES, seal, unseal
from wgmesh.core.model import Endpoint
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.private_door import REJECTED_BURST, REQUEST_BURST
from wgmesh.discovery.private_message import Kind, Message, decode, encode
from wgmesh.discovery.private_node import MAX_GREETINGS, Found, NodesChanged, PrivateNode, Stored
from wgmesh.discovery.private_searching import MAX_SEARCHES, MAX_WAITING
from wgmesh.discovery.private_seeds import encode_nodes

KEY = bytes(range(32))
START = 1_763_800_000.0
DELAY_S = 0.02
NAME = bytes(range(20))
HOUR_S = 3600.0
HEADER_BYTES = 28  # of IPv4 and UDP


def at(number: int) -> Endpoint:
    return Endpoint(ipaddress.IPv4Address(0x0A000000 + number), 4001)


def take_any(key: bytes, old: bytes | None, new: bytes) -> bool:
    return True


def take_newer(key: bytes, old: bytes | None, new: bytes) -> bool:
    return old is None or new > old


class Net:
    """Who is not in `nodes` gets nothing and says nothing."""

    def __init__(self, loss: float = 0.0) -> None:
        self.now = START
        self.nodes: dict[Endpoint, PrivateNode] = {}
        self.events: list[Stored | Found] = []
        self.told_counts: dict[Endpoint, int] = {}
        """The last number of nodes that each has told of."""
        self.sent: list[tuple[float, Endpoint, Endpoint, bytes]] = []
        self.random = random.Random(1)
        self.cut: set[Endpoint] = set()
        """Whose links are down."""
        self._loss = loss
        self._flying: list[tuple[float, int, bytes, Endpoint, Endpoint]] = []

    def node(self, key: bytes = KEY, rules: AddressRules | None = None, judge: object = take_any) -> PrivateNode:
        assert callable(judge)
        return PrivateNode(key, judge, self.random.randbytes, rules)

    def join(self, number: int, bootstrap: Iterable[Endpoint] = (), key: bytes = KEY) -> PrivateNode:
        node = self.nodes[at(number)] = self.node(key)
        node.start(bootstrap, self.now)
        return node

    def mesh(self, count: int) -> list[PrivateNode]:
        """That many, who all enter through the first, and have met."""
        nodes = [self.join(number, [at(0)]) for number in range(count)]
        self.run(10.0)
        return nodes

    def deliver(self, data: bytes, source: Endpoint, to: Endpoint) -> None:
        heapq.heappush(self._flying, (self.now + DELAY_S, len(self.sent), data, source, to))
        self.sent.append((self.now, source, to, data))

    def run(self, for_s: float, until: Callable[[], bool] = lambda: False) -> None:
        end = self.now + for_s
        self._drain()
        while not until():
            times = [each for node in self.nodes.values() if (each := node.poll_timeout()) is not None]
            times += [self._flying[0][0]] if self._flying else []
            due_at = min(times, default=end)
            if due_at > end:
                self.now = end
                return
            self.now = max(self.now, due_at)
            self._step()

    def outcome(self, ticket: int) -> Stored | Found:
        self.run(20.0, lambda: any(event.ticket == ticket for event in self.events))
        (outcome,) = [event for event in self.events if event.ticket == ticket]
        self.events.remove(outcome)
        return outcome

    def put(self, node: PrivateNode, value: bytes, name: bytes = NAME) -> int:
        outcome = self.outcome(node.put(name, value, self.now))
        assert isinstance(outcome, Stored)
        return outcome.count

    def get(self, node: PrivateNode, name: bytes = NAME) -> tuple[bytes, ...]:
        outcome = self.outcome(node.get(name, self.now))
        assert isinstance(outcome, Found)
        return outcome.values

    def _step(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, data, source, to = heapq.heappop(self._flying)
            if to in self.nodes and not {source, to} & self.cut and self.random.random() >= self._loss:
                self.nodes[to].handle_datagram(data, source, self.now)
        for node in list(self.nodes.values()):
            due_at = node.poll_timeout()
            if due_at is not None and due_at <= self.now:
                node.handle_timeout(self.now)
        self._drain()

    def _drain(self) -> None:
        for endpoint, node in self.nodes.items():
            while (transmit := node.poll_transmit()) is not None:
                self.deliver(transmit.data, endpoint, transmit.to)
            while (event := node.poll_event()) is not None:
                if isinstance(event, NodesChanged):
                    self.told_counts[endpoint] = event.count
                else:
                    self.events.append(event)


def a_request(kind: Kind, nonce: int = 1, now: float = START) -> bytes:
    key = NAME if kind is not Kind.PING else b""
    message = Message(kind, bytes(16), key, b"value" if kind is Kind.STORE else b"")
    return seal(encode(message), KEY, nonce.to_bytes(NONCE_BYTES, "big"), now)


def test_all_of_a_small_mesh_know_each_other_although_they_start_at_once() -> None:
    net = Net()
    assert [node.node_count for node in net.mesh(8)] == [7] * 8
    assert list(net.told_counts.values()) == [7] * 8


def test_a_value_is_found_by_everybody_and_kept_by_eight() -> None:
    net = Net()
    nodes = net.mesh(30)

    assert net.put(nodes[3], b"value") == 8
    assert all(net.get(node) == (b"value",) for node in nodes)


def test_a_mesh_in_which_nobody_knows_everybody_finds_it_too() -> None:
    net = Net()
    nodes = net.mesh(100)

    assert min(node.node_count for node in nodes) < 99
    assert net.put(nodes[3], b"value") == 8
    assert net.get(nodes[90]) == (b"value",)


def test_with_a_tenth_of_all_datagrams_lost_values_are_still_found() -> None:
    net = Net(loss=0.1)
    nodes = net.mesh(20)

    assert net.put(nodes[3], b"value") >= 6
    assert all(net.get(node) == (b"value",) for node in nodes)


def test_after_half_has_died_a_value_is_found_within_two_seconds_and_soon_at_once() -> None:
    net = Net()
    nodes = net.mesh(16)
    net.put(nodes[3], b"value")
    for number in range(0, 16, 2):
        del net.nodes[at(number)]

    for within_s in (2.0, 2.0, 0.5):  # the second still meets those who were farther away
        asked_at = net.now
        assert net.get(nodes[15]) == (b"value",)
        assert net.now - asked_at < within_s
    assert net.told_counts[at(15)] == net.nodes[at(15)].node_count


def test_values_that_differ_are_all_found_and_the_own_one_first() -> None:
    net = Net()
    nodes = net.mesh(3)
    alone = net.join(50)
    net.put(alone, b"mine")
    net.put(nodes[0], b"theirs")
    alone.add_nodes([at(0)], net.now)
    net.run(5.0)

    assert net.get(alone) == (b"mine", b"theirs")


def test_alone_it_still_keeps_what_is_its_own() -> None:
    net = Net()
    alone = net.join(0)

    assert net.put(alone, b"mine") == 0
    assert net.get(alone) == (b"mine",)


def test_what_the_judge_refuses_is_kept_nowhere() -> None:
    net = Net()
    for number in range(3):
        net.nodes[at(number)] = net.node(judge=take_newer)
        net.nodes[at(number)].start([at(0)], net.now)
    net.run(10.0)
    nodes = list(net.nodes.values())

    assert net.put(nodes[0], b"2") == 2
    assert net.put(nodes[1], b"1") == 0
    assert net.get(nodes[2]) == (b"2",)


def test_it_tries_again_by_itself_until_the_first_node_is_there() -> None:
    net = Net()
    early = net.join(1, [at(0)])
    net.run(HOUR_S)
    attempts = len(net.sent)
    net.join(0)
    net.run(250.0, lambda: early.node_count == 1)

    assert early.node_count == 1
    assert attempts < 100, "with back-off"


def test_a_node_told_of_another_later_enters_at_once() -> None:
    net = Net()
    late = net.join(1)
    net.join(0)
    net.run(HOUR_S)
    late.add_nodes([at(0)], net.now)
    net.run(1.0)

    assert late.node_count == 1


def test_two_halves_that_were_cut_apart_meet_again_through_what_the_operator_named() -> None:
    net = Net()
    first = net.mesh(3)
    other = [net.join(number, [at(10)]) for number in range(10, 13)]
    net.run(10.0)
    bridge = net.join(20, [at(0), at(10)])
    net.run(60.0)

    assert bridge.node_count == 6
    net.put(first[1], b"value")
    assert net.get(other[1]) == (b"value",)


def test_from_a_saved_state_it_enters_although_all_that_it_was_named_are_dead() -> None:
    net = Net()
    nodes = net.mesh(8)
    state = nodes[7].state()
    for number in (0, 7):
        del net.nodes[at(number)]
    again = net.nodes[at(30)] = net.node()
    again.restore(state, net.now)
    again.start([at(0)], net.now)
    net.run(10.0)

    assert again.node_count == 6


def test_a_state_of_another_mesh_or_a_damaged_one_is_left_out() -> None:
    net = Net()
    net.join(0)
    alone = net.join(1)
    for data in (b"", b"{", b"[]", b'{"nodes":5}', b'{"nodes":[5,{}]}', encode_nodes([at(0)], bytes(32)), bytes(10**6)):
        alone.restore(data, net.now)
    net.run(10.0)

    assert alone.node_count == 0 and not net.sent


def test_one_whose_link_was_down_finds_the_mesh_again() -> None:
    net = Net()
    nodes = net.mesh(8)
    net.cut.add(at(5))
    net.run(3 * HOUR_S)
    assert {node.node_count for node in nodes} == {0, 6}
    net.cut.clear()
    del net.nodes[at(0)]  # by which all had entered
    net.run(250.0)

    assert nodes[5].node_count == 6


def test_dead_nodes_are_forgotten_also_by_those_who_never_ask_near_them() -> None:
    net = Net()
    net.mesh(24)
    del net.nodes[at(3)]
    net.run(2.5 * HOUR_S)

    assert max(node.node_count for node in net.nodes.values()) == 22


def test_a_request_that_got_lost_is_sent_once_more() -> None:
    net = Net()
    net.join(1, [at(0)])
    net.run(0.5)

    assert [round(sent_at - START, 1) for sent_at, *_ in net.sent] == [0.0, 0.4]


def test_an_answer_counts_only_from_where_it_was_asked() -> None:
    net = Net()
    node = net.join(1, [at(0)])
    net.run(0.0)
    asked = decode(unseal(net.sent[0][3], KEY, net.now).payload)
    answer = encode(Message(Kind.PONG, asked.id, you=at(1)))

    node.handle_datagram(seal(answer, KEY, bytes(NONCE_BYTES), net.now), at(7), net.now)
    assert node.node_count == 0
    node.handle_datagram(seal(answer, KEY, b"\x01" * NONCE_BYTES, net.now), at(0), net.now)
    assert node.node_count == 1


def test_one_host_gets_no_more_answers_than_its_share() -> None:
    net = Net()
    node = net.join(0)
    for number in range(2 * REQUEST_BURST):
        node.handle_datagram(a_request(Kind.FIND_VALUE, number), at(1), net.now)
    node.handle_datagram(a_request(Kind.FIND_VALUE, 2 * REQUEST_BURST), at(2), net.now)
    net.run(0.0)

    answers = [to for _, _, to, _ in net.sent]
    assert answers.count(at(1)) == REQUEST_BURST + 1, "and the greeting"
    assert answers.count(at(2)) == 2


def test_its_own_address_among_the_bootstrap_nodes_does_no_harm() -> None:
    net = Net()
    nodes = net.mesh(2)

    assert [node.node_count for node in nodes] == [1, 1]
    assert net.put(nodes[0], b"value") == 1


def test_idle_it_sends_far_less_than_a_megabyte_a_day() -> None:
    for count, hours in ((8, 8), (40, 3)):
        net = Net()
        net.mesh(count)
        net.run(HOUR_S)
        already = len(net.sent)
        net.run(hours * HOUR_S)
        sent = sum(len(data) + HEADER_BYTES for _, _, _, data in net.sent[already:])
        assert sent / count / hours * 24 < 400_000


def test_a_stranger_gets_no_answer_and_stores_nothing() -> None:
    net = Net()
    nodes = net.mesh(4)
    stranger = net.join(66, [at(0), at(1)], key=bytes(32))
    net.run(5.0)

    assert stranger.node_count == 0
    assert net.put(stranger, b"forged") == 0
    assert net.get(nodes[0]) == ()
    assert not [to for _, _, to, _ in net.sent if to == at(66)]


def test_a_recorded_request_is_answered_once_whoever_repeats_it() -> None:
    net = Net()
    node = net.join(0)
    request = a_request(Kind.FIND_VALUE)

    node.handle_datagram(request, at(1), net.now)
    node.handle_datagram(request, at(1), net.now)
    node.handle_datagram(request, at(2), net.now)
    net.run(0.0)

    assert [to for _, _, to, _ in net.sent] == [at(1), at(1)], "the answer and the greeting"
    assert node.rejected_count == 2


def test_an_answer_to_nothing_that_was_asked_makes_no_contact() -> None:
    net = Net()
    node = net.join(0)
    answer = seal(encode(Message(Kind.PONG, bytes(16), you=at(0))), KEY, bytes(NONCE_BYTES), net.now)
    node.handle_datagram(answer, at(1), net.now)

    assert node.node_count == 0


def test_who_only_asks_is_no_contact_and_is_asked_back_within_bounds() -> None:
    net = Net()
    node = net.join(0)
    for number in range(1, 100):
        node.handle_datagram(a_request(Kind.FIND_NODE, number), at(number), net.now)
    net.run(0.0)

    assert node.node_count == 0
    assert len(net.sent) == 99 + MAX_GREETINGS


def test_a_flood_of_garbage_from_elsewhere_does_not_silence_the_mesh() -> None:
    net = Net()
    nodes = net.mesh(3)
    for number in range(5 * REJECTED_BURST):
        nodes[0].handle_datagram(b"\xd1" + number.to_bytes(100, "big"), at(1000 + number), net.now)

    nodes[0].handle_datagram(a_request(Kind.PING, now=net.now), at(50), net.now)
    net.run(0.0)
    assert not [to for _, _, to, _ in net.sent if to == at(50)], "a stranger waits for its turn"
    assert net.put(nodes[1], b"value") == 2


def test_addresses_inside_the_tunnel_are_no_nodes() -> None:
    net = Net()
    net.join(0)
    node = net.nodes[at(1)] = net.node(rules=AddressRules((ipaddress.ip_network("10.0.0.0/31"),)))
    node.start([at(0)], net.now)
    node.handle_datagram(a_request(Kind.PING), at(0), net.now)
    net.run(10.0)

    assert node.node_count == 0 and not net.sent


def test_more_questions_than_it_has_room_for_are_answered_with_what_is_here() -> None:
    net = Net()
    nodes = net.mesh(4)
    names = [number.to_bytes(20, "big") for number in range(MAX_SEARCHES + MAX_WAITING + 5)]
    tickets = [nodes[0].get(name, net.now) for name in names]
    net.run(30.0)

    assert sorted(event.ticket for event in net.events) == sorted(tickets)


def test_wrong_sizes_are_stored_nowhere() -> None:
    net = Net()
    nodes = net.mesh(3)

    assert net.put(nodes[0], bytes(901)) == 0
    assert net.put(nodes[0], b"") == 0
    assert net.put(nodes[0], b"value", bytes(21)) == 0
    assert net.put(nodes[0], bytes(900)) == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8), st.sampled_from(list(Kind)))
def test_nothing_that_a_member_or_a_stranger_says_raises(texts: list[bytes], kind: Kind) -> None:
    net = Net()
    node = net.join(0)
    for number, text in enumerate(texts):
        nonce = number.to_bytes(NONCE_BYTES, "big")
        payload = bytes((kind,)) + bytes(16) + text
        for data in (
            text,
            b"\xd1" + text,
            seal(text, KEY, nonce, net.now),
            seal(payload, KEY, b"\x01" + nonce[1:], START),
        ):
            node.handle_datagram(data, at(1), net.now)
    net.run(3.0)

    assert all(len(data) <= MAX_DATAGRAM_BYTES for _, _, _, data in net.sent)
