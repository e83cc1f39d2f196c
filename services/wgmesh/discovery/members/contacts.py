"""Addresses from which nobody has answered yet: whom to say HELLO to, at a pace, with a memory of silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from wgmesh.core.backoff import delays
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.timer_queue import TimerQueue
from wgmesh.discovery.bounds import CONTACTS_MAX

CONCURRENT_MAX = 8  # contacts to hearsay at a time: a poisoned list must not make us a flood (BUG 57)
CONCURRENT_HEARD_MAX = 64  # these have just spoken to us themselves, so they must not wait behind dead addresses
FIRST_RETRY_S = 5.0  # the first pause after a contact without answer; it doubles
LAST_RETRY_S = 900.0  # after an hour of silence an address costs six datagrams a quarter of an hour
STATIC_RETRY_S = 60.0  # the operator named it, so it is worth a steady try


class Origin(IntEnum):
    """Where an address came from. The smaller is tried first."""

    HEARD = 0
    STATIC = 1
    SECOND_HAND = 2
    CACHE = 3
    DHT = 4
    """Strangers can announce themselves there too, so it comes last, with a share of its own."""


_WITH_ROUNDS = frozenset({Origin.CACHE, Origin.DHT})


@dataclass(slots=True)
class Contact:
    """An address that has not answered yet, or a static one."""

    address: Endpoint
    origin: Origin
    key: PublicKey | None
    next_at: float
    pauses: Iterator[float] = field(repr=False)
    is_asked: bool = False
    has_rounds: bool = False
    """Whether it is tried again after silence although nothing has named it since: it stood in the cache or a DHT."""
    is_silent: bool = True
    """Whether nobody answered there when it was asked last."""


class Contacts:
    """The addresses to try."""

    def __init__(self, random_unit: Callable[[], float], contacts_max: int = CONTACTS_MAX) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._contacts_max = contacts_max
        self._contacts: dict[Endpoint, Contact] = {}
        self._addresses: dict[PublicKey, set[Endpoint]] = {}
        self._waiting: dict[Origin, TimerQueue[Endpoint]] = {origin: TimerQueue() for origin in Origin}
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
            if len(self._contacts) < self._contacts_max:
                has_rounds = origin in _WITH_ROUNDS
                self._put(Contact(address, origin, key, now, self._pauses(origin), has_rounds=has_rounds))
            return
        self._remove(address)
        contact.has_rounds |= origin in _WITH_ROUNDS
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

    def are_silent(self, addresses: Iterable[Endpoint]) -> bool:
        """Whether nobody answers at any of these, as far as they were asked."""
        known = (self._contacts.get(address) for address in addresses)
        return all(contact is None or contact.is_silent for contact in known)

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
        contact.is_asked, contact.is_silent, contact.next_at = False, False, now + STATIC_RETRY_S
        contact.pauses = self._pauses(contact.origin)
        self._put(contact)
        return True

    def failed(self, address: Endpoint, now: float) -> None:
        """Ends a contact without answer: the next try comes after a pause that doubles."""
        contact = self._remove(address)
        if contact is not None:
            contact.is_asked, contact.is_silent, contact.next_at = False, True, now + next(contact.pauses)
            self._put(contact)

    def hurry(self, now: float) -> None:
        """Makes every address worth a try at once, at the usual pace: what kept them silent may be over."""
        for waiting in self._waiting.values():
            for address in tuple(waiting):
                contact = self._contacts[address]
                contact.next_at, contact.pauses = min(contact.next_at, now), self._pauses(contact.origin)
                waiting.set(address, contact.next_at)

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
