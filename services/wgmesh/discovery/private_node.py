"""One node of the private DHT: the DHT of a mesh that is cut off from the public one. Pure.

Every member is a node. Values are small and opaque; who may replace what is the judgement of the layer above.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.private_calls import Calls
from wgmesh.discovery.private_contacts import (
    ID_BYTES,
    Contact,
    ContactTable,
    host_group,
    node_id,
    position_of,
)
from wgmesh.discovery.private_door import Door
from wgmesh.discovery.private_message import Kind, Message
from wgmesh.discovery.private_searching import Search, Searching
from wgmesh.discovery.private_seeds import Seeds, decode_nodes, encode_nodes
from wgmesh.discovery.private_store import Judge, PrivateStore
from wgmesh.discovery.private_upkeep import MAX_CHECKED, SILENT_S, Upkeep, UpkeepPlan

SILENCE_S = 60.0  # others may name a dead node for minutes: who has just not answered us is not asked on hearsay
MAX_SILENT = 256
MAX_GREETINGS = 16  # nodes that have asked us something and are asked back, at a time


@dataclass(frozen=True, slots=True)
class NodesChanged:
    """How many other nodes are known that have answered."""

    count: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The end of a `put`: how many other nodes keep the value."""

    ticket: int
    count: int


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a `get`: all distinct values, our own first."""

    ticket: int
    values: tuple[bytes, ...] = field(repr=False)


class PrivateNode:
    """A protocol core (core/sansio.py). `now` is Unix seconds. Nothing that comes from the network raises."""

    def __init__(
        self, key: bytes, judge: Judge, random_bytes: Callable[[int], bytes], rules: AddressRules | None = None
    ) -> None:
        """`key` has 32 bytes. `rules` say which addresses may be nodes: those inside the tunnel may not."""
        self._key = key
        self._random_bytes = random_bytes
        self._rules = rules or AddressRules()
        self._door = Door(key, random_bytes)
        self._store = PrivateStore(judge)
        self._own_id = random_bytes(ID_BYTES)  # until somebody says where we are
        self._table = ContactTable(self._own_id)
        self._hosts: dict[bytes, int] = {}
        self._seeds = Seeds()
        self._plan = UpkeepPlan(self._random_unit)
        self._calls = Calls(self._send, random_bytes)
        self._searching = Searching(self._calls, self._first_contacts, self._named, self._miss)
        self._greeted: set[Endpoint] = set()
        self._silent: OrderedDict[bytes, float] = OrderedDict()
        """When each node last failed to answer, oldest first."""
        self._outbox: deque[Transmit] = deque()
        self._events: deque[NodesChanged | Stored | Found] = deque()
        self._tickets = 0
        self.sent_bytes = 0
        """Of datagrams, without the headers of IP and UDP."""

    @property
    def node_count(self) -> int:
        """How many other nodes are known that have answered."""
        return len(self._table)

    @property
    def rejected_count(self) -> int:
        """How many datagrams came and were dropped."""
        return self._door.rejected_count

    def start(self, bootstrap: Iterable[Endpoint], now: float) -> None:
        """Begins. The bootstrap nodes are never forgotten, and may be this one itself."""
        self._seeds.give(self._usable(bootstrap))
        self._plan.hurry(now)

    def add_nodes(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Takes nodes that may be there, and asks some at once."""
        new = [
            each
            for each in self._usable(endpoints)
            if each not in self._seeds and self._table.find(node_id(each, self._key)) is None
        ]
        if new:
            self._seeds.remember(new)
            self._plan.hurry(now)

    def put(self, key: bytes, value: bytes, now: float) -> int:
        """Stores here and at the nodes closest to `key`; ends with Stored. Returns the ticket.

        A key has 20 or 32 bytes, a value 1 to 900; others, and those that the judge refuses, are stored nowhere.
        """
        ticket = self._next_ticket()
        if not self._store.write(key, value, b"", now):
            self._events.append(Stored(ticket, 0))
            return ticket
        search = Search(position_of(key), Kind.FIND_NODE, key, partial(self._put_ended, ticket), value)
        self._searching.add(search, now)
        return ticket

    def get(self, key: bytes, now: float) -> int:
        """Reads from the nodes closest to `key`; ends with Found. Returns the ticket."""
        ticket = self._next_ticket()
        search = Search(position_of(key), Kind.FIND_VALUE, key, partial(self._get_ended, ticket))
        own = self._store.read(key, now)
        if own is not None:
            search.found[own] = None
        self._searching.add(search, now)
        return ticket

    def state(self) -> bytes:
        """Returns the nodes that answered last, as JSON for `restore`."""
        known = sorted(self._table.all(), key=lambda each: each.heard_at, reverse=True)
        endpoints = [*(each.endpoint for each in known), *self._seeds.remembered()]
        return encode_nodes(dict.fromkeys(endpoints), self._key)

    def restore(self, data: bytes, now: float) -> None:
        """Takes what `state` once returned. What is damaged, or of another mesh, is left out."""
        self.add_nodes(reversed(decode_nodes(data, self._key)), now)

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        message = self._door.open(data, source, self._is_known(host_group(source)), now)
        if message is None or not self._rules.is_candidate(source, source):
            return
        if message.kind.is_answer:
            # Before the answer itself is used, so that who has answered is known to all that follows from it.
            if self._calls.is_awaited(message, source):
                self._hear(source, message, now)
                self._calls.take_answer(message, now)
        elif not self._calls.take_back(message, now):
            self._answer(message, source, now)
            self._greet(source, now)

    def handle_timeout(self, now: float) -> None:
        self._calls.handle_timeout(now)
        self._searching.handle_timeout(now)
        for action in self._plan.due(now):
            if action is Upkeep.CHECK:
                self._check(now)
            else:
                self._enter(action, now)

    def poll_transmit(self) -> Transmit | None:
        return self._outbox.popleft() if self._outbox else None

    def poll_event(self) -> NodesChanged | Stored | Found | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        times = (self._calls.poll_timeout(), self._searching.poll_timeout(), self._plan.poll_timeout())
        return min((each for each in times if each is not None), default=None)

    def _is_known(self, group: bytes) -> bool:
        return group in self._hosts or group in self._calls.hosts

    def _answer(self, request: Message, source: Endpoint, now: float) -> None:
        value, is_kept = b"", False
        contacts: tuple[Endpoint, ...] = ()
        if request.kind in (Kind.FIND_NODE, Kind.FIND_VALUE):
            contacts = self._contacts_for(source, position_of(request.key))
        if request.kind is Kind.FIND_VALUE:
            value = self._store.read(request.key, now) or b""
        elif request.kind is Kind.STORE:
            is_kept = self._store.write(request.key, request.value, host_group(source), now)
        answer = Message(request.kind.answer, request.id, value=value, you=source, contacts=contacts, is_kept=is_kept)
        self._send(answer, source, now)

    def _contacts_for(self, asker: Endpoint, target: int) -> tuple[Endpoint, ...]:
        closest = self._table.closest(target, without=asker)
        return tuple(each.endpoint for each in closest if self._rules.is_candidate(each.endpoint, asker))

    def _named(self, answer: Message, source: Endpoint, now: float) -> list[Contact]:
        usable = (each for each in answer.contacts if self._rules.is_candidate(each, source))
        named = (Contact(each, self._key) for each in usable)
        return [each for each in named if now >= self._silent.get(each.id, -SILENCE_S) + SILENCE_S]

    def _first_contacts(self, target: int) -> list[Contact]:
        """Who is asked first: of all that are known the closest, and while nobody is known whoever may be there."""
        return self._table.closest(target) or [Contact(each, self._key) for each in self._seeds.all()]

    def _hear(self, source: Endpoint, answer: Message, now: float) -> None:
        """Takes it that a node has answered."""
        if not len(self._table) and answer.you is not None:
            self._own_id = node_id(answer.you, self._key)  # what is near to us is near to this
            self._table = ContactTable(self._own_id)
        id_ = node_id(source, self._key)
        self._silent.pop(id_, None)
        contact = self._table.find(id_)
        if contact is not None:
            contact.heard_at = now
            return
        if self._table.add(Contact(source, self._key, now)):
            group = host_group(source)
            self._hosts[group] = self._hosts.get(group, 0) + 1
            self._seeds.forget(source)
            self._note_count(now)

    def _miss(self, contact: Contact, now: float) -> None:
        """Takes it that a node has not answered. It may be there again later."""
        self._silent[contact.id] = now
        self._silent.move_to_end(contact.id)
        if len(self._silent) > MAX_SILENT:
            self._silent.popitem(last=False)
        known = self._table.find(contact.id)
        if known is None:
            return
        self._table.remove(known)
        group = host_group(known.endpoint)
        self._hosts[group] -= 1
        if not self._hosts[group]:
            del self._hosts[group]
        self._seeds.remember([known.endpoint])
        self._note_count(now)

    def _note_count(self, now: float) -> None:
        self._plan.note_count(len(self._table), now)
        self._events.append(NodesChanged(len(self._table)))

    def _greet(self, source: Endpoint, now: float) -> None:
        """Asks who has asked us something, since only who answers is a contact."""
        contact = self._table.find(node_id(source, self._key))
        if contact is not None:
            contact.heard_at = now
        elif source not in self._greeted and len(self._greeted) < MAX_GREETINGS and self._table.has_room(source):
            self._greeted.add(source)
            self._calls.start(Kind.PING, source, lambda answer, now: self._greeted.discard(source), now)

    def _enter(self, action: Upkeep, now: float) -> None:
        for endpoint in self._seeds.turn():
            if self._table.find(node_id(endpoint, self._key)) is None:
                self._calls.start(Kind.PING, endpoint, _ignore, now)
        if action is Upkeep.SEARCH:
            key = self._own_id
            search = Search(int.from_bytes(key), Kind.FIND_NODE, key, _forget)
            self._searching.add(search, now)

    def _check(self, now: float) -> None:
        silent = sorted((each for each in self._table.all() if now - each.heard_at >= SILENT_S), key=_heard_at)
        for contact in silent[:MAX_CHECKED]:
            self._calls.start(Kind.PING, contact.endpoint, partial(self._checked, contact), now)

    def _checked(self, contact: Contact, answer: Message | None, now: float) -> None:
        if answer is None:
            self._miss(contact, now)

    def _put_ended(self, ticket: int, search: Search) -> None:
        self._events.append(Stored(ticket, search.kept_count))

    def _get_ended(self, ticket: int, search: Search) -> None:
        self._events.append(Found(ticket, tuple(search.found)))

    def _next_ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def _usable(self, endpoints: Iterable[Endpoint]) -> list[Endpoint]:
        return [each for each in endpoints if self._rules.is_candidate(each, each)]

    def _send(self, message: Message, to: Endpoint, now: float) -> None:
        datagram = self._door.close(message, now)
        self.sent_bytes += len(datagram)
        self._outbox.append(Transmit(datagram, to))

    def _random_unit(self) -> float:
        return int.from_bytes(self._random_bytes(4)) / 2**32


def _heard_at(contact: Contact) -> float:
    return contact.heard_at


def _ignore(answer: Message | None, now: float) -> None:
    """A seed that answers is heard like every other node; one that does not gets its turn again."""


def _forget(search: Search) -> None:
    """A search for neighbours is done for those that it meets on its way."""
