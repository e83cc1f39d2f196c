"""What discovery tells the operator beyond the state of its layers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from wgmesh.core.model import Endpoint, Notice, PublicKey
from wgmesh.core.wire.rendezvous import Offer, Start
from wgmesh.discovery.diagnosis.clock_skew import ClockSkew
from wgmesh.discovery.diagnosis.duplicate_keys import AFTERLIFE_S, DuplicateKeys
from wgmesh.discovery.diagnosis.key_use import KeyUse
from wgmesh.discovery.diagnosis.own_key import OwnKey
from wgmesh.discovery.members.record import NEVER
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.messages.inbox import Message, Rejected
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own

NAMED_MAX = 5  # a notice is one line
REFRESH_S = 5.0  # what the operator should know is not worth a look at each datagram


class Diagnosis:
    """Watches the messages for signs of trouble, and keeps the notices as they stand."""

    def __init__(
        self,
        own: Own,
        own_key: OwnKey,
        table: PeerTable,
        duplicate_keys: DuplicateKeys,
        outbox: Outbox,
        sealed_count: Callable[[], int],
    ) -> None:
        """`sealed_count` is how many messages were sealed with the mesh's key."""
        self._own_key = own_key
        self._own = own
        self._table = table
        self._duplicate_keys = duplicate_keys
        self._clock_skew = ClockSkew()
        self._outbox = outbox
        self._sealed_count = sealed_count
        self.key_use = KeyUse()
        self._looked_at = NEVER
        self.storage_problem = ""
        """What keeps the state directory from taking files, as one sentence."""
        self.notices: tuple[Notice, ...] = ()

    def note(self, message: Message, now: float) -> None:
        """Takes a message whose sender has proven that it speaks for itself."""
        # whole seconds on the wire: half of one is what was cut off on average
        self._clock_skew.note(message.sender, message.stamp.timestamp + 0.5 - self._own.wall.at(now), now)
        self._duplicate_keys.note(message.sender, message.stamp, now)
        extension = None if isinstance(message.body, Offer | Start) else message.body.extension
        if extension is not None and extension.double:
            self._duplicate_keys.note_told(now)

    def note_accepted(self, source: Endpoint) -> None:
        """Takes it that something from there was not refused."""
        self._clock_skew.note_accepted(source)

    def note_rejected(self, rejected: Rejected, source: Endpoint, now: float) -> None:
        """Takes what was refused: that too may tell something of this node."""
        if rejected.offset_s is not None:
            self._clock_skew.note_refused(source, rejected.offset_s, now)
        message = rejected.message
        if message is None or not message.is_native or message.stamp.boot == self._own.boot:
            return
        if message.stamp.timestamp > self._own.wall.at(self._own.started_at) + AFTERLIFE_S:  # not of our own last run
            if self._own_key.is_proven(message):
                self._duplicate_keys.note_own(source, now)
            else:
                self._duplicate_keys.note_claimed(source, now)
            self._own_key.ask(message, source, now)

    def clock_set(self, by_s: float) -> None:
        """Our clock was set. What that changes is told with the next look, which is due at once."""
        self._clock_skew.clock_set(by_s)
        self._looked_at = NEVER

    def is_clock_confirmed(self, now: float) -> bool:
        """Whether others' clocks bear ours out."""
        return self._clock_skew.is_confirmed(now)

    def settle(self, now: float) -> None:
        """Looks again if it is time, and publishes what has changed."""
        if now - self._looked_at < REFRESH_S:
            return
        self._looked_at = now
        self.key_use.note(self._sealed_count(), self._table.proven_count(now))
        found = tuple(self._found(now))
        if found != self.notices:
            self.notices = found
            self._outbox.publish()

    def _found(self, now: float) -> list[Notice]:
        found: list[Notice] = []
        found += self._duplicate_keys.own_notices(now)
        if doubled := self._names(self._duplicate_keys.current(now)):
            problem = "two machines have this key, as if a state directory was copied"
            advice = "remove the identity file of one of them"
            found.append(Notice("duplicate-peer", f"{doubled}: {problem}; {advice}."))
        if sentence := self._clock_skew.sentence(now):
            found.append(Notice("clock-skew", sentence))
        if late := self._names(self._clock_skew.peers_off(now)):
            found.append(Notice("peer-clock-skew", f"{late}: the clock there is wrong; set it, for example with NTP."))
        if self.storage_problem:
            found.append(Notice("state-not-kept", self.storage_problem))
        for host, offset_s in islice(self._clock_skew.refused(now).items(), NAMED_MAX):
            problem = f"Messages from {host} are refused: their times are about {abs(offset_s):.0f} s"
            direction = "ahead of" if offset_s > 0 else "behind"
            advice = "Compare the clock there, for example with NTP. Nothing proves that they are no recordings."
            found.append(Notice("refused-clock", f"{problem} {direction} ours. {advice}"))
        if sentence := self.key_use.sentence():
            found.append(Notice("key-use", sentence))
        return found

    def _names(self, keys: list[PublicKey]) -> str:
        names = []
        for key in sorted(keys)[:NAMED_MAX]:
            record = self._table.get(key)
            names.append((record.facts.hostname if record is not None else "") or key.short)
        return ", ".join(names)
