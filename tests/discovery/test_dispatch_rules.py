"""What dispatch does with any message: in what order it is judged, and who is told of it."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from support.discovery.discovery_wire import KEYS, LAN_CHANNEL, SECRET, START, describe
from support.discovery.pairing import pair_key, prove_payload
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.announcement import (
    Announcement,
    Extension,
    Goodbye,
    encode_announcement,
    encode_goodbye,
)
from wgmesh.core.wire.envelope import MessageType, seal
from wgmesh.core.wire.gossip_message import Gossip, encode_gossip
from wgmesh.core.wire.probe import Probe, encode_probe
from wgmesh.core.wire.rendezvous import Offer, encode_offer, encode_start
from wgmesh.core.wire.rendezvous import Start as RendezvousStart
from wgmesh.discovery.assembly import Parts, Randomness, assemble
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.diagnosis.clock_skew import NOTABLE_S
from wgmesh.discovery.dispatch import Dispatch, Route
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.exchange.answers import Answers
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.lan.layer import LanLayer
from wgmesh.discovery.lan.schedule import DATAGRAM_MAX
from wgmesh.discovery.layer import Layer
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.record import PeerFacts
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Received, Rejected, Rejection
from wgmesh.discovery.messages.replay import Stamp
from wgmesh.discovery.settings import DiscoverySettings

OWN, PEER = describe(1), describe(2)
SOURCE = Endpoint.of("192.168.1.2", KEYS.gossip_port)
ELSEWHERE = Endpoint.of("198.51.100.2", KEYS.gossip_port)
RULES = AddressRules()
_nonces = count(1)


class Witness(Layer):
    """A way of finding that writes down what it is told."""

    name = "witness"

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def heard(self, key: PublicKey, source: Endpoint, now: float) -> None:
        self._log.append(f"heard {key.raw[0]} at {source} at {now - START}")

    def answered(self, key: PublicKey, now: float) -> None:
        self._log.append(f"answered by {key.raw[0]} at {now - START}")


@dataclass
class Scene:
    """Node 1 with a table of routes of our own: `log` has what came of a message, in order."""

    bounds: Bounds = field(default_factory=Bounds)
    knows_itself: bool = True

    def __post_init__(self) -> None:
        rng = random.Random(1)
        settings = DiscoverySettings(SECRET, "wg0", Path("/nonexistent"), "node-1")
        self.parts: Parts = assemble(
            settings, Randomness(rng.randbytes, rng.random), b"boot-own", self.bounds, WallClock()
        )
        interface = LanInterface("eth0", 2, (ipaddress.ip_interface("192.168.1.1/24"),))
        self.parts.own.set_interfaces((interface,), START)
        if self.knows_itself:
            self.parts.own.describe(OWN, START)
            self.parts.members.set_own(OWN)
        self.log: list[str] = []
        self.taken: list[tuple[Received, Standing, float]] = []
        self.refuses = False
        """Whether the handler of a message refuses it."""
        self.table = {each: Route(self._take("exchange"), self._take("multicast")) for each in MessageType}
        parts = self.parts
        lan = parts.layers[0]
        assert isinstance(lan, LanLayer)
        lan.moved(START)
        announcer = Announcer(
            parts.own,
            KEYS.gossip_key,
            RULES,
            rng.randbytes,
            parts.pair_keys.get,
            parts.members.table.rotation,
            lambda key, now: False,
        )
        answers = Answers(announcer, parts.members, parts.contacts, parts.hellos, parts.outbox, RULES)
        self.dispatch = Dispatch(
            parts.own,
            parts.inbox,
            parts.pair_keys,
            parts.members,
            parts.diagnosis,
            parts.hellos,
            answers,
            lan,
            [Witness(self.log)],
            self.table,
            parts.unanswered,
        )

    def receive(self, data: bytes, source: Endpoint = SOURCE, after_s: float = 0.0, channel: str = "") -> str:
        """Hands over a datagram; why it was refused, empty if it was not."""
        try:
            self.dispatch.take(data, source, START + after_s, channel)
        except Rejected as rejected:
            return rejected.reason.value
        return ""

    def meet(self) -> None:
        """Makes node 2 a known peer with which a key is agreed."""
        self.parts.pair_keys.settle(PEER.public_key, pair_key(OWN.public_key, PEER.public_key))
        facts = PeerFacts(PEER.mesh_ipv4, hostname="node-2")
        self.parts.members.table.hear(PEER.public_key, facts, (), "exchange", START, Evidence.POSSESSION)

    def notices(self) -> dict[str, str]:
        """What the operator is told at once."""
        self.parts.diagnosis.settle(START + 500.0)
        return {each.code: each.text for each in self.parts.diagnosis.notices}

    def _take(self, through: str) -> Callable[[Received, Standing, float], None]:
        def handler(received: Received, standing: Standing, now: float) -> None:
            self.log.append(f"{through} takes {received.message.type} at {now - START}")
            self.taken.append((received, standing, now))
            if self.refuses:
                raise Rejected(Rejection.UNSOLICITED)

        return handler


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_message_reaches_who_takes_its_type_with_all_that_is_known_of_it(scene: Scene) -> None:
    data = said("GOODBYE")
    assert scene.receive(data, after_s=3.0) == ""
    ((received, standing, now),) = scene.taken
    assert (received.size, received.source, received.channel) == (len(data), SOURCE, "")
    assert (received.message.sender, standing, now) == (PEER.public_key, Standing.UNPROVEN, START + 3.0)


@pytest.mark.parametrize("kind", ["HELLO", "REPLY", "ANNOUNCE"])
def test_who_speaks_of_itself_is_heard_where_it_speaks_from(scene: Scene, kind: str) -> None:
    assert scene.receive(said(kind), after_s=3.0) == ""
    assert scene.log[:2] == [f"heard 2 at {SOURCE} at 3.0", f"exchange takes {kind} at 3.0"]


@pytest.mark.parametrize("kind", ["GOODBYE", "GOSSIP", "RENDEZVOUS_OFFER", "RENDEZVOUS_START"])
def test_what_may_be_said_from_anywhere_tells_of_no_place(scene: Scene, kind: str) -> None:
    scene.parts.pair_keys.settle(PEER.public_key, None)
    assert scene.receive(said(kind), after_s=3.0) == ""
    assert scene.log == [f"exchange takes {kind} at 3.0"]


def test_multicast_tells_of_no_place_where_the_exchange_socket_is_reached(scene: Scene) -> None:
    assert scene.receive(said("ANNOUNCE"), channel=LAN_CHANNEL) == ""
    assert scene.log == ["multicast takes ANNOUNCE at 0.0"]
    assert scene.taken[0][0].channel == LAN_CHANNEL


def test_who_has_given_a_proof_before_is_not_heard_without_one(scene: Scene) -> None:
    scene.parts.members.possessions.note(PEER.public_key, START)
    assert scene.receive(said("HELLO")) == ""
    assert scene.log == ["exchange takes HELLO at 0.0"] and scene.taken[0][1] is Standing.DOUBTFUL


def test_only_a_reply_that_was_taken_is_an_answer(scene: Scene) -> None:
    scene.receive(said("HELLO"))
    scene.receive(said("REPLY"), after_s=2.0)
    assert [each for each in scene.log if each.startswith("answered")] == ["answered by 2 at 2.0"]
    assert scene.log[-1].startswith("answered")
    scene.refuses = True
    assert scene.receive(said("REPLY"), after_s=2.0) == "unsolicited"
    assert scene.log[-1].startswith("exchange takes REPLY")


def test_a_way_that_a_message_may_not_come_is_refused_before_anything_else(scene: Scene) -> None:
    scene.table[MessageType.ANNOUNCE] = Route(scene.table[MessageType.ANNOUNCE].exchange)
    assert scene.receive(said("ANNOUNCE"), channel=LAN_CHANNEL) == "unexpected"
    assert scene.receive(said("ANNOUNCE"), ELSEWHERE, channel=LAN_CHANNEL) == "unexpected"
    assert scene.log == []


def test_multicast_comes_from_the_lan_that_it_is_said_to_come_from(scene: Scene) -> None:
    assert scene.receive(said("ANNOUNCE"), ELSEWHERE, channel=LAN_CHANNEL) == "off-link"
    assert scene.receive(said("ANNOUNCE"), channel="lan:eth1") == "off-link"
    assert scene.receive(said("GOODBYE", padding=DATAGRAM_MAX), channel=LAN_CHANNEL) == "off-link"
    assert scene.log == []
    assert scene.receive(said("ANNOUNCE"), ELSEWHERE) == ""  # by unicast there is no link


def test_the_same_bytes_are_taken_again_only_where_the_table_says_so(scene: Scene) -> None:
    for kind, may_repeat in (("HELLO", True), ("GOODBYE", False)):
        route = scene.table[MessageType(kind)]
        scene.table[MessageType(kind)] = Route(route.exchange, may_repeat=may_repeat)
        data = said(kind)
        assert scene.receive(data) == ""
        assert scene.receive(data) == ("" if may_repeat else "replayed")
    assert [each for each in scene.log if "takes" in each] == ["exchange takes HELLO at 0.0"] * 2 + [
        "exchange takes GOODBYE at 0.0"
    ]


def test_what_is_older_than_the_senders_last_word_is_taken_only_where_the_table_says_so(scene: Scene) -> None:
    scene.parts.members.clocks.advance(PEER.public_key, Stamp(int(START) + 1), START + 1, is_proven=False)
    route = scene.table[MessageType.HELLO]
    scene.table[MessageType.HELLO] = Route(route.exchange, must_be_current=False)
    assert scene.receive(said("HELLO")) == ""
    scene.log.clear()
    assert scene.receive(said("GOODBYE")) == "stale" and scene.log == []
    assert scene.receive(said("ANNOUNCE")) == "stale" and scene.log == []  # nor does it say where its sender is
    assert scene.receive(said("GOODBYE", at=START + 1)) == ""


def test_a_proven_message_renews_the_demand_for_proofs(scene: Scene) -> None:
    scene.meet()
    assert scene.receive(proven("GOODBYE"), after_s=3.0) == ""
    assert scene.taken[0][1] is Standing.PROVEN
    assert scene.parts.members.possessions.at(PEER.public_key) == START + 3.0


def test_a_message_without_proof_or_one_that_was_refused_renews_nothing(scene: Scene) -> None:
    scene.meet()
    assert scene.receive(said("GOODBYE")) == ""
    scene.refuses = True
    assert scene.receive(proven("GOODBYE")) == "unsolicited"
    assert scene.parts.members.possessions.at(PEER.public_key) is None


def test_a_false_proof_reaches_nobody(scene: Scene) -> None:
    scene.parts.pair_keys.settle(PEER.public_key, pair_key(OWN.public_key, describe(3).public_key))
    assert scene.receive(proven("HELLO")) == "unproven" and scene.log == []


@pytest.mark.parametrize("sent", ["GOODBYE", "HELLO"])
def test_a_clock_is_judged_by_what_its_owner_has_proven_to_have_said(scene: Scene, sent: str) -> None:
    ahead = START + 2 * NOTABLE_S
    scene.meet()
    scene.receive(said(sent, at=ahead))
    assert scene.notices() == {}
    scene = Scene()
    scene.meet()
    scene.receive(proven(sent, at=ahead))
    scene.parts.diagnosis.settle(START)
    assert [each.code for each in scene.parts.diagnosis.notices] == ["clock-skew"]


def test_a_message_of_our_kind_waits_for_the_key_with_its_sender(scene: Scene) -> None:
    data = proven("HELLO")
    assert scene.receive(data) == "" and scene.log == []
    scene.parts.pair_keys.settle(PEER.public_key, pair_key(OWN.public_key, PEER.public_key))
    (released,) = scene.parts.pair_keys.release([PEER.public_key])
    assert (released.size, released.source) == (len(data), SOURCE)
    scene.dispatch.act(released, START + 1.0)
    assert scene.log == [f"heard 2 at {SOURCE} at 1.0", "exchange takes HELLO at 1.0"]
    assert scene.taken[0][1] is Standing.PROVEN


def test_how_long_a_message_waits_is_counted_from_when_it_came(scene: Scene) -> None:
    scene.receive(proven("HELLO"), after_s=5.0)
    assert scene.parts.pair_keys.overdue(START + 5.9) == []
    assert len(scene.parts.pair_keys.overdue(START + 6.0)) == 1


def test_a_go_nodes_message_waits_for_nothing(scene: Scene) -> None:
    assert scene.receive(said("HELLO")) == "" and len(scene.taken) == 1
    assert scene.parts.pair_keys.waiting_count == 0


def test_a_message_that_finds_no_room_to_wait_counts_as_one_without_proof() -> None:
    scene = Scene(Bounds(waiting_messages=0))
    assert scene.receive(proven("HELLO")) == ""
    assert [standing for _, standing, _ in scene.taken] == [Standing.UNPROVEN]


def test_our_own_multicast_that_comes_back_is_no_event_and_anywhere_else_it_is(scene: Scene) -> None:
    own = said("ANNOUNCE", sender=OWN.public_key)
    assert scene.receive(own, channel=LAN_CHANNEL) == ""
    assert scene.receive(own) == "own"
    assert scene.receive(b"{" + b"x" * 200, channel=LAN_CHANNEL) != ""
    assert scene.log == []


def test_our_name_in_the_mouth_of_another_machine_is_told_to_the_operator_as_a_name(scene: Scene) -> None:
    scene.receive(said("ANNOUNCE", sender=OWN.public_key, at=START + 100, boot=b"boot-two"), after_s=100)
    assert str(SOURCE) in scene.notices()["name-in-use"] and "duplicate-identity" not in scene.notices()


def test_a_message_refused_for_its_time_tells_of_a_wrong_clock(scene: Scene) -> None:
    assert scene.receive(said("HELLO", at=START - 5000)) == "stale"
    assert "clock-skew" in scene.notices()


def test_a_probe_is_answered_where_it_came_from_and_never_on_a_lan(scene: Scene) -> None:
    probe = encode_probe(Probe(bytes(range(16))), int(START))
    assert scene.receive(_sealed("PROBE", probe), channel=LAN_CHANNEL) == "unexpected"
    assert scene.parts.outbox.poll_transmit() is None
    assert scene.receive(_sealed("PROBE", probe), ELSEWHERE) == ""
    answer = scene.parts.outbox.poll_transmit()
    assert answer is not None and (answer.to, answer.channel) == (ELSEWHERE, "")


def test_before_the_node_knows_who_it_is_nothing_is_opened() -> None:
    scene = Scene(knows_itself=False)
    data = said("HELLO")
    assert scene.receive(data) == scene.receive(b"garbage") == "" and scene.log == []
    scene.parts.own.describe(OWN, START)
    assert scene.receive(data) == "" and len(scene.taken) == 1  # and nothing is remembered


def said(
    kind: str,
    at: float = START,
    sender: PublicKey = PEER.public_key,
    padding: int = 0,
    boot: bytes = b"",
) -> bytes:
    """A message without proof: one of our own nodes' where it must be or has a run, else a Go node's."""
    payload = _payload(kind, at, sender, Extension(boot, 1) if boot else None)
    return _sealed(kind, payload | ({"padding": "x" * padding} if padding else {}))


def proven(kind: str, at: float = START) -> bytes:
    """A message of our own node 2, with its proof for node 1."""
    payload = _payload(kind, at, PEER.public_key, Extension(b"boot-two", next(_nonces)))
    proof = prove_payload(kind, payload, PEER.public_key, OWN.public_key)
    return _sealed(kind, proof)


def _sealed(kind: str, payload: dict[str, object]) -> bytes:
    return seal(MessageType(kind), payload, KEYS.gossip_key, next(_nonces).to_bytes(12, "big"))


def _payload(kind: str, at: float, sender: PublicKey, extension: Extension | None) -> dict[str, object]:
    timestamp = int(at)
    match kind:
        case "GOODBYE":
            return encode_goodbye(Goodbye(sender, extension), timestamp)
        case "GOSSIP":
            return encode_gossip(Gossip(sender, extension or Extension(b"boot-two", 1)), timestamp)
        case "RENDEZVOUS_OFFER":
            return encode_offer(Offer(sender, OWN.public_key), timestamp)
        case "RENDEZVOUS_START":
            start = RendezvousStart("0" * 16, describe(3).public_key, (), 0, introducer=sender)
            return encode_start(start, timestamp)
        case _:
            announcement = Announcement(sender, PEER.mesh_ipv4, extension=extension)
            if kind == "REPLY":
                announcement = Announcement(sender, PEER.mesh_ipv4, observed_endpoint=SOURCE, extension=extension)
            return encode_announcement(announcement, timestamp)
