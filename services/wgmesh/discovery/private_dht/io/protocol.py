"""kademlia's protocol among members: sealed, with short time-outs, and no task or log line for a datagram.

A source may be forged: one that has not shown that it receives what we send is pinged, and has to answer first. A node
that others name may be nobody's: a host that has never answered gets two questions, whatever ports of it are named, and
then a pause that doubles (exchange/unanswered.py).
A node enters the table when it answers a ping from our second port, which a NAT lets in only if it lets in everybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial, partialmethod

from kademlia.node import Node
from kademlia.protocol import KademliaProtocol
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.node_cache import MAX_NODES
from wgmesh.core.pauses import Pauses
from wgmesh.core.recent import Recent
from wgmesh.core.sansio import Transmit, Untimed
from wgmesh.core.wire.dht_message import ID_BYTES, Answer, Request, Result
from wgmesh.discovery.exchange.unanswered import Unanswered
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.rotation import Rotation
from wgmesh.discovery.messages.dht_inbox import DhtInbox
from wgmesh.discovery.messages.rate_limits import host_of
from wgmesh.discovery.private_dht.routing import BoundedTable, K, node_at
from wgmesh.discovery.private_dht.storage import JudgedStorage

SECOND_PORT = "second"  # its channel
PATIENCE_S = (0.4, 0.8)  # twice a long round trip, and once more: a dead node costs 1.2 s
SILENCE_S = 60.0  # others may name a dead node for minutes: one that has not answered is not asked on hearsay
PING_AGAIN_S = 2.0  # one that asks and is not known: a ping may be lost, and one behind a NAT never answers
DATAGRAMS_FOR_A_QUESTION = 3  # a ping from each of our ports, and an answer: all of them are shorter than the question
QUESTION_BYTES = 101  # the longest; who has not answered one is asked to store nothing
MAX_NOTED = 1024  # of each: four times the table
RandomBytes = Callable[[int], bytes]
Then = Callable[[Result | None], object]
Outcome = tuple[bool, Result | None]


class SealedProtocol(KademliaProtocol, Untimed):  # type: ignore[misc]  # the package has no types
    """A protocol core (core/sansio.py) whose time-outs are the loop's. Its events are numbers of nodes."""

    def __init__(
        self, storage: JudgedStorage, key: bytes, rules: AddressRules, random_bytes: RandomBytes, wall: WallClock
    ) -> None:
        """`key` is the mesh's. `rules` keep addresses inside the tunnel out. `wall` is the host's clock."""
        super().__init__(Node(random_bytes(ID_BYTES)), storage, K)
        self.router = BoundedTable(self.source_node)
        self.remembered: Rotation[Endpoint] = Rotation(MAX_NODES)
        self.inbox = DhtInbox(key, random_bytes, wall)
        self.random_id = partial(random_bytes, ID_BYTES)
        self._key = key
        self._rules = rules
        self._pings: Recent[bytes, tuple[Endpoint, Then]] = Recent(MAX_NOTED)
        self._silent: Pauses[bytes] = Pauses(SILENCE_S, SILENCE_S, MAX_NOTED)
        self.unanswered = Unanswered()
        self._pinged: Pauses[bytes] = Pauses(PING_AGAIN_S, PING_AGAIN_S, MAX_NOTED)
        self._outbox: deque[Transmit] = deque()
        self._told_count = -1

    def nodes_at(self, endpoints: Iterable[Endpoint], named_by: Endpoint | None = None) -> list[Node]:
        """Returns the nodes at those addresses that may be asked; of those that another names none that was silent."""
        now = self.transport.now()
        nodes = [node_at(each, self._key) for each in endpoints if self._rules.is_candidate(each, named_by or each)]
        return [each for each in nodes if named_by is None or self._silent.is_over(each.id, now)]

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        message = self.inbox.open(data, source, now)
        if message is None or not self._rules.is_candidate(source, source):
            return
        self.unanswered.earn(source.host, len(data), DATAGRAMS_FOR_A_QUESTION)
        if isinstance(message, Answer):
            awaited = self._outstanding.get(message.id) or self._pings.get(message.id)
            if awaited is not None and awaited[0] == source:  # one answers from where it was asked
                self._outstanding.pop(message.id, None)
                self._pings.forget(message.id)
                self.inbox.prove(source, now)
                self.unanswered.answered(source.host, now)
                named = message.result if isinstance(message.result, tuple) else ()
                for host in {each.host for each in named}:
                    self.unanswered.begin_round(host, QUESTION_BYTES, now)
                awaited[1](message.result)
        elif message.id in self._outstanding:
            self._outstanding.pop(message.id)[1](None)  # we have asked ourselves
        elif message.call == "ping":
            self._send(Answer(message.id, True), source)
        elif self.inbox.is_proven(source, now):
            self._answer(message, source)
        else:
            self._ping(source, lambda _: self._answer(message, source))

    def poll_transmit(self) -> Transmit | None:
        return self._outbox.popleft() if self._outbox else None

    def poll_event(self) -> int | None:
        told, self._told_count = self._told_count, len(self.router.nodes())
        return None if told == self._told_count else self._told_count

    def _send(self, message: Request | Answer, to: Endpoint, channel: str = "") -> None:
        now = self.transport.now()
        data = self.inbox.seal(message, now)
        is_known = not self.router.is_new_node(node_at(to, self._key))  # a node of the table has answered
        if is_known or self.unanswered.admits(to.host, len(data), now):
            self._outbox.append(Transmit(data, to, channel))
            self.transport.pump()

    def _ping(self, to: Endpoint, then: Then, channel: str = "") -> None:
        """Asks once whether somebody is there; `then` is called if so."""
        id_ = self.random_id()
        self._pings.note(id_, (to, then))
        self._send(Request(id_, "ping"), to, channel)

    def _answer(self, request: Request, source: Endpoint) -> None:
        asker = node_at(source, self._key)
        self.welcome_if_new(asker)
        key, *value = request.arguments
        result: Result | None = self.storage.write(key, *value, host_of(source.host)) if value else None
        if request.call == "find_value":
            result = self.storage.get(key)
        if result is None:
            nearest = self.router.find_neighbors(Node(key), exclude=asker)
            result = tuple(Endpoint(each.ip, each.port) for each in nearest)
        self._send(Answer(request.id, result), source)

    async def _call(self, call: str, address: tuple[IPAddress, int], _: bytes, *arguments: bytes) -> Outcome:
        """Asks a node, and once more after a silence. Returns whether it has answered, and what."""
        request, to = Request(self.random_id(), call, arguments), Endpoint(*address)
        answer: asyncio.Future[Result | None] = asyncio.get_running_loop().create_future()
        self._outstanding[request.id] = (to, answer.set_result)
        try:
            for patience_s in PATIENCE_S:
                self._send(request, to)
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience_s):
                        return (result := await asyncio.shield(answer)) is not None, result
            return False, None
        finally:
            self._outstanding.pop(request.id, None)

    ping, store = partialmethod(_call, "ping"), partialmethod(_call, "store")
    find_node, find_value = partialmethod(_call, "find_node"), partialmethod(_call, "find_value")

    def handle_call_response(self, result: Outcome, node: Node) -> Outcome:
        """Takes it that a node has answered, or not."""
        if result[0]:
            self.welcome_if_new(node)
        else:
            self._silent.begin(node.id, self.transport.now())
            if not self.router.is_new_node(node):
                self.remembered.leave(endpoint := Endpoint(node.ip, node.port))
                self.remembered.enter(endpoint)  # it comes next
            self.router.remove_contact(node)
            self.transport.pump()
        return result

    def welcome_if_new(self, node: Node) -> None:
        """Pings a newcomer from the second port. Of a node that is known it takes note that it is there."""
        if not self.router.is_new_node(node):
            self.router.add_contact(node)
        elif self._pinged.begin(node.id, self.transport.now()):
            self._ping(Endpoint(node.ip, node.port), lambda _: self.router.add_contact(node), SECOND_PORT)
