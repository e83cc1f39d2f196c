"""Whether somebody who speaks in our own name holds our key: it is asked to prove it.

A copy of this node has our private key, so it can agree with our public key as we can: the key that comes of it is one
that nobody else has. Both machines send a HELLO that is proven under it, so both learn of the other.
"""

from __future__ import annotations

from wgmesh.core.keys.possession import verify
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.announcement import Announcement
from wgmesh.core.wire.envelope import MessageType
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.members.record import NEVER
from wgmesh.discovery.messages.inbox import Message
from wgmesh.discovery.messages.pair_keys import PairKeys
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own

QUESTION_GAP_S = 10.0  # who forges our name and a source makes us send one datagram this often


class OwnKey:
    """Asks for the proof, and checks it."""

    def __init__(
        self, own: Own, announcer: Announcer, members: Membership, pair_keys: PairKeys, outbox: Outbox
    ) -> None:
        self._own = own
        self._announcer = announcer
        self._members = members
        self._pair_keys = pair_keys
        self._outbox = outbox
        self._asked_at = NEVER

    def is_proven(self, message: Message) -> bool:
        """Whether a message in our own name comes from who holds our key."""
        key = self._own.key
        pair_key = self._pair_keys.get(key) if message.proof else None
        return pair_key is not None and verify(message.proof, pair_key, str(message.type), key, key, message.transcript)

    def ask(self, message: Message, source: Endpoint, now: float) -> None:
        """Shows who speaks in our name, at `source`, that we hold the key, so that it may show the same."""
        body = message.body
        if not isinstance(body, Announcement) or now - self._asked_at < QUESTION_GAP_S:
            return
        self._pair_keys.want(self._own.key)
        if self._pair_keys.get(self._own.key) is None:
            return  # it announces itself again
        self._asked_at = now
        is_unicast = message.type is MessageType.HELLO
        to = source if is_unicast else Endpoint(source.host, self._members.exchange_port_in(body))
        self._outbox.send(Transmit(self._announcer.hello(to, now, recipient=self._own.key), to))
