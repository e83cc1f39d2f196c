"""The sealed datagram that carries every message (protocol notes, section 5).

`{"type":..., "nonce":..., "ciphertext":...}`, AES-256-GCM without associated data. Because the type stands outside the
seal, a message is accepted only when its members fit its type (section 7.8), and when the copy of the type that our
own nodes put inside the seal agrees.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wgmesh.core.errors import MalformedMessage, NotSealed, StaleMessage, UnknownType
from wgmesh.core.keys.aes_gcm import AES_GCM, NotAuthentic
from wgmesh.core.wire.jsonstrict import Members, parse_json, to_json

# specification
PROTOCOL = "wgmesh-v1"
NONCE_BYTES = 12
TAG_BYTES = 16
FRESHNESS_S = 600
MAX_DATAGRAM_BYTES = 65_507  # the largest UDP payload over IPv4

# our choice
TYPE_MEMBER = "msg_type"  # the sealed copy of the type; Go nodes ignore it
MAX_TYPE_CHARACTERS = 32
# Anybody can make us parse the frame, and 64 KB of small values take a hundred times as long as 64 KB of ciphertext. A
# frame has two commas and one bracket; there is room for what a later version may add.
FRAME_COMMAS_MAX = 16
FRAME_BRACKETS_MAX = 4


class MessageType(StrEnum):
    """The types that this version knows. Others open too, and are for the caller to drop."""

    HELLO = "HELLO"
    REPLY = "REPLY"
    ANNOUNCE = "ANNOUNCE"
    GOODBYE = "GOODBYE"
    RENDEZVOUS_OFFER = "RENDEZVOUS_OFFER"
    RENDEZVOUS_START = "RENDEZVOUS_START"
    PROBE = "PROBE"
    PROBE_REPLY = "PROBE_REPLY"
    GOSSIP = "GOSSIP"


@dataclass(frozen=True, slots=True)
class _MemberRule:
    needed: frozenset[str]
    forbidden: frozenset[str] = frozenset()


_ANNOUNCEMENT = frozenset({"wg_pubkey", "mesh_ip", "wg_endpoint"})
_MEMBER_RULES = {
    MessageType.HELLO: _MemberRule(_ANNOUNCEMENT, frozenset({"observed_endpoint"})),
    MessageType.ANNOUNCE: _MemberRule(_ANNOUNCEMENT, frozenset({"observed_endpoint"})),
    MessageType.REPLY: _MemberRule(_ANNOUNCEMENT),
    MessageType.GOODBYE: _MemberRule(frozenset({"wg_pubkey"}), frozenset({"mesh_ip", "wg_endpoint", "known_peers"})),
    MessageType.RENDEZVOUS_OFFER: _MemberRule(
        frozenset({"from_pubkey", "target_pubkey", "pair_id"}), frozenset({"wg_pubkey"})
    ),
    MessageType.RENDEZVOUS_START: _MemberRule(
        frozenset({"peer_pubkey", "pair_id", "start_at_unix_ms"}), frozenset({"wg_pubkey"})
    ),
    MessageType.PROBE: _MemberRule(frozenset({TYPE_MEMBER, "token"})),
    MessageType.PROBE_REPLY: _MemberRule(frozenset({TYPE_MEMBER, "token", "wg_pubkey"})),
    MessageType.GOSSIP: _MemberRule(frozenset({TYPE_MEMBER, "wg_pubkey", "wgmesh"}), frozenset({"mesh_ip"})),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic, fresh message whose members fit its type."""

    type: str
    payload: Mapping[str, object] = field(repr=False)
    nonce: bytes
    timestamp: int

    @property
    def members(self) -> Members:
        return Members(self.payload)


def seal(message_type: str, payload: Mapping[str, object], key: bytes, nonce: bytes) -> bytes:
    """Returns the datagram. `payload` has its protocol and timestamp; the nonce must never repeat under one key.

    A GOODBYE keeps exactly its three members; its member set tells it apart without the sealed type.
    """
    return encrypt(message_type, plaintext_of(message_type, payload), key, nonce)


def plaintext_of(message_type: str, payload: Mapping[str, object]) -> bytes:
    """Returns the bytes that `seal` encrypts."""
    if message_type == MessageType.GOODBYE:
        return to_json(payload)
    return to_json({**payload, TYPE_MEMBER: str(message_type)})


