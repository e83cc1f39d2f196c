"""The requests of this node that wait for their answers: each is repeated once, and then given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_contacts import host_group
from wgmesh.discovery.private_message import ID_BYTES, Kind, Message

REPEAT_S = 0.4  # twice a long round trip
GIVE_UP_S = 0.8  # after the repeat: a dead node costs 1.2 s
Then = Callable[[Message | None, float], None]
"""What is to be done with the answer, or None where none came, and the time."""


@dataclass(slots=True)
class _Call:
    message: Message
    to: Endpoint
    then: Then
    due_at: float


class Calls:
    """Their number is bounded by those who call: look-ups, greetings, and upkeep."""

    def __init__(self, send: Callable[[Message, Endpoint, float], None], random_bytes: Callable[[int], bytes]) -> None:
        self._send = send
        self._random_bytes = random_bytes
        self.hosts: Counter[bytes] = Counter()
        """How many requests to each host wait."""
        # Both in the order in which they fall due, since the waits are always the same.
        self._first: dict[bytes, _Call] = {}
        self._repeated: dict[bytes, _Call] = {}

    def __len__(self) -> int:
        return len(self._first) + len(self._repeated)

    def start(self, kind: Kind, to: Endpoint, then: Then, now: float, key: bytes = b"", value: bytes = b"") -> None:
        """Sends a request."""
        message = Message(kind, self._random_bytes(ID_BYTES), key, value)
        self._first[message.id] = _Call(message, to, then, now + REPEAT_S)
        self.hosts[host_group(to)] += 1
        self._send(message, to, now)

    def is_awaited(self, answer: Message, source: Endpoint) -> bool:
        """Whether this node was asked that: ids follow from addresses, so it answers from where it was asked."""
        call = self._waiting(answer.id)
        return call is not None and call.to == source and call.message.kind.answer is answer.kind

    def take_answer(self, answer: Message, now: float) -> None:
        """Takes an answer that is awaited."""
        call = self._waiting(answer.id)
        if call is not None:
            self._end(call, answer, now)

    def take_back(self, request: Message, now: float) -> bool:
        """Whether a request is our own: then we have asked ourselves, which counts as no answer."""
        call = self._waiting(request.id)
        if call is None:
            return False
        self._end(call, None, now)
        return True

    def handle_timeout(self, now: float) -> None:
        for call in _due(self._first, now):
            del self._first[call.message.id]
            call.due_at = now + GIVE_UP_S
            self._repeated[call.message.id] = call
            self._send(call.message, call.to, now)
        for call in _due(self._repeated, now):
            self._end(call, None, now)

    def poll_timeout(self) -> float | None:
        return min(
            (next(iter(calls.values())).due_at for calls in (self._first, self._repeated) if calls), default=None
        )

    def _waiting(self, id_: bytes) -> _Call | None:
        return self._first.get(id_) or self._repeated.get(id_)

    def _end(self, call: _Call, answer: Message | None, now: float) -> None:
        self._first.pop(call.message.id, None)
        self._repeated.pop(call.message.id, None)
        group = host_group(call.to)
        self.hosts[group] -= 1
        if not self.hosts[group]:
            del self.hosts[group]
        call.then(answer, now)


def _due(calls: dict[bytes, _Call], now: float) -> list[_Call]:
    due = []
    for call in calls.values():
        if call.due_at > now:
            break
        due.append(call)
    return due
