"""Questions to servers: one after the other, repeated until they are answered, and few in all. Without I/O.

A question counts as answered only by its own transaction id, on its own channel, from an address that may answer it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.core.stun import codec as stun
from wgmesh.core.stun.prober import usable_address, why_unbelievable

ATTEMPT_GAPS_S = (0.4, 0.4, 0.6)  # a round trip takes 0.5 s at most; somebody waits for the end, so it doubles not
PACE_S = 0.01  # keeps the order in which a NAT sees the datagrams, and lets no burst be dropped
DATAGRAMS_MAX = 40  # of one check, all in all


@dataclass(slots=True, eq=False)
class Question:
    """One request, and what came of it.

    `change` asks the server to answer from `answer_from` instead of from where it was asked. A question with
    `arrives_at` is none for a server: it has arrived if the request itself comes to that channel.
    """

    channel: str
    to: Endpoint
    change: stun.Change = stun.Change.NOTHING
    answer_from: Endpoint | None = None
    arrives_at: str = ""
    identifier: bytes = b""
    sent_count: int = 0
    due_at: float = math.inf
    is_open: bool = True
    seen: Endpoint | None = None
    other: Endpoint | None = None
    trouble: str = ""
    answered_at: float | None = None

    @property
    def is_answered(self) -> bool:
        """Whether an answer came that can be used."""
        return self.answered_at is not None and not self.trouble

    @property
    def is_silent(self) -> bool:
        """Whether it was asked as often as it should be, and nothing came. Silence that was cut short is none."""
        return self.answered_at is None and not self.is_open and self.sent_count == len(ATTEMPT_GAPS_S)


@dataclass(frozen=True, slots=True)
class SecondAddress:
    """What a server with a second address `other` is asked (RFC 5780, sections 4.3 and 4.4).

    `other_port` and `other_host` ask it there, from WireGuard's port. `control`, `moved` and `shifted` leave from a
    socket that nobody else is asked from, all to its first address: for an answer from there, from the second address,
    and from the second port alone.
    """

    server: Question
    other: Endpoint
    other_port: Question
    other_host: Question
    control: Question
    moved: Question
    shifted: Question


class Questions:
    """Those of one check. `random_bytes(n)` returns n unpredictable bytes."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._open: dict[bytes, Question] = {}
        self._waiting: deque[Question] = deque()
        self._transmits: deque[Transmit] = deque()
        self._next_at = -math.inf
        self._is_stopped = False
        self.sent_count = 0

    @property
    def is_idle(self) -> bool:
        """Whether each question was answered or given up."""
        return not self._open

    def ask(self, question: Question) -> Question:
        """Sends it as soon as its turn comes. After `stop` it stays unasked."""
        if self._is_stopped:
            question.is_open = False
            return question
        question.identifier = self._random_bytes(stun.TRANSACTION_ID_BYTES)
        self._open[question.identifier] = question
        self._waiting.append(question)
        return question

    def stop(self) -> None:
        """Gives up what is not answered yet."""
        self._is_stopped = True
        self._waiting.clear()
        for question in tuple(self._open.values()):
            self._end(question)

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        try:
            message = stun.decode(data)
        except MalformedMessage:
            return
        question = self._open.get(message.transaction_id)
        if question is None or channel != (question.arrives_at or question.channel):
            return
        is_request = message.type is stun.MessageType.BINDING_REQUEST
        if is_request != bool(question.arrives_at):
            return
        if not question.arrives_at:
            if source not in (question.to, question.answer_from):
                return
            _take_answer(question, message, source)
        question.answered_at = now
        self._end(question)

    def handle_timeout(self, now: float) -> None:
        for question in [each for each in self._open.values() if each.due_at <= now]:
            question.due_at = math.inf
            if question.sent_count < len(ATTEMPT_GAPS_S):
                self._waiting.append(question)
            else:
                self._end(question)
        if self._next_at <= now:
            self._send_next(now)

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None

    def poll_timeout(self) -> float | None:
        due = [question.due_at for question in self._open.values() if question.due_at < math.inf]
        if self._waiting:
            due.append(self._next_at)
        return min(due, default=None)

    def _send_next(self, now: float) -> None:
        while self._waiting and not self._waiting[0].is_open:
            self._waiting.popleft()
        if not self._waiting:
            return
        if self.sent_count >= DATAGRAMS_MAX:
            self._give_up_waiting()
            return
        question = self._waiting.popleft()
        self._next_at = now + PACE_S
        question.due_at = now + ATTEMPT_GAPS_S[question.sent_count]
        question.sent_count += 1
        self.sent_count += 1
        self._transmits.append(
            Transmit(stun.request(question.identifier, question.change), question.to, question.channel)
        )

    def _give_up_waiting(self) -> None:
        while self._waiting:
            self._end(self._waiting.popleft())

    def _end(self, question: Question) -> None:
        question.is_open = False
        self._open.pop(question.identifier, None)


def _take_answer(question: Question, message: stun.Message, source: Endpoint) -> None:
    if question.change and source == question.to:
        question.trouble = "it answers from where it was asked"
        return
    try:
        question.seen = usable_address(message, question.to.host)
    except MalformedMessage as error:
        question.trouble = f"it is not believed: {error}"
        return
    question.other = _second_address(message, question.to)


def _second_address(message: stun.Message, server: Endpoint) -> Endpoint | None:
    """Where else the server says that it is, if that can be: another port of another host (RFC 5780, section 7.4)."""
    other = message.endpoint(stun.AttributeType.OTHER_ADDRESS)
    if other is None or other.host == server.host or other.port == server.port:
        return None
    return None if why_unbelievable(other.host, server.host) else other
