"""Whom to say HELLO to, and when.

Two schedules: addresses that nobody has answered from yet (paced, with a negative cache), and known peers that want to
hear from us regularly: a Go node forgets us after 5 minutes without direct contact (protocol notes, section 22). Our
own kind, once the tunnel works, is content with every fourth turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from wgmesh.core.backoff import delays
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.agenda import Agenda

CONCURRENT_MAX = 8  # contacts to hearsay at a time: a poisoned list must not make us a flood (BUG 57)
CONCURRENT_HEARD_MAX = 64  # these have just spoken to us themselves, so they must not wait behind dead addresses
CONTACTS_MAX = 2048  # twice the peer table
FIRST_RETRY_S = 5.0  # the first pause after a contact without answer; it doubles
LAST_RETRY_S = 900.0  # after an hour of silence an address costs six datagrams a quarter of an hour
STATIC_RETRY_S = 60.0  # the operator named it, so it is worth a steady try
REFRESH_S = 45.0  # below the 60 s that keep a Go neighbour content, with room for one lost exchange
REFRESH_JITTER = 0.1
# Only a Go peer forgets us where handshakes prove that we live, and only a Go peer needs the lists in our HELLOs: our
# own kind compares views. One HELLO in two hours mends what nobody has thought of.
QUIET_TURNS = 160
HURRY_PER_PEER_S = 0.02  # 50 a second: 300 peers hear of a change within 6 s


class Origin(IntEnum):
    """Where an address came from. The smaller is tried first."""

    HEARD = 0
    STATIC = 1
    SECOND_HAND = 2
    CACHE = 3
    DHT = 4
    """Strangers can announce themselves there too, so it comes last, with a share of its own."""


@dataclass(slots=True)
class Contact:
    """An address that has not answered yet, or a static one."""

    address: Endpoint
    origin: Origin
    key: PublicKey | None
    next_at: float
    pauses: Iterator[float] = field(repr=False)
    is_asked: bool = False


class Contacts:
    """The addresses to try."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._contacts: dict[Endpoint, Contact] = {}
        self._addresses: dict[PublicKey, set[Endpoint]] = {}
        self._waiting: dict[Origin, Agenda[Endpoint]] = {origin: Agenda() for origin in Origin}
        self._asked: set[Endpoint] = set()  # few: as many as may be asked at a time
        self._asked_of = dict.fromkeys(Origin, 0)

    def __len__(self) -> int:
        return len(self._contacts)

    def get(self, address: Endpoint) -> Contact | None:
        return self._contacts.get(address)

    def add(
        self, address: Endpoint, origin: Origin, now: float, key: PublicKey | None = None, eager: bool = False
    ) -> None:
        """Notes an address to try at once. One that is known already keeps its pause, unless `eager`."""
        contact = self._contacts.get(address)
        if contact is None:
            if len(self._contacts) < CONTACTS_MAX:
                self._put(Contact(address, origin, key, now, self._pauses(origin)))
            return
        self._remove(address)
        contact.key = key or contact.key
        if origin < contact.origin and contact.origin is not Origin.STATIC:
            contact.origin = origin
        if eager:
            contact.next_at = min(contact.next_at, now)
        self._put(contact)

    def set_static(self, addresses: Iterable[Endpoint], now: float) -> None:
        """Makes these all the addresses that the operator named."""
        wanted = dict.fromkeys(addresses)
        for address, contact in tuple(self._contacts.items()):
            if contact.origin is Origin.STATIC and address not in wanted:
                self._remove(address)
        for address in wanted:
            if address not in self._contacts or self._contacts[address].origin is not Origin.STATIC:
                self._remove(address)
                self._put(Contact(address, Origin.STATIC, None, now, self._pauses(Origin.STATIC)))

    def due(self, now: float) -> list[Contact]:
        """Returns the contacts to ask at once, with few addresses of hearsay unanswered at a time."""
        chosen: list[Contact] = []
        for origin, waiting in self._waiting.items():  # in the order of the origins
            next_at = waiting.next_at()
            if next_at is None or next_at > now:
                continue
            room = self._room(_SHARE[origin])
            while room > 0 and (address := waiting.take(now)) is not None:
                contact = self._contacts[address]
                contact.is_asked = True
                self._asked.add(address)
                self._asked_of[contact.origin] += 1
                chosen.append(contact)
                room -= 1
        return chosen

    def answered(self, address: Endpoint, now: float) -> bool:
        """Ends a contact with success; whether it was a static one. Static ones are asked again in a minute."""
        contact = self._remove(address)
        if contact is None or contact.origin is not Origin.STATIC:
            return False
        contact.is_asked, contact.next_at = False, now + STATIC_RETRY_S
        contact.pauses = self._pauses(contact.origin)
        self._put(contact)
        return True

    def failed(self, address: Endpoint, now: float) -> None:
        """Ends a contact without answer: the next try comes after a pause that doubles."""
        contact = self._remove(address)
        if contact is not None:
            contact.is_asked, contact.next_at = False, now + next(contact.pauses)
            self._put(contact)

    def drop(self, address: Endpoint) -> None:
        """Forgets an address."""
        self._remove(address)

    def count(self, origin: Origin) -> int:
        """How many addresses from there wait for their turn or an answer."""
        return len(self._waiting[origin]) + self._asked_of[origin]

    def drop_peer(self, key: PublicKey) -> None:
        """Forgets the addresses of a peer that is gone, except those the operator named."""
        for address in tuple(self._addresses.get(key, ())):
            if self._contacts[address].origin is not Origin.STATIC:
                self._remove(address)

    def poll_timeout(self) -> float | None:
        """Without room an answer or the end of an attempt comes first."""
        earliest = None
        for origin, waiting in self._waiting.items():
            at = waiting.next_at()
            if at is not None and (earliest is None or at < earliest) and self._room(_SHARE[origin]) > 0:
                earliest = at
        return earliest

    def _put(self, contact: Contact) -> None:
        self._contacts[contact.address] = contact
        if contact.key is not None:
            self._addresses.setdefault(contact.key, set()).add(contact.address)
        if contact.is_asked:
            self._asked.add(contact.address)
            self._asked_of[contact.origin] += 1
        else:
            self._waiting[contact.origin].set(contact.address, contact.next_at)

    def _remove(self, address: Endpoint) -> Contact | None:
        contact = self._contacts.pop(address, None)
        if contact is None:
            return None
        if address in self._asked:
            self._asked.remove(address)
            self._asked_of[contact.origin] -= 1
        self._waiting[contact.origin].drop(address)
        if contact.key is not None:
            addresses = self._addresses[contact.key]
            addresses.remove(address)
            if not addresses:
                del self._addresses[contact.key]
        return contact

    def _pauses(self, origin: Origin) -> Iterator[float]:
        cap_s = STATIC_RETRY_S if origin is Origin.STATIC else LAST_RETRY_S
        return delays(FIRST_RETRY_S, cap_s, self._random_unit)

    def _room(self, share: Origin) -> int:
        return max(_ROOM[share] - sum(self._asked_of[origin] for origin in _ORIGINS[share]), 0)


