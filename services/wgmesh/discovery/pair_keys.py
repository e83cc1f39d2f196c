"""The keys that this node shares with each peer by key agreement: who can use one holds the private key of its end.

The agreement itself is done where the private key lives. Here is only what it gave, whom it is still wanted for, and
which messages wait for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.possession import PairKey
from wgmesh.discovery.inbox import Message

KEYS_MAX = 4096  # four times the peer table; agreeing anew costs 0.1 ms
WANTED_MAX = 1000  # what one call of the contract takes
WAITING_MAX = 256
# A restarted wireguard process is back in half a second. After this a message is taken as one without proof.
PATIENCE_S = 1.0
ASK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that cannot be judged before the key with its sender is there."""

    message: Message
    data: bytes
    source: Endpoint
    channel: str
    until: float


class PairKeys:
    """Remembers agreed keys, least recently used ones go first."""

    def __init__(self) -> None:
        self._keys: OrderedDict[PublicKey, PairKey | None] = OrderedDict()
        self._wanted: OrderedDict[PublicKey, float] = OrderedDict()
        self._waiting: list[Waiting] = []

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
        if len(self._keys) > KEYS_MAX:
            self._keys.popitem(last=False)

    def park(self, message: Message, data: bytes, source: Endpoint, channel: str, now: float) -> bool:
        """Keeps a message until the key with its sender is there. False if too many wait already."""
        if len(self._waiting) >= WAITING_MAX:
            return False
        self.want(message.sender)
        self._waiting.append(Waiting(message, data, source, channel, now + PATIENCE_S))
        return True

    def release(self, keys: Iterable[PublicKey]) -> list[Waiting]:
        """Returns the messages of these senders, in the order of their arrival."""
        wanted = set(keys)
        released = [each for each in self._waiting if each.message.sender in wanted]
        if released:
            self._waiting = [each for each in self._waiting if each.message.sender not in wanted]
        return released

    def overdue(self, now: float) -> list[Waiting]:
        """Returns the messages that have waited long enough."""
        return self.release({each.message.sender for each in self._waiting if now >= each.until})

    def poll_timeout(self) -> float | None:
        due = [asked_at + ASK_AGAIN_S for asked_at in self._wanted.values()]
        if self._waiting:
            due.append(self._waiting[0].until)
        return min(due, default=None)
