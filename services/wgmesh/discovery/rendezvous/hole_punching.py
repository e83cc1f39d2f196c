"""The participant's side: whom to ask for help and when, and what to do at the agreed moment (protocol notes, 8.4, 9).

One record a pair. An attempt asks introducers for help and says HELLO directly at the same time; a START that follows
belongs to the attempt. It ends with a tunnel, or with a pause until a slot of the pair opens after the back-off.

A START aims us at an address that its author chooses, so it counts only from where an introducer is that has proven
who it is. From whom we have just asked about this pair it may name more; the side that has not asked hears a START out
of the blue (protocol notes, 8.3), and there it may name what an introducer knows of one peer. How many datagrams follow
is not decided here: exchange/unanswered.py pays for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from wgmesh.core.backoff import delays
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.recent import Recent
from wgmesh.core.timer_queue import TimerQueue
from wgmesh.core.wire.announcement import MAX_CANDIDATES
from wgmesh.core.wire.rendezvous import (
    IPV6_SLOT,
    RENDEZVOUS_SLOT,
    Offer,
    Slot,
    Start,
    choose_introducers,
    is_likely_public,
    normalised,
    pair_id,
    pair_seed,
)
from wgmesh.discovery.bounds import PEERS_MAX
from wgmesh.discovery.exchange.transactions import PATIENCE_S
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.candidates import TUNNEL_LOST_S
from wgmesh.discovery.members.record import NEVER
from wgmesh.discovery.rendezvous.values import Action, Outcome, PeerView, Punch, PunchEnded, Send

# specification
PUNCH_COOLDOWN_S = 6.0
HANDSHAKE_WAIT_S = 10.0  # after an answer, for WireGuard to follow
FIRST_PAUSE_S, LAST_PAUSE_S = 3.0, 30.0

# our choice
FIRST_WAIT_S = 3.0  # by then a peer that can be reached without help has answered
PACE_S = 0.25  # between two attempts: 50 peers that miss us are all tried within one window of the slots
OFFER_GAP_S = 10.0  # for one pair; an introducer ignores what comes within 8 s of its START
ASKED_S = 20.0  # an introducer remembers an offer as long (protocol notes, 8.3)
ASKED_MAX = 512  # pairs and introducers
UNASKED_MAX = 10  # candidates: two addresses of one peer, each with the four ports beside it
START_SKEW_S = 5.0  # how far away a START's moment may be (BUG 37)
START_DEFAULT_S = 1.8  # the introducer's lead, where its clock is wrong
START_AT_ONCE_S = 0.1  # upstream's reading of a moment that is not positive
ADDRESSES_MAX = 256  # punched at a time: half of the HELLOs that may be in flight (BUG 37)
PAIRS_MAX = PEERS_MAX + 256  # peers of the table, those just gone, and those of whom only a START has told


@dataclass(slots=True)
class _Pair:
    """What is going on with one peer. `ends_at` is None between attempts."""

    key: PublicKey
    seed: int
    pauses: Iterator[float] = field(repr=False)
    ends_at: float | None = None
    is_answered: bool = False
    direct_at: float | None = None
    start_at: float | None = None
    candidates: tuple[Endpoint, ...] = ()
    punched_at: float = NEVER
    offered_at: float = NEVER

    def next_step(self) -> float | None:
        return min((at for at in (self.direct_at, self.start_at, self.ends_at) if at is not None), default=None)


class HolePunching:
    """Reaches the peers that have no tunnel yet. Returns actions; learns of success by `sync` and `answered`."""

    def __init__(self, wall: WallClock, rules: AddressRules, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._wall = wall
        self._rules = rules
        self._random_unit = random_unit
        self._own: PublicKey | None = None
        self._interfaces: tuple[LanInterface, ...] = ()
        self._views: dict[PublicKey, PeerView] = {}
        self._introducers: dict[PublicKey, PeerView] = {}
        self._pairs: dict[PublicKey, _Pair] = {}
        self._waiting: TimerQueue[PublicKey] = TimerQueue()
        self._steps: TimerQueue[PublicKey] = TimerQueue()
        self._asked: Recent[tuple[Endpoint, PublicKey], float] = Recent(ASKED_MAX)
        self._turn_at = NEVER

    def set_own(self, key: PublicKey) -> None:
        """Sets who we are. Under another key nothing that was begun holds."""
        if key != self._own:
            self._own = key
            self._pairs, self._views, self._introducers = {}, {}, {}
            self._waiting, self._steps = TimerQueue(), TimerQueue()

    def set_interfaces(self, interfaces: Iterable[LanInterface], now: float) -> None:
        """Sets where we are attached. In another network every peer is worth a new try."""
        known = tuple(interfaces)
        if known != self._interfaces:
            self._interfaces = known
            self._introducers = {view.key: view for view in self._views.values() if self._can_introduce(view)}
            self._hurry(now)

    def sync(self, views: Iterable[PeerView], now: float, gone: Iterable[PublicKey] = ()) -> list[Action]:
        """Takes what has changed. Peers with a working tunnel are left alone, the others get their turn."""
        if self._own is None:
            return []
        had_introducers = bool(self._introducers)
        for key in gone:
            self._views.pop(key, None)
            self._introducers.pop(key, None)
        actions: list[Action] = []
        for view in views:
            if view.key == self._own:
                continue
            self._note(view)
            pair = self._pairs.get(view.key) or self._add(view.key, now + FIRST_WAIT_S)
            if pair is not None and view.is_proven(now):
                actions += self._succeed(pair, view, now)
        if self._introducers and not had_introducers:
            self._hurry(now)
        return actions

    def answered(self, key: PublicKey, now: float) -> None:
        """Notes a REPLY of a peer. What is open needs no further punch, only time for WireGuard."""
        pair = self._pairs.get(key)
        if pair is None or pair.ends_at is None or pair.is_answered:
            return
        pair.is_answered, pair.direct_at, pair.start_at, pair.candidates = True, None, None, ()
        pair.ends_at = now + HANDSHAKE_WAIT_S
        self._steps.set(key, pair.ends_at)

    def handle_start(self, start: Start, source: Endpoint, now: float) -> None:
        """Takes a START. The punch follows at its moment."""
        own, key = self._own, start.peer
        if own is None or key == own or start.pair_id != pair_id(own, key) or not self._is_introducer(source):
            return
        has_asked = now - self._asked.get((source, key), NEVER) < ASKED_S
        view, pair = self._views.get(key), self._pairs.get(key)
        if view is not None and view.is_proven(now):
            return
        if pair is not None and (pair.is_answered or now - pair.punched_at < PUNCH_COOLDOWN_S):
            return
        pair = pair or self._add(key, float("inf"))
        if pair is None:
            return
        # a further introducer may have seen another mapping: until the moment has come it adds to what is known
        candidates = self._usable((*pair.candidates, *start.candidates))[: MAX_CANDIDATES if has_asked else UNASKED_MAX]
        if not candidates or self._load() - len(pair.candidates) + len(candidates) > ADDRESSES_MAX:
            return
        pair.candidates = candidates
        if pair.start_at is None:
            pair.start_at = self._moment(start.start_at_ms, now)
            self._prolong(pair, pair.start_at + PATIENCE_S)

    def handle_timeout(self, now: float) -> list[Action]:
        """Takes the steps and begins the attempts that are due, at the global pace."""
        actions: list[Action] = []
        for key in self._steps.take_all(now):
            actions += self._step(self._pairs[key], now)
        while now >= self._turn_at and (turn := self._waiting.take(now)) is not None:
            actions += self._begin(self._pairs[turn], now)
        return actions

    def poll_timeout(self) -> float | None:
        waiting_at = self._waiting.next_at()
        turn_at = None if waiting_at is None or waiting_at == float("inf") else max(waiting_at, self._turn_at)
        return min((at for at in (turn_at, self._steps.next_at()) if at is not None), default=None)

    def _add(self, key: PublicKey, waits_until: float) -> _Pair | None:
        if self._own is None or len(self._pairs) >= PAIRS_MAX:
            return None
        pair = self._pairs[key] = _Pair(key, pair_seed(self._own, key), self._pauses())
        self._waiting.set(key, waits_until)
        return pair

    def _begin(self, pair: _Pair, now: float) -> list[Action]:
        view = self._views.get(pair.key)
        if view is None:
            del self._pairs[pair.key]
            return []
        if view.is_proven(now):
            return self._succeed(pair, view, now)
        actions = self._offer(pair, now)
        target = view.control_endpoint
        if target is not None and self._is_target(target):
            pair.direct_at = now if target.host.version == 4 else self._in_slot(IPV6_SLOT, pair.seed, now)
        if pair.direct_at is None and not actions:
            self._pause(pair, now)
            return []
        self._turn_at = now + PACE_S
        self._prolong(pair, max(now, pair.direct_at or now) + PATIENCE_S)
        return actions

    def _offer(self, pair: _Pair, now: float) -> list[Action]:
        if self._own is None or now - pair.offered_at < OFFER_GAP_S:
            return []
        sends: list[Action] = []
        for key in choose_introducers(self._own, pair.key, self._introducers):
            address = self._introducers[key].control_endpoint
            if address is not None:
                sends.append(Send(address, Offer(self._own, pair.key)))
                self._asked.note((address, pair.key), now)
        if sends:
            pair.offered_at = now
        return sends

    def _step(self, pair: _Pair, now: float) -> list[Action]:
        actions: list[Action] = []
        view = self._views.get(pair.key)
        if pair.direct_at is not None and now >= pair.direct_at:
            pair.direct_at = None
            if view is not None and view.control_endpoint is not None and self._is_target(view.control_endpoint):
                actions.append(Punch(pair.key, (view.control_endpoint,)))
        if pair.start_at is not None and now >= pair.start_at:
            actions.append(Punch(pair.key, pair.candidates))
            pair.punched_at, pair.start_at = now, None
        next_step = pair.next_step()
        if next_step is not None and now < next_step:
            self._steps.set(pair.key, next_step)
            return actions
        outcome = Outcome.ANSWERED if pair.is_answered else Outcome.SILENT
        self._pause(pair, now)
        return [*actions, PunchEnded(pair.key, outcome)]

    def _succeed(self, pair: _Pair, view: PeerView, now: float) -> list[Action]:
        """BUG 40: success ends the attempt and the back-off. The next look comes when the tunnel may be lost."""
        was_trying = pair.ends_at is not None
        self._rest(pair, (view.proven_at or now) + TUNNEL_LOST_S)
        pair.pauses = self._pauses()
        return [PunchEnded(pair.key, Outcome.OPEN)] if was_trying else []

    def _pause(self, pair: _Pair, now: float) -> None:
        if pair.key in self._views:
            self._rest(pair, self._in_slot(RENDEZVOUS_SLOT, pair.seed, now + next(pair.pauses)))
        else:
            self._rest(pair, now + PUNCH_COOLDOWN_S)  # then it is forgotten

    def _rest(self, pair: _Pair, until: float) -> None:
        pair.ends_at, pair.direct_at, pair.start_at, pair.candidates = None, None, None, ()
        pair.is_answered = False
        self._steps.drop(pair.key)
        self._waiting.set(pair.key, until)

    def _prolong(self, pair: _Pair, ends_at: float) -> None:
        pair.ends_at = max(pair.ends_at or ends_at, ends_at)
        self._waiting.drop(pair.key)
        self._steps.set(pair.key, pair.next_step() or pair.ends_at)

    def _hurry(self, now: float) -> None:
        """Begins the back-off again: something has changed that may help."""
        for key in tuple(self._waiting):
            view = self._views.get(key)
            if view is not None and not view.is_proven(now):
                self._pairs[key].pauses = self._pauses()
                self._waiting.set(key, min(self._waiting.get(key) or now, now + FIRST_WAIT_S))

    def _pauses(self) -> Iterator[float]:
        return delays(FIRST_PAUSE_S, LAST_PAUSE_S, self._random_unit)

    def _load(self) -> int:
        return sum(len(pair.candidates) for pair in self._pairs.values())

    def _can_introduce(self, view: PeerView) -> bool:
        """BUG 45: upstream also asks peers that seem able, and those drop every offer."""
        address = view.control_endpoint
        if address is None or not view.introducer or not view.is_vouched:
            return False
        return is_likely_public(address.host) and self._is_target(address)

    def _note(self, view: PeerView) -> None:
        self._views[view.key] = view
        if self._can_introduce(view):
            self._introducers[view.key] = view
        else:
            self._introducers.pop(view.key, None)

    def _is_introducer(self, source: Endpoint) -> bool:
        """Whether a START may come from there: exactly where a proven introducer has answered us."""
        views = self._views.values()
        return any(view.introducer and view.is_vouched and view.control_endpoint == source for view in views)

    def _usable(self, candidates: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        return tuple(each for each in normalised(candidates) if self._is_target(each))

    def _is_target(self, endpoint: Endpoint) -> bool:
        """Public addresses and neighbours on our own subnets; nobody may aim us at somebody else's inner network."""
        host = endpoint.host
        if not self._rules.is_exchange_address(endpoint) or self._rules.is_in_mesh(host) or host.is_link_local:
            return False
        addresses = [address for interface in self._interfaces for address in interface.addresses]
        if any(host == address.ip for address in addresses):
            return False
        subnets = [address.network for address in addresses if address.version == host.version]
        if any(host == net.broadcast_address for net in subnets if host.version == 4 and net.prefixlen < 31):
            return False
        return is_likely_public(host) or any(host in network and not host.is_loopback for network in subnets)

    def _in_slot(self, slot: Slot, seed: int, at: float) -> float:
        """`at` itself where the slot is open then, else its opening (BUG 41: a ticker may miss it)."""
        clock_s = self._wall.at(at)
        return at if slot.is_open(seed, clock_s) else self._wall.when(slot.next_opening(seed, clock_s))

    def _moment(self, start_at_ms: int, now: float) -> float:
        """When to punch. A moment far away is a wrong clock or worse, so it is not waited for (BUG 37)."""
        if start_at_ms <= 0:
            return now + START_AT_ONCE_S
        at = self._wall.when(start_at_ms / 1000)
        return max(at, now) if abs(at - now) <= START_SKEW_S else now + START_DEFAULT_S
