"""One key on two machines, such as a state directory that was copied: seen by whom it concerns and by third parties.

A run of a process has a random name (`boot`), so a second machine shows as a second run. A restart is one too; but a
process that has ended never speaks again.

Everybody who knows the secret can speak in any name, ours too. Only who proves to hold our key has a copy of it, and
only then is the operator told to remove anything. What somebody says is worded as what somebody says.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from wgmesh.core.model import Endpoint, Notice, PublicKey
from wgmesh.discovery.messages.replay import Stamp

FRESH_S = 600.0  # a double that was stopped is forgotten as a silent peer is
RUNS_MAX = 4  # two machines that are restarted now and then
PEERS_MAX = 1024
# Timestamps are whole seconds, and datagrams of a run that has just ended may still be under way.
AFTERLIFE_S = 2


@dataclass(slots=True)
class _Runs:
    """The runs of one peer, the newest last, each with the time of its last message."""

    last_at: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    returned_at: float | None = None


class DuplicateKeys:
    """Who is there twice."""

    def __init__(self) -> None:
        self._peers: OrderedDict[PublicKey, _Runs] = OrderedDict()
        self._own: tuple[Endpoint, float] | None = None
        self._claimed: tuple[Endpoint, float] | None = None
        self._told_at: float | None = None

    def note(self, key: PublicKey, stamp: Stamp, now: float) -> None:
        """Takes the stamp of an authentic message: a run that speaks again after its successor has a double."""
        if not stamp.boot:
            return
        runs = self._peers.setdefault(key, _Runs())
        self._peers.move_to_end(key)
        if len(self._peers) > PEERS_MAX:
            self._peers.popitem(last=False)
        newest = next(reversed(runs.last_at), stamp.boot)
        is_return = newest != stamp.boot and stamp.boot in runs.last_at
        if is_return and stamp.timestamp > max(runs.last_at[newest] - AFTERLIFE_S, runs.last_at[stamp.boot]):
            runs.returned_at = now
        runs.last_at[stamp.boot] = max(stamp.timestamp, runs.last_at.get(stamp.boot, 0))
        runs.last_at.move_to_end(stamp.boot)
        if len(runs.last_at) > RUNS_MAX:
            runs.last_at.popitem(last=False)

    def note_own(self, source: Endpoint, now: float) -> None:
        """Somebody else has proven to hold our key, from `source`."""
        self._own = (source, now)

    def note_claimed(self, source: Endpoint, now: float) -> None:
        """Somebody who knows the secret speaks in our name, from `source`, and proves nothing."""
        self._claimed = (source, now)

    def note_told(self, now: float) -> None:
        """A peer has told us that our key is there twice."""
        self._told_at = now

    def is_double(self, key: PublicKey, now: float) -> bool:
        runs = self._peers.get(key)
        return runs is not None and runs.returned_at is not None and now - runs.returned_at < FRESH_S

    def current(self, now: float) -> list[PublicKey]:
        """The peers that are there twice."""
        return [key for key in self._peers if self.is_double(key, now)]

    def own_notices(self, now: float) -> list[Notice]:
        """What the operator of this node should know."""
        if self._own is not None and now - self._own[1] < FRESH_S:
            problem = f"Another machine, at {self._own[0]}, has this node's key, as if the state was copied."
            advice = "Stop one of the two, and remove its identity file so that it makes a key of its own."
            return [Notice("duplicate-identity", f"{problem} {advice}")]
        found = []
        if self._told_at is not None and now - self._told_at < FRESH_S:
            problem = "A peer hears this node's key from two machines. That is the word of this peer alone."
            advice = "Find out whether this node's state directory, with its identity file, was copied."
            found.append(Notice("duplicate-identity", f"{problem} {advice}"))
        if self._claimed is not None and now - self._claimed[1] < FRESH_S:
            problem = f"Somebody who has the secret, it seems at {self._claimed[0]}, speaks in this node's name."
            advice = "It has not proven to hold this node's key, and nobody who can ask for that believes it."
            found.append(Notice("name-in-use", f"{problem} {advice}"))
        return found
