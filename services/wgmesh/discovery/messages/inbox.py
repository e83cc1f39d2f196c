"""From a datagram to a message or a question that may be acted upon, or to the word why not.

In order of cost: a glance at the bytes, the rate of the source, the seal, the sender's own rate (a question has no
sender but its address), the memory of nonces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum

from wgmesh.core.clock import WallClock
from wgmesh.core.errors import MalformedMessage, NotSealed, StaleMessage, UnknownType
from wgmesh.core.model import Endpoint, IPAddress, PublicKey
from wgmesh.core.wire.announcement import (
    Announcement,
    Extension,
    Goodbye,
    decode_announcement,
    decode_goodbye,
    transcript_of,
)
from wgmesh.core.wire.envelope import MessageType, Opened, open_envelope
from wgmesh.core.wire.gossip_message import Gossip, decode_gossip
from wgmesh.core.wire.probe import Probe, decode_probe
from wgmesh.core.wire.rendezvous import Offer, Start, decode_offer, decode_start
from wgmesh.discovery.bounds import NONCES_MAX
from wgmesh.discovery.messages.rate_limits import RateLimits
from wgmesh.discovery.messages.replay import NonceMemory, Novelty, Stamp


class Rejection(StrEnum):
    """Why a datagram was dropped. The words label a counter, so there are few."""

    NOT_OURS = "not-ours"
    RATE_LIMITED = "rate-limited"
    UNDECRYPTABLE = "undecryptable"
    MALFORMED = "malformed"
    STALE = "stale"
    TYPE = "type"
    REPLAYED = "replayed"
    OWN = "own"
    UNEXPECTED = "unexpected"
    UNSOLICITED = "unsolicited"
    OFF_LINK = "off-link"
    UNKNOWN_SENDER = "unknown-sender"
    BANNED = "banned"
    UNPROVEN = "unproven"


class Rejected(Exception):
    """Carries the reason out of the depth of a handler. Never leaves the package.

    `message` is there where it was opened all the same; `offset_s` where only its time was wrong: how far it is ahead.
    """

    def __init__(self, reason: Rejection, message: Message | None = None, offset_s: float | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.message = message
        self.offset_s = offset_s


Body = Announcement | Goodbye | Gossip | Offer | Start


@dataclass(frozen=True, slots=True)
class Message:
    """An authentic message of another member.

    The seal proves the mesh's secret only. `proof` is the sender's claim to hold the private key of `sender`, made over
    `transcript`; both are empty where it makes none.
    """

    type: MessageType
    sender: PublicKey
    body: Body
    stamp: Stamp
    novelty: Novelty
    is_native: bool = False
    proof: bytes = b""
    transcript: bytes = b""
    nonce: bytes = b""


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came: its bytes on the wire, from where, and through which socket ("" is the exchange's)."""

    message: Message
    size: int
    source: Endpoint
    channel: str = ""


def _decode_announcement(payload: Mapping[str, object]) -> Announcement:
    return decode_announcement(payload).announcement


_DECODERS: dict[MessageType, Callable[[Mapping[str, object]], Body]] = {
    MessageType.HELLO: _decode_announcement,
    MessageType.REPLY: _decode_announcement,
    MessageType.ANNOUNCE: _decode_announcement,
    MessageType.GOODBYE: decode_goodbye,
    MessageType.GOSSIP: decode_gossip,
    MessageType.RENDEZVOUS_OFFER: decode_offer,
    MessageType.RENDEZVOUS_START: decode_start,
}


