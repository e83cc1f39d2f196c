"""Keeps our ports forwarded by the router: which question when, without I/O.

One question is open at a time. A round asks the protocol that worked last, then the others in order. A round that made
a mapping is followed by one at half of its lifetime; one that made none by one after a long pause.

A DatagramCore. What it cannot do by datagrams it reports as an event: a FetchWanted, answered by `handle_fetched`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.nat.portmapping import natpmp, pcp
from wgmesh.nat.portmapping.conversations import CONVERSATIONS, SILENT, Conversation, release
from wgmesh.nat.portmapping.epoch import EpochMemory
from wgmesh.nat.portmapping.external import Judge
from wgmesh.nat.portmapping.steps import Failure, Fetch, Made, Protocol, Question, Site

# A router on the same link answers within milliseconds; the last pause is for SSDP, which may answer a second later.
RETRY_GAPS_S = (0.5, 1.0, 2.0)
FETCH_TIMEOUT_S = 5.0  # a router that writes to its flash
PAUSE_S = 900.0  # most routers that do not answer never will; one that was being set up is found in a quarter hour
RENEWAL_GAP_MIN_S = 60.0  # whatever lifetime a router grants, it is not asked more often
FORGOTTEN_GAP_S = 10.0  # anybody on the link can forge an ANNOUNCE: it is worth no more than a question in ten seconds

ROUTER = "router"
ANNOUNCEMENTS = "announcements"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The ports to have forwarded, WireGuard's first, and by which router."""

    site: Site
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FetchWanted:
    """An HTTP request to carry out. `number` names it in the answer."""

    number: int
    fetch: Fetch


@dataclass(frozen=True, slots=True)
class Changed:
    """What `mapping`, `renew_at` or `reason` say may have changed."""


@dataclass(frozen=True, slots=True)
class _Kept:
    made: Made
    expires_at: float