def encrypt(message_type: str, plaintext: bytes, key: bytes, nonce: bytes) -> bytes:
    """Returns the datagram for a plaintext that is JSON already."""
    ciphertext = AES_GCM.seal(plaintext, key, nonce)
    return b'{"type":"%s","nonce":"%s","ciphertext":"%s"}' % (
        str(message_type).encode("ascii"),
        b64encode(nonce),
        b64encode(ciphertext),
    )


def plaintext_room(message_type: str, datagram_bytes: int) -> int:
    """Returns the length of the longest plaintext whose datagram has at most `datagram_bytes`; base64 is counted."""
    frame = len('{"type":"","nonce":"","ciphertext":""}') + len(message_type) + len(b64encode(bytes(NONCE_BYTES)))
    return (datagram_bytes - frame) // 4 * 3 - TAG_BYTES


def nonce_of(datagram: bytes) -> bytes:
    """Returns the nonce of a datagram that `encrypt` made."""
    return binascii.a2b_base64(datagram.split(b'"', 8)[7])


def open_envelope(datagram: bytes, key: bytes, now: float) -> Opened:
    """Opens a datagram received at `now` (Unix seconds). Raises MalformedMessage with a stable reason.

    Replays within the 600 s window open again; remembering nonces is the caller's part.
    """
    envelope = _frame(datagram)
    message_type = envelope.text("type")
    if not message_type.isascii() or not message_type.isprintable() or len(message_type) > MAX_TYPE_CHARACTERS:
        raise UnknownType("type: not a short word")
    nonce = _from_base64("nonce", envelope.text("nonce"))
    if len(nonce) != NONCE_BYTES:
        raise MalformedMessage(f"nonce: not {NONCE_BYTES} bytes")
    try:
        plaintext = AES_GCM.open(_from_base64("ciphertext", envelope.text("ciphertext")), key, nonce)
    except NotAuthentic:
        raise NotSealed("not sealed with this mesh's key") from None
    payload = parse_json(plaintext, MAX_DATAGRAM_BYTES)
    members = Members(payload)
    timestamp = _fresh_timestamp(members, now)
    _check_type(message_type, members)
    assert isinstance(payload, dict)
    return Opened(message_type, payload, nonce, timestamp)


def _frame(datagram: bytes) -> Members:
    brackets = datagram.count(b"{") + datagram.count(b"[")
    if brackets > FRAME_BRACKETS_MAX or datagram.count(b",") > FRAME_COMMAS_MAX:
        raise MalformedMessage("not an envelope")
    return Members(parse_json(datagram, MAX_DATAGRAM_BYTES))


def _fresh_timestamp(members: Members, now: float) -> int:
    if members.text("protocol") != PROTOCOL:
        raise MalformedMessage(f"protocol: not {PROTOCOL}")
    timestamp = members.integer("timestamp")
    if now - timestamp > FRESHNESS_S:
        raise StaleMessage("timestamp: too old", timestamp - now)
    if timestamp > now + FRESHNESS_S:
        raise StaleMessage("timestamp: in the future", timestamp - now)
    return timestamp


def _check_type(message_type: str, members: Members) -> None:
    sealed_type = members.text(TYPE_MEMBER)
    if sealed_type and sealed_type != message_type:
        raise UnknownType("type: not the one that was sealed")
    rule = _MEMBER_RULES.get(MessageType(message_type)) if message_type in _KNOWN_TYPES else None
    if rule is None:
        return
    if not all(name in members for name in rule.needed) or any(name in members for name in rule.forbidden):
        raise UnknownType("type: the members do not fit it")
    # Every current Go node sends observed_endpoint in a REPLY. Ours may leave it out, but then the type is sealed.
    if message_type == MessageType.REPLY and not sealed_type and "observed_endpoint" not in members:
        raise UnknownType("type: the members do not fit it")


_KNOWN_TYPES = frozenset(MessageType)


def _from_base64(name: str, text: str) -> bytes:
    """Standard alphabet with padding; line breaks are tolerated, as Go does."""
    try:
        return binascii.a2b_base64(text.replace("\r", "").replace("\n", "").encode("ascii"), strict_mode=True)
    except ValueError:
        raise MalformedMessage(f"{name}: not base64") from None
