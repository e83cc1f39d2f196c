"""The introducer's side: from the OFFER of one member to a START for both (protocol notes, 8.3)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.ratelimit import RateLimiter
from wgmesh.core.wire.announcement import MAX_CANDIDATES
from wgmesh.core.wire.rendezvous import Offer, Start, normalised, pair_id, spread
from wgmesh.discovery.bounds import PEERS_MAX
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.rendezvous.values import Send

# specification
SESSION_S = 20.0
START_COOLDOWN_S = 8.0
START_LEAD_S = 1.8

# our choice
START_COPIES = 3  # a START is not acknowledged; a node that gets several acts on one (BUG 35)
COPY_GAP_S = 0.15  # the last copy leaves 1.5 s before the moment it names
SOURCE_FRESH_S = 120.0  # a NAT keeps a UDP mapping two minutes (RFC 4787, REQ-5); peers speak every 45 s
SESSIONS_MAX = 1024  # pairs of which one side is still unknown, over 20 s
COOLDOWNS_MAX = 4096  # more pairs than can be started within the 8 s
# 50 nodes that miss each other are 1225 pairs, and each pair comes at its own second of 20
STARTS_PER_S = 100.0
STARTS_BURST = 200.0


@dataclass(frozen=True, slots=True)
class _Side:
    """Where one member of a pair may be, and where its START goes."""

    candidates: tuple[Endpoint, ...]
    reply_to: Endpoint


@dataclass(slots=True)
class _Session:
    created_at: float
    sides: dict[PublicKey, _Side] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Copies:
    """What is sent again, and how many times more."""

    at: float
    sends: tuple[Send, ...]
    remaining: int


class Introducer:
    """Brings pairs together. Remembers where each peer has spoken from, which is where its NAT lets us in."""

    def __init__(self, wall: WallClock, rules: AddressRules) -> None:
        self._wall = wall
        self._rules = rules
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._started: OrderedDict[str, float] = OrderedDict()
        self._sources: OrderedDict[PublicKey, tuple[Endpoint, float]] = OrderedDict()
        self._copies: deque[_Copies] = deque()  # in the order of their times, since all wait equally long
        self._pace: RateLimiter[None] = RateLimiter(STARTS_PER_S, STARTS_BURST, max_sources=1)

    def heard(self, key: PublicKey, source: Endpoint, now: float) -> None:
        """Notes that a peer has just spoken to the exchange socket from `source`."""
        if not self._is_outside(source):
            return
        self._sources[key] = (source, now)
        self._sources.move_to_end(key)
        if len(self._sources) > PEERS_MAX:
            self._sources.popitem(last=False)

    def forget(self, keys: Iterable[PublicKey]) -> None:
        """Leads nobody to these any more, until they speak again."""
        for key in keys:
            self._sources.pop(key, None)

    def handle_offer(
        self, offer: Offer, source: Endpoint, own: PublicKey, target_control: Endpoint | None, now: float
    ) -> list[Send]:
        """Takes an OFFER and returns what to send at once.

        `target_control` is where the target listens as far as we know, None if it is not known.
        """
        if own in (offer.requester, offer.target) or not self._is_outside(source):
            return []
        self._expire(now)
        name = pair_id(offer.requester, offer.target)
        session = self._session(name, now)
        # Others send there at our word, so the requester may name further ports of its own host, and no other host.
        named = (each for each in offer.candidates if each.host == source.host)
        session.sides[offer.requester] = _Side(self._candidates((source, *named)), source)
        target = session.sides.get(offer.target) or self._presumed(offer.target, target_control, now)
        if target is None or name in self._started or not self._pace.admit(None, now).allowed:
            return []
        del self._sessions[name]
        self._started[name] = now
        if len(self._started) > COOLDOWNS_MAX:
            self._started.popitem(last=False)
        return self._start(name, own, {**session.sides, offer.target: target}, now)

    def handle_timeout(self, now: float) -> list[Send]:
        """Returns the further copies that are due."""
        due: list[Send] = []
        while self._copies and now >= self._copies[0].at:
            copies = self._copies.popleft()
            due += copies.sends
            if copies.remaining > 1:
                self._copies.append(_Copies(now + COPY_GAP_S, copies.sends, copies.remaining - 1))
        return due

    def poll_timeout(self) -> float | None:
        return self._copies[0].at if self._copies else None

    def _start(self, name: str, own: PublicKey, sides: dict[PublicKey, _Side], now: float) -> list[Send]:
        start_at_ms = round(self._wall.at(now + START_LEAD_S) * 1000)
        one, other = sides
        sends = tuple(
            Send(sides[to].reply_to, Start(name, peer, sides[peer].candidates, start_at_ms, own))
            for to, peer in ((one, other), (other, one))
        )
        self._copies.append(_Copies(now + COPY_GAP_S, sends, START_COPIES - 1))
        return list(sends)

    def _presumed(self, target: PublicKey, control: Endpoint | None, now: float) -> _Side | None:
        """The side of a target that has not asked: where it last spoke to us, for that is the mapping of its NAT that
        lets us in (BUG 34); then where it should listen."""
        source, heard_at = self._sources.get(target, (None, 0.0))
        fresh = source if source is not None and now - heard_at < SOURCE_FRESH_S else None
        known = [each for each in (fresh, control) if each is not None and self._is_outside(each)]
        return _Side(self._candidates(known), known[0]) if known else None

    def _candidates(self, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        return spread(each for each in normalised(endpoints) if self._is_outside(each))[:MAX_CANDIDATES]

    def _is_outside(self, endpoint: Endpoint) -> bool:
        return self._rules.is_candidate(endpoint)

    def _session(self, name: str, now: float) -> _Session:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session(now)
            if len(self._sessions) > SESSIONS_MAX:
                self._sessions.popitem(last=False)
        return session

    def _expire(self, now: float) -> None:
        """Both maps are in the order of their times."""
        while self._sessions and now - next(iter(self._sessions.values())).created_at >= SESSION_S:
            self._sessions.popitem(last=False)
        while self._started and now - next(iter(self._started.values())) >= START_COOLDOWN_S:
            self._started.popitem(last=False)
