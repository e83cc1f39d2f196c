"""HELLOs in flight: the same bytes again and again until a REPLY or the end of patience.

A REPLY counts only against a HELLO of our own (weaknesses 2). One from the exact address asked proves that address; one
that only names the key asked for proves that the peer lives, and nothing about where.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.core.timer_queue import TimerQueue
from wgmesh.discovery.bounds import IN_FLIGHT_MAX

# Seconds after the first HELLO. Dense at first, since the answerer may have been starting; six datagrams in all, well
# under the 10/s that upstream allows one address (protocol notes, section 7.1).
RESEND_AT_S = (0.1, 0.3, 0.7, 1.5, 3.1)
PATIENCE_S = 4.0  # upstream's exchange timeout


class Purpose(StrEnum):
    """Why a HELLO was sent: decides what follows from its answer or its silence."""

    CONTACT = "contact"
    REFRESH = "refresh"
    CONFIRM = "confirm"
    PROBE = "probe"


@dataclass(slots=True)
class Transaction:
    """One HELLO in flight."""

    target: Endpoint
    data: bytes
    key: PublicKey | None
    started_at: float
    give_up_at: float
    purposes: set[Purpose]
    resend_at: Iterator[float] = field(repr=False)
    next_at: float = float("inf")


class Transactions:
    """Repeats HELLOs and matches REPLYs, one attempt a target."""

    def __init__(self, resend: bool = True, in_flight_max: int = IN_FLIGHT_MAX) -> None:
        """Without `resend` (the operator's no-punching) every HELLO is one datagram."""
        self._resend = resend
        self._in_flight_max = in_flight_max
        self._attempts: dict[Endpoint, Transaction] = {}
        self._targets: dict[PublicKey, dict[Endpoint, None]] = {}  # of each peer asked for, oldest first
        self._agenda: TimerQueue[Endpoint] = TimerQueue()

    def __len__(self) -> int:
        return len(self._attempts)

    def targets(self) -> tuple[Endpoint, ...]:
        """The addresses that were asked and have not answered: who is there may know us already."""
        return tuple(self._attempts)

    def asks_for(self, target: Endpoint, purpose: Purpose) -> bool:
        """Whether an address is being asked, and for this purpose among others."""
        attempt = self._attempts.get(target)
        return attempt is not None and purpose in attempt.purposes

    def join(self, target: Endpoint, purpose: Purpose, now: float, patience_s: float = PATIENCE_S) -> bool:
        """Adds a purpose to an attempt that is in flight already. False if there is none."""
        attempt = self._attempts.get(target)
        if attempt is None:
            return False
        attempt.purposes.add(purpose)
        attempt.give_up_at = max(attempt.give_up_at, now + patience_s)
        self._schedule(attempt)
        return True

    def start(
        self,
        target: Endpoint,
        data: bytes,
        purpose: Purpose,
        now: float,
        key: PublicKey | None = None,
        patience_s: float = PATIENCE_S,
        resend_at_s: Sequence[float] = RESEND_AT_S,
    ) -> Transmit | None:
        """Begins a transaction and returns its first datagram; None if too many are in flight."""
        if len(self._attempts) >= self._in_flight_max:
            return None
        resend_at = iter([now + after for after in resend_at_s] if self._resend else [])
        attempt = Transaction(target, data, key, now, now + patience_s, {purpose}, resend_at)
        attempt.next_at = next(resend_at, float("inf"))
        self._forget(target)
        self._attempts[target] = attempt
        if key is not None:
            self._targets.setdefault(key, {})[target] = None
        self._schedule(attempt)
        return Transmit(data, target)

    def take_by_address(self, source: Endpoint) -> Transaction | None:
        """Ends the attempt that asked exactly this address."""
        return self._forget(source)

    def take_by_key(self, key: PublicKey) -> Transaction | None:
        """Ends the oldest attempt that asked for this peer, wherever."""
        target = next(iter(self._targets.get(key, ())), None)
        return None if target is None else self._forget(target)

    def handle_timeout(self, now: float) -> tuple[list[Transmit], list[Transaction]]:
        """Returns what to send again, and the attempts that stayed without answer."""
        due = [self._attempts[target] for target in self._agenda.take_all(now)]
        failed = [attempt for attempt in due if now >= attempt.give_up_at]
        for attempt in failed:
            self._forget(attempt.target)
        repeated = [attempt for attempt in due if now < attempt.give_up_at]
        for attempt in repeated:
            attempt.next_at = next((at for at in attempt.resend_at if at > now), float("inf"))
            self._schedule(attempt)
        return [Transmit(attempt.data, attempt.target) for attempt in repeated], failed

    def poll_timeout(self) -> float | None:
        return self._agenda.next_at()

    def _schedule(self, attempt: Transaction) -> None:
        self._agenda.set(attempt.target, min(attempt.next_at, attempt.give_up_at))

    def _forget(self, target: Endpoint) -> Transaction | None:
        attempt = self._attempts.pop(target, None)
        if attempt is None:
            return None
        self._agenda.drop(target)
        if attempt.key is not None:
            targets = self._targets[attempt.key]
            del targets[target]
            if not targets:
                del self._targets[attempt.key]
        return attempt
