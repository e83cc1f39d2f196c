"""How far a message may be believed to come from the member that it names (weaknesses 2, BUG 14).

The mesh's seal shows that the sender is a member, and any member can write any name. A proof of possession shows which.
Who has given one is held to it, so that another member cannot speak for it by leaving the proof away.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import StrEnum

from wgmesh.core.keys.possession import verify
from wgmesh.core.model import PublicKey
from wgmesh.discovery.messages.inbox import Message, Rejected, Rejection
from wgmesh.discovery.messages.pair_keys import PairKeys

# A machine that goes back to a program without proofs, with the same key, is heard again after a day.
REQUIRED_S = 86400.0
POSSESSIONS_MAX = 4096  # four times the peer table


class Standing(StrEnum):
    """What a message is worth as a word of its sender."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    """No proof, and the sender never gave one: upstream's nodes, and everybody's first word."""
    DOUBTFUL = "doubtful"
    """No proof from somebody who has given one before."""


class Possessions:
    """When each key last proved to be in its owner's hands. Outlives the peer's place in the table."""

    def __init__(self) -> None:
        self._proven_at: OrderedDict[PublicKey, float] = OrderedDict()

    def note(self, key: PublicKey, at: float) -> None:
        self._proven_at[key] = max(at, self._proven_at.get(key, at))
        self._proven_at.move_to_end(key)
        if len(self._proven_at) > POSSESSIONS_MAX:
            self._proven_at.popitem(last=False)

    def at(self, key: PublicKey) -> float | None:
        return self._proven_at.get(key)

    def are_required_of(self, key: PublicKey, now: float) -> bool:
        proven_at = self._proven_at.get(key)
        return proven_at is not None and now - proven_at < REQUIRED_S


def judge(message: Message, own_key: PublicKey, pair_keys: PairKeys, possessions: Possessions, now: float) -> Standing:
    """Judges a message. Raises Rejected for a proof that is false."""
    pair_key = pair_keys.get(message.sender) if message.proof else None
    if pair_key is not None:
        if not verify(message.proof, pair_key, str(message.type), message.sender, own_key, message.transcript):
            raise Rejected(Rejection.UNPROVEN)
        return Standing.PROVEN
    return Standing.DOUBTFUL if possessions.are_required_of(message.sender, now) else Standing.UNPROVEN