class Mapper:
    """Has the wanted ports forwarded. `seed` are 16 or more unpredictable bytes; `judge` refuses external addresses.

    `reason` says why the last round made no mapping, half a sentence, empty if it did or if there was none.
    """

    def __init__(self, seed: bytes, judge: Judge) -> None:
        self.reason = ""
        self._seed = seed
        self._judge = judge
        self._wanted: Wanted | None = None
        self._released: Site | None = None  # the router from which mappings are taken back
        self._kept: dict[int, _Kept] = {}
        self._epoch = EpochMemory()
        self._forgotten = False
        self._hurried_at = float("-inf")
        self._conversation: Conversation | None = None
        self._protocol: Protocol | None = None  # of the conversation; None while mappings are taken back
        self._others: deque[Protocol] = deque()
        self._failures: dict[Protocol, Failure] = {}
        self._open: Question | Fetch | None = None
        self._asked_count = 0
        self._number = 0
        self._due_at: float | None = None
        self._round_at: float | None = None  # None during a round
        self._transmits: deque[Transmit] = deque()
        self._events: deque[FetchWanted | Changed] = deque()

    @property
    def is_idle(self) -> bool:
        """Whether no question is open."""
        return self._conversation is None

    @property
    def renew_at(self) -> float | None:
        """When the mappings are asked for again, None while there are none or they just are."""
        return self._round_at if self._kept else None

    def mapping(self, port: int) -> Made | None:
        """What the router forwards to this port."""
        kept = self._kept.get(port)
        return None if kept is None else kept.made

    def want(self, wanted: Wanted | None, now: float) -> None:
        """Has exactly these ports forwarded from now on. What is not wanted any more is taken back, if it can be."""
        if wanted == self._wanted:
            return
        before, self._wanted = self._wanted, wanted
        left = [kept.made for kept in self._kept.values()]
        self._kept.clear()
        self.reason = ""
        self._forgotten = False
        self._round_at = None
        self._events.append(Changed())
        if before is not None and left and (wanted is None or wanted.site == before.site):
            self._release(before.site, left, now)
        else:
            self._epoch.clear()
            self._end_conversation()
            self._begin_round(now)

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        """Takes an answer if it comes from the router that was asked, and belongs to the open question."""
        site = self._site
        if site is None or source.host != site.gateway:
            return
        if channel == ANNOUNCEMENTS:
            self._on_announcement(data, source, now)
            return
        question = self._open
        if not isinstance(question, Question) or question.port not in (None, source.port):
            return
        try:
            answer = question.decode(data)
        except MalformedMessage:
            return
        self._note_epoch(answer, now)
        self._advance(answer, now)

    def handle_fetched(self, number: int, data: bytes | None, now: float) -> None:
        """Takes what came back for a FetchWanted, None if nothing did."""
        if isinstance(self._open, Fetch) and number == self._number:
            self._advance(data, now)

    def handle_timeout(self, now: float) -> None:
        if self._due_at is not None and self._due_at <= now:
            if isinstance(self._open, Question) and self._asked_count < len(RETRY_GAPS_S):
                self._send(self._open, now)
            else:
                self._advance(None, now)
        self._drop_expired(now)
        if self._round_at is not None and self._round_at <= now:
            self._begin_round(now)

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> FetchWanted | Changed | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        due = [kept.expires_at for kept in self._kept.values()]
        due += [at for at in (self._due_at, self._round_at) if at is not None]
        return min(due, default=None)

    @property
    def _site(self) -> Site | None:
        return self._released if self._wanted is None else self._wanted.site

    def _begin_round(self, now: float) -> None:
        if self._wanted is None:
            return
        self._round_at = None
        self._failures.clear()
        worked = [kept.made.protocol for kept in self._kept.values()]
        self._others = deque(dict.fromkeys(chain(worked, Protocol)))
        self._converse(self._others.popleft(), now)

    def _converse(self, protocol: Protocol, now: float) -> None:
        wanted = self._wanted
        assert wanted is not None
        self._protocol = protocol
        self._start(CONVERSATIONS[protocol](wanted.site, wanted.ports, self._seed, self._judge), now)

    def _release(self, site: Site, made: Iterable[Made], now: float) -> None:
        self._protocol = None
        self._released = site
        self._start(release(site, tuple(made), self._seed), now)

    def _start(self, conversation: Conversation, now: float) -> None:
        self._conversation = conversation
        self._open = self._due_at = None
        self._advance(None, now)

    def _advance(self, answer: object, now: float) -> None:
        """Gives the conversation an answer, and takes its next step."""
        assert self._conversation is not None
        self._open = self._due_at = None
        while True:
            try:
                step = self._conversation.send(answer)
            except StopIteration as end:
                self._on_end(end.value, now)
                return
            if not isinstance(step, Made):
                break
            self._kept[step.port] = _Kept(step, now + step.lifetime_s)
            answer = None
        self._open, self._asked_count = step, 0
        if isinstance(step, Question):
            self._send(step, now)
        else:
            self._number += 1
            self._due_at = now + FETCH_TIMEOUT_S
            self._events.append(FetchWanted(self._number, step))

    def _send(self, question: Question, now: float) -> None:
        self._transmits.extend(replace(each, channel=ROUTER) for each in question.datagrams)
        self._due_at = now + RETRY_GAPS_S[self._asked_count]
        self._asked_count += 1

    def _on_end(self, failure: Failure | None, now: float) -> None:
        protocol = self._protocol
        self._end_conversation()
        if protocol is None:
            self._begin_round(now)
            return
        if failure is not None:
            self._failures[protocol] = failure
            if self._others and not failure.is_final:
                self._converse(self._others.popleft(), now)
                return
            if failure.is_final:
                self._kept.clear()  # where the router is now, nobody reaches us through it
        self._settle(failure is None, now)

    def _end_conversation(self) -> None:
        self._conversation = self._protocol = self._open = self._due_at = None

    def _settle(self, has_made: bool, now: float) -> None:
        """A round is over: says when the next one is due."""
        assert self._wanted is not None
        kept = self._kept.get(self._wanted.ports[0])
        if kept is not None:
            gap_s = max((kept.expires_at - now) / 2, RENEWAL_GAP_MIN_S)
            self._round_at = now + (gap_s if has_made else min(gap_s, PAUSE_S))
        else:
            self._round_at = now + PAUSE_S
        self.reason = "" if has_made else _said_together(self._failures)
        if self._forgotten:
            self._hurry(now)
        self._events.append(Changed())

    def _hurry(self, now: float) -> None:
        """The router has lost its mappings: the next round is due soon."""
        self._forgotten = False
        soon = max(now, self._hurried_at + FORGOTTEN_GAP_S)
        self._round_at = self._hurried_at = min(soon, self._round_at or soon)

    def _drop_expired(self, now: float) -> None:
        expired = [port for port, kept in self._kept.items() if kept.expires_at <= now]
        for port in expired:
            del self._kept[port]
            self._events.append(Changed())

    def _note_epoch(self, answer: object, now: float) -> None:
        epoch_s = answer.epoch_s if isinstance(answer, (pcp.Answer, natpmp.Answer)) else None
        if epoch_s is not None:
            self._hear_epoch(epoch_s, now)

    def _on_announcement(self, data: bytes, source: Endpoint, now: float) -> None:
        """A router that has started again says so to all (RFC 6887, section 14.1; RFC 6886, section 3.2.1)."""
        held = {kept.made.protocol for kept in self._kept.values()}
        try:
            if source.port != pcp.PORT:
                return
            if Protocol.PCP in held:
                self._hear_epoch(pcp.decode_announcement(data), now)
            elif Protocol.NAT_PMP in held:
                self._hear_epoch(natpmp.decode_address(data).epoch_s, now)
        except MalformedMessage:
            return
        if self._forgotten and self.is_idle:
            self._hurry(now)

    def _hear_epoch(self, epoch_s: int, now: float) -> None:
        """Asks for all mappings again where the router has lost them since the answer before."""
        if self._epoch.hear(epoch_s, now) and self._kept:
            self._forgotten = True


def _said_together(failures: Mapping[Protocol, Failure]) -> str:
    told = [f"{protocol}: {failure.reason}" for protocol, failure in failures.items() if failure != SILENT]
    return "; ".join(told) or "the router answers neither PCP nor NAT-PMP nor UPnP-IGD"
