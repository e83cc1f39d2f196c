"""How often the mesh's one AES-GCM key was used, by this node and, as an estimate, by all members.

NIST SP 800-38D, section 8.3: with random nonces of 96 bits at most 2**32 messages under one key, over all who hold it;
there the chance that any two nonces are equal reaches 2**-33. Two equal nonces give away both plaintexts' difference
and the key of the authenticator.

Nobody can count what the others seal. Members of a mesh do much the same, so each of our messages stands for one of
every member that we have a tunnel to. What was counted ends with the process, so the notice comes at a quarter: a node
that runs for long gives it, and those that start again often need not. The counter of the metrics survives restarts.
"""

from __future__ import annotations

# specification
SEALS_MAX = 1 << 32

# our choice
SEALS_WARNED = SEALS_MAX // 4


class KeyUse:
    """The estimate since the start of this process."""

    def __init__(self) -> None:
        self._sealed = 0
        self.estimate = 0
        """By how many messages of all members."""

    def note(self, sealed: int, others: int) -> None:
        """Takes how many messages we have sealed since the start, while there are so many other members."""
        self.estimate += (sealed - self._sealed) * (1 + others)
        self._sealed = sealed

    def sentence(self) -> str:
        """What the operator should know, empty where that is nothing."""
        if self.estimate < SEALS_WARNED:
            return ""
        sealed = f"the members have sealed about {self.estimate / 1e9:.1f} billion messages with the mesh's key"
        advice = "give the mesh a new secret before they are 4.3 billion, from where on a nonce may repeat"
        return f"{sealed} since this node's start; {advice}."
