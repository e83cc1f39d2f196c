"""What may be sent to an address that has never answered: less than three times what came for its sake.

Anybody can write somebody else's address as the source of a datagram, or name it in one. All such ways are of one kind,
so they are paid from one purse, by the host that would be hit: whatever type of message, peer or way of finding sends
there. A datagram from a host, or one that names it, fills its purse (RFC 9000, section 8.1, takes three times as much
for harmless), and nothing else does, but for what the operator asks for and for few datagrams with long pauses to
addresses of the cache and of the DHTs.

Free is who has shown to receive what is sent there: its REPLY repeats a part of our HELLO, or WireGuard reaches it
there. Upstream's nodes cannot repeat it, so until their tunnel works they pay with what they say.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from wgmesh.core.model import IPAddress
from wgmesh.core.pauses import Pauses
from wgmesh.core.ratelimit import TokenBucket
from wgmesh.core.recent import Recent
from wgmesh.discovery.bounds import HOSTS_MAX
from wgmesh.discovery.messages.rate_limits import host_of

AMPLIFICATION = 3  # what is sent stays below so many times what was received
DATAGRAMS_FOR_ONE = 2  # however long it is: an answer, and a question of our own
# A START names an address for a moment at which both sides of a NAT must send, and it comes in three copies.
DATAGRAMS_FOR_A_START = 4
# Six HELLOs of a node that was not answered at once. More is not saved up for a later day.
SAVED_BYTES_MAX = 16_384
SAVED_DATAGRAMS_MAX = 16
FREE_S = 3 * 3600.0  # peers at rest hear from us every two hours
FIRST_PAUSE_S, LAST_PAUSE_S = 60.0, 900.0  # of rounds: an unanswered NAT mapping of Linux lives 30 s on both sides
# Questions to all such hosts together. A LAN of hundreds that answers gives back what it takes.
TOTAL_RATE = 32.0
TOTAL_BURST = 512


class _Purse:
    """What may still be sent to one host."""

    __slots__ = ("bytes", "datagrams")

    def __init__(self) -> None:
        self.bytes, self.datagrams = 0, 0

    def fill(self, size: int, datagrams: int) -> None:
        self.bytes = min(self.bytes + size, SAVED_BYTES_MAX)
        self.datagrams = min(self.datagrams + datagrams, SAVED_DATAGRAMS_MAX)


class Unanswered:
    """The purses of all hosts that have not answered, within a bound, and who is free.

    A purse that is forgotten is empty: who names thousands gains nothing by it.
    """

    def __init__(self, hosts_max: int = HOSTS_MAX) -> None:
        self._purses: Recent[Hashable, _Purse] = Recent(hosts_max)
        self._rounds: Pauses[Hashable] = Pauses(FIRST_PAUSE_S, LAST_PAUSE_S, hosts_max)
        self._free_until: Recent[IPAddress, float] = Recent(hosts_max)
        self._total = TokenBucket(TOTAL_RATE, TOTAL_BURST)

    def __len__(self) -> int:
        return len(self._purses)

    def answered(self, host: IPAddress, now: float) -> None:
        """Takes it that a host wants what we send: it has received a HELLO there, or its tunnel works."""
        if not self.is_free(host, now):
            self._total.give_back(now)
            self._purses.forget(host_of(host))
            self._rounds.forget(host_of(host))
        self._free_until.note(host, now + FREE_S)

    def is_free(self, host: IPAddress, now: float) -> bool:
        return now < self._free_until.get(host, now)

    def earn(self, host: IPAddress, size: int, datagrams: int = DATAGRAMS_FOR_ONE) -> None:
        """Notes a datagram of `size` bytes that came from a host, or that named it."""
        # one byte less, so that the whole stays below three times as much
        self._purse(host).fill(AMPLIFICATION * size - 1, datagrams)

    def earn_all(self, hosts: Iterable[IPAddress], size: int, datagrams: int = DATAGRAMS_FOR_ONE) -> None:
        """Notes what named all these hosts."""
        for host in hosts:
            self.earn(host, size, datagrams)

    def grant(self, host: IPAddress, size: int, datagrams: int = 1) -> None:
        """Pays for datagrams of `size` bytes each that the operator wants."""
        self._purse(host).fill(datagrams * size, datagrams)

    def begin_round(self, host: IPAddress, size: int, now: float) -> None:
        """Pays for two datagrams to an address that nobody vouches for, if the pause of its host is over."""
        if not self.is_free(host, now) and self._rounds.begin(host_of(host), now):
            self.grant(host, size, DATAGRAMS_FOR_ONE)

    def room(self, host: IPAddress, now: float) -> float:
        """How long a datagram to a host may be; infinite where it is free."""
        if self.is_free(host, now):
            return float("inf")
        purse = self._purses.get(host_of(host))
        return purse.bytes if purse is not None and purse.datagrams else 0

    def admits_question(self, host: IPAddress, size: int, now: float) -> bool:
        """Whether a HELLO of ours may be said there. Takes from what all such hosts share, not from the purse."""
        return self.is_free(host, now) or (size <= self.room(host, now) and self._total.take(now))

    def admits(self, host: IPAddress, size: int, now: float) -> bool:
        """Whether a datagram may go to a host. Takes it from the purse."""
        if self.is_free(host, now):
            return True
        purse = self._purses.get(host_of(host))
        if purse is None or not purse.datagrams or size > purse.bytes:
            return False
        purse.datagrams -= 1
        purse.bytes -= size
        return True

    def _purse(self, host: IPAddress) -> _Purse:
        payer = host_of(host)
        purse = self._purses.get(payer) or _Purse()
        self._purses.note(payer, purse)  # those that nothing came for go first
        return purse
