"""What each message does: a table from its type, and from the way it came, to who takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from wgmesh.core.model import Endpoint
from wgmesh.core.wire.envelope import MessageType
from wgmesh.core.wire.probe import Probe
from wgmesh.discovery.diagnosis.notices import Diagnosis
from wgmesh.discovery.exchange.answers import Answers
from wgmesh.discovery.exchange.goodbye import Goodbyes
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.exchange.naming import named_hosts
from wgmesh.discovery.exchange.unanswered import DATAGRAMS_FOR_A_START, DATAGRAMS_FOR_ONE, Unanswered
from wgmesh.discovery.gossip.layer import GossipLayer
from wgmesh.discovery.lan.layer import LanLayer
from wgmesh.discovery.layer import Layer
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.messages.authentication import Standing, judge
from wgmesh.discovery.messages.inbox import Inbox, Received, Rejected, Rejection
from wgmesh.discovery.messages.pair_keys import PairKeys
from wgmesh.discovery.messages.replay import Novelty
from wgmesh.discovery.own import Own
from wgmesh.discovery.rendezvous.layer import RendezvousLayer

Handler = Callable[[Received, Standing, float], None]


@dataclass(frozen=True, slots=True)
class Route:
    """Who takes a type of message. Without a handler for the way that it came it is refused."""

    exchange: Handler
    multicast: Handler | None = None
    may_repeat: bool = False
    """Whether the same bytes from the same address are taken again."""
    must_be_current: bool = True
    """Whether it is refused after a later message of its sender."""


def routes(
    hellos: Hellos,
    answers: Answers,
    goodbyes: Goodbyes,
    lan: LanLayer,
    gossip: GossipLayer,
    rendezvous: RendezvousLayer,
) -> Mapping[MessageType, Route]:
    """Returns the table. PROBE is not in it: who asks so is no member to us, and is answered and forgotten."""
    return {
        MessageType.HELLO: Route(answers.take_hello, may_repeat=True, must_be_current=False),
        MessageType.REPLY: Route(hellos.take_reply, must_be_current=False),
        MessageType.ANNOUNCE: Route(gossip.upstream.take, multicast=lan.take),
        MessageType.GOODBYE: Route(goodbyes.take, multicast=goodbyes.take),
        MessageType.GOSSIP: Route(gossip.take),
        MessageType.RENDEZVOUS_OFFER: Route(rendezvous.take, must_be_current=False),
        MessageType.RENDEZVOUS_START: Route(rendezvous.take, must_be_current=False),
    }


HEARD = (MessageType.HELLO, MessageType.REPLY, MessageType.ANNOUNCE)  # these say that a peer is where they came from


class Dispatch:
    """Opens datagrams and gives each message to who takes it."""

    def __init__(
        self,
        own: Own,
        inbox: Inbox,
        pair_keys: PairKeys,
        members: Membership,
        diagnosis: Diagnosis,
        hellos: Hellos,
        answers: Answers,
        lan: LanLayer,
        layers: Iterable[Layer],
        table: Mapping[MessageType, Route],
        unanswered: Unanswered,
    ) -> None:
        self._own = own
        self._inbox = inbox
        self._pair_keys = pair_keys
        self._members = members
        self._diagnosis = diagnosis
        self._hellos = hellos
        self._answers = answers
        self._lan = lan
        self._layers = tuple(layers)
        self._routes = table
        self._unanswered = unanswered

    def take(self, data: bytes, source: Endpoint, now: float, channel: str) -> None:
        """Acts on one datagram, or keeps it until the key with its sender is agreed. Raises Rejected."""
        if self._own.description is None:
            return  # who we are is not known yet, so neither is whom this comes from
        try:
            message = self._inbox.open(data, source, self._own.key, now)
        except Rejected as rejected:
            if rejected.message is not None:
                self._unanswered.earn(source.host, len(data))  # who speaks in our name is asked to prove it
            self._diagnosis.note_rejected(rejected, source, now)
            if channel and rejected.reason is Rejection.OWN:
                self._lan.note_echo(channel)
                return  # multicast comes back to its sender
            raise
        self._diagnosis.note_accepted(source)
        self._unanswered.earn(source.host, len(data))
        if isinstance(message, Probe):
            if channel:
                raise Rejected(Rejection.UNEXPECTED)  # one multicast datagram must not make a whole LAN answer
            self._answers.take_probe(message, source, now)
            return
        datagrams = DATAGRAMS_FOR_A_START if message.type is MessageType.RENDEZVOUS_START else DATAGRAMS_FOR_ONE
        self._unanswered.earn_all(named_hosts(message.body) - {source.host}, len(data), datagrams)
        received = Received(message, len(data), source, channel)
        is_settled = not message.is_native or self._pair_keys.is_settled(message.sender)
        if is_settled or not self._pair_keys.park(received, now):
            self.act(received, now)

    def act(self, received: Received, now: float) -> None:
        """Acts on one message, now that all that can be known of its sender is known. Raises Rejected."""
        message = received.message
        if not received.channel:
            self._hellos.silence.heard()
        standing = judge(message, self._own.key, self._pair_keys, self._members.possessions, now)
        handler = self._handler(received, standing)
        if message.type in HEARD and not received.channel and standing is not Standing.DOUBTFUL:
            for layer in self._layers:
                layer.heard(message.sender, received.source, now)
        handler(received, standing, now)
        if message.type is MessageType.REPLY:
            for layer in self._layers:
                layer.answered(message.sender, now)
        if standing is Standing.PROVEN:
            self._diagnosis.note(message, now)
            self._members.note_proof(message.sender, now)

    def _handler(self, received: Received, standing: Standing) -> Handler:
        """Returns who takes a message. Raises Rejected."""
        message = received.message
        route = self._routes[message.type]
        handler = route.multicast if received.channel else route.exchange
        if handler is None:
            raise Rejected(Rejection.UNEXPECTED)
        if received.channel:
            self._lan.check(received)
        if message.novelty is not Novelty.NEW and not route.may_repeat:
            raise Rejected(Rejection.REPLAYED)
        is_proven = standing is Standing.PROVEN
        if route.must_be_current and not self._members.clocks.is_current(message.sender, message.stamp, is_proven):
            raise Rejected(Rejection.STALE)
        if is_proven and self._members.clocks.is_recording(message.sender, message.stamp):
            raise Rejected(Rejection.STALE)
        return handler