class Inbox:
    """Opens what arrives."""

    def __init__(
        self,
        wall: WallClock,
        gossip_key: bytes,
        banned: AbstractSet[PublicKey] = frozenset(),
        nonces_max: int = NONCES_MAX,
    ) -> None:
        """`banned` may change: it is looked at with each message."""
        self._wall = wall
        self._gossip_key = gossip_key
        self._rates = RateLimits()
        self._banned = banned
        self._nonces = NonceMemory(nonces_max)

    @property
    def nonce_count(self) -> int:
        """How many nonces are remembered."""
        return len(self._nonces)

    def trust(self, host: IPAddress, until: float) -> None:
        """Lets an address pay apart from strangers until then; see RateLimits."""
        self._rates.trust(host, until)

    def glance(self, data: bytes, host: IPAddress, now: float) -> Rejection | None:
        """Why a datagram is not worth opening; None where it is, and then it has been paid for.

        Floods end here, so nothing is raised and nothing is made.
        """
        if not self._rates.looks_like_envelope(data):
            return Rejection.NOT_OURS
        return None if self._rates.admits_source(host, now, len(data)) else Rejection.RATE_LIMITED

    def open(self, data: bytes, source: Endpoint, own_key: PublicKey, now: float) -> Message | Probe:
        """Opens one datagram that is worth it. Raises Rejected."""
        try:
            opened = open_envelope(data, self._gossip_key, self._wall.at(now))
            content = decode_probe(opened.payload) if opened.type == MessageType.PROBE else _decode(opened)
        except StaleMessage as error:
            raise Rejected(Rejection.STALE, offset_s=error.offset_s) from None
        except MalformedMessage as error:
            raise Rejected(_reason(error)) from None
        if isinstance(content, Probe):
            return self._question(content, opened, source, now)
        if content.sender == own_key:
            raise Rejected(Rejection.OWN, content)
        if content.sender in self._banned:
            raise Rejected(Rejection.BANNED)
        novelty = self._novelty(content.sender, opened.nonce, source, now)
        return replace(content, novelty=novelty, nonce=opened.nonce)

    def _novelty(self, sender: PublicKey, nonce: bytes, source: Endpoint, now: float) -> Novelty:
        """A message that was captured may be repeated, but not at the cost of what its member may say."""
        novelty = self._nonces.look(nonce, source, now)
        if novelty is Novelty.REPLAYED:
            raise Rejected(Rejection.REPLAYED)
        admits = self._rates.admits_member if novelty is Novelty.NEW else self._rates.admits_repeat
        if not admits(sender, source.host, now):
            raise Rejected(Rejection.RATE_LIMITED)
        return self._nonces.judge(nonce, source, now)

    def _question(self, probe: Probe, opened: Opened, source: Endpoint, now: float) -> Probe:
        """Each is answered once: a node that asks again seals a new one."""
        if not self._rates.admits_probe(source.host, now):
            raise Rejected(Rejection.RATE_LIMITED)
        if self._nonces.judge(opened.nonce, source, now) is not Novelty.NEW:
            raise Rejected(Rejection.REPLAYED)
        return probe


def _decode(opened: Opened) -> Message:
    if opened.type == MessageType.PROBE_REPLY:
        raise Rejected(Rejection.UNSOLICITED)  # a running node asks with a HELLO
    if opened.type not in _DECODERS:
        raise Rejected(Rejection.TYPE)  # of a later version, or of another service
    body = _DECODERS[MessageType(opened.type)](opened.payload)
    message = Message(MessageType(opened.type), _sender(body), body, Stamp(opened.timestamp), Novelty.NEW)
    extension = None if isinstance(body, Offer | Start) else body.extension
    return message if extension is None else _native(message, extension, opened)


def _sender(body: Body) -> PublicKey:
    """Who is said to speak. A START without an introducer's name is put down to the peer that it tells of."""
    match body:
        case Offer():
            return body.requester
        case Start():
            return body.introducer or body.peer
        case _:
            return body.public_key


def _native(message: Message, extension: Extension, opened: Opened) -> Message:
    return replace(
        message,
        stamp=Stamp(opened.timestamp, extension.boot, extension.sequence),
        is_native=True,
        proof=extension.proof,
        transcript=transcript_of(opened.payload) if extension.proof else b"",
    )


def _reason(error: MalformedMessage) -> Rejection:
    match error:
        case NotSealed():
            return Rejection.UNDECRYPTABLE
        case UnknownType():
            return Rejection.TYPE
        case _:
            return Rejection.MALFORMED