# Three shares of what may be asked at a time: those that have spoken to us, those that members know of, strangers.
_SHARE = {origin: Origin.SECOND_HAND for origin in Origin} | {Origin.HEARD: Origin.HEARD, Origin.DHT: Origin.DHT}
_ORIGINS = {share: [origin for origin in Origin if _SHARE[origin] is share] for share in set(_SHARE.values())}
_ROOM = {
    Origin.HEARD: CONCURRENT_HEARD_MAX,
    Origin.SECOND_HAND: CONCURRENT_MAX,
    Origin.DHT: CONCURRENT_MAX,
}


class Refreshes:
    """When each known peer should hear from us again."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._turns: Agenda[PublicKey] = Agenda()
        self._silent_turns: dict[PublicKey, int] = {}

    def schedule(self, key: PublicKey, now: float) -> None:
        """Sets the next turn of a peer that has just heard from us or is just being asked."""
        self._turns.set(key, now + next(delays(REFRESH_S, REFRESH_S, self._random_unit, jitter=REFRESH_JITTER)))

    def hurry(self, now: float) -> None:
        """Brings all turns forward, spread out: what we say of ourselves has changed."""
        span_s = min(HURRY_PER_PEER_S * len(self._turns), REFRESH_S)
        for key in tuple(self._turns):
            self._silent_turns[key] = QUIET_TURNS
            at, soon = self._turns.get(key), now + self._random_unit() * span_s
            self._turns.set(key, soon if at is None else min(at, soon))

    def hurry_one(self, key: PublicKey, now: float) -> None:
        """Brings the turn of one peer forward: it is worth asking."""
        self._silent_turns[key] = QUIET_TURNS
        self._turns.set(key, now)

    def ensure(self, key: PublicKey, now: float) -> None:
        """Schedules a peer that has no turn yet."""
        if key not in self._turns:
            self.schedule(key, now)

    def drop(self, key: PublicKey) -> None:
        self._turns.drop(key)
        self._silent_turns.pop(key, None)

    def due(self, now: float, is_content: Callable[[PublicKey], bool]) -> list[PublicKey]:
        """Returns the peers that should hear from us, and schedules their next turn. Who is content hears us seldom."""
        due = self._turns.take_all(now)
        for key in due:
            self.schedule(key, now)
        return [key for key in due if not self._passes(key, is_content(key))]

    def poll_timeout(self) -> float | None:
        return self._turns.next_at()

    def _passes(self, key: PublicKey, is_content: bool) -> bool:
        silent_turns = self._silent_turns.get(key, 0) + 1
        passes = is_content and silent_turns < QUIET_TURNS
        self._silent_turns[key] = silent_turns if passes else 0
        return passes
