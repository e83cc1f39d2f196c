"""The keys that this node shares with each peer by key agreement: who can use one holds the private key of its end.

The agreement itself is done where the private key lives. Here is only what it gave, whom it is still wanted for, and
which messages wait for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from wgmesh.core.keys.possession import PairKey
from wgmesh.core.model import PublicKey
from wgmesh.discovery.bounds import KEYS_MAX, WAITING_MAX
from wgmesh.discovery.messages.inbox import Received
from wgmesh.discovery.messages.rate_limits import host_of

WANTED_MAX = 1000  # what one call of the contract takes
# A restarted wireguard process is back in half a second. After this a message is taken as one without proof.
PATIENCE_S = 1.0
ASK_AGAIN_S = 1.0
# Names are free, so who invents many takes no more places than this. Behind one address as many may start at once.
WAITING_PER_HOST_MAX = 32


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that cannot be judged before the key with its sender is there."""

    received: Received
    until: float


class PairKeys:
    """Remembers agreed keys, least recently used ones go first."""

    def __init__(self, keys_max: int = KEYS_MAX, waiting_max: int = WAITING_MAX) -> None:
        self._keys_max = keys_max
        self._waiting_max = waiting_max
        self._keys: OrderedDict[PublicKey, PairKey | None] = OrderedDict()
        self._wanted: OrderedDict[PublicKey, float] = OrderedDict()
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def waiting_count(self) -> int:
        """How many messages wait for a key."""
        return len(self._waiting)

    def get(self, key: PublicKey) -> PairKey | None:
        """Returns the key shared with a peer, None where there is none, or none yet."""
        found = self._keys.get(key)
        if found is not None:
            self._keys.move_to_end(key)
        return found

    def is_settled(self, key: PublicKey) -> bool:
        """Whether the agreement was made, or refused for good."""
        return key in self._keys

    def want(self, key: PublicKey) -> None:
        """Notes that the key with this peer will be needed."""
        if key not in self._keys and key not in self._wanted and len(self._wanted) < WANTED_MAX:
            self._wanted[key] = float("-inf")

    def take_wanted(self, now: float) -> tuple[PublicKey, ...]:
        """Returns the peers to agree with; each is asked for again only after a second without answer."""
        due = tuple(key for key, asked_at in self._wanted.items() if now - asked_at >= ASK_AGAIN_S)
        for key in due:
            self._wanted[key] = now
        return due

    def settle(self, key: PublicKey, pair_key: PairKey | None) -> None:
        """Takes the result of an agreement; None where the public key is no point to agree with."""
        self._wanted.pop(key, None)
        self._keys[key] = pair_key
        self._keys.move_to_end(key)
        if len(self._keys) > self._keys_max:
            self._keys.popitem(last=False)

    def park(self, received: Received, now: float) -> bool:
        """Keeps a message until the key with its sender is there. False if too many wait already, or of its host."""
        host = host_of(received.source.host)
        waiting = sum(host_of(each.received.source.host) == host for each in self._waiting)
        if len(self._waiting) >= self._waiting_max or waiting >= WAITING_PER_HOST_MAX:
            return False
        self.want(received.message.sender)
        self._waiting.append(Waiting(received, now + PATIENCE_S))
        return True

    def release(self, keys: Iterable[PublicKey]) -> list[Received]:
        """Returns the messages of these senders, in the order of their arrival."""
        wanted = set(keys)
        released = [each.received for each in self._waiting if each.received.message.sender in wanted]
        if released:
            self._waiting = [each for each in self._waiting if each.received.message.sender not in wanted]
        return released

    def overdue(self, now: float) -> list[Received]:
        """Returns the messages that have waited long enough."""
        return self.release({each.received.message.sender for each in self._waiting if now >= each.until})

    def poll_timeout(self) -> float | None:
        due = [asked_at + ASK_AGAIN_S for asked_at in self._wanted.values()]
        if self._waiting:
            due.append(self._waiting[0].until)
        return min(due, default=None)
