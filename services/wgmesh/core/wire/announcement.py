"""What nodes tell about themselves and each other: HELLO, REPLY, ANNOUNCE, GOODBYE (protocol notes, 6 and 7.7).

Decoding is strict about the sender and lenient about its lists: a bad field of the sender refuses the message, a bad
route or known peer is dropped alone, with a reason. What this version adds lies in one member, `wgmesh`, which Go nodes
ignore.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.keys.possession import PROOF_BYTES
from wgmesh.core.model import Endpoint, IPNetwork, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint, parse_advertised_endpoint
from wgmesh.core.wire.envelope import PROTOCOL, TYPE_MEMBER, plaintext_of, plaintext_room
from wgmesh.core.wire.jsonstrict import Members, to_json
from wgmesh.core.wire.wirefield import (
    MAX_KNOWN_PEERS,
    MAX_ROUTABLE_NETWORKS,
    parse_endpoint,
    parse_hostname,
    parse_mesh_ipv4,
    parse_mesh_ipv6,
    parse_nat_type,
    parse_network,
    parse_public_key,
    parse_revision,
    wire_hostname,
)

# our choice
EXTENSION_MEMBER = "wgmesh"
EXTENSION_VERSION = 1
DATAGRAM_BUDGET_BYTES = 1200  # with IPv6 and UDP headers below the 1280 bytes that every path carries unfragmented
MAX_CANDIDATES = 16
MAX_KNOWN_CANDIDATES = 4  # hearsay needs one address that works; the peer itself tells the rest
BOOT_BYTES = 8
ECHO_BYTES = 8  # nobody guesses them within the seconds in which a HELLO waits for its answer

_BOOT = re.compile(rf"[0-9a-f]{{{2 * BOOT_BYTES}}}")
_PROOF = re.compile(rf"(?:[0-9a-f]{{{2 * PROOF_BYTES}}})?")
_ECHO = re.compile(rf"(?:[0-9a-f]{{{2 * ECHO_BYTES}}})?")
_TRACEPARENT = re.compile(r"(?:[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?")  # W3C Trace Context, 3.2

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class KnownPeer:
    """One entry of the list of peers that a sender knows. `age_s` is the time since the sender heard it directly.

    Only our own gossip has the last three: the peer's own revision of what it says of itself, further addresses, and
    where it listens where that is not the mesh's own exchange port.
    """

    public_key: PublicKey
    mesh_ipv4: ipaddress.IPv4Address
    mesh_ipv6: ipaddress.IPv6Address | None = None
    hostname: str = ""
    endpoint: AdvertisedEndpoint | None = None
    introducer: bool = False
    nat_type: str = ""
    age_s: int | None = None
    revision: int | None = None
    candidates: tuple[Endpoint, ...] = ()
    exchange_port: int | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """What only our own nodes say.

    `boot` names the run of the sender's process and `sequence` grows with every message in it, so that an old message
    never undoes a newer one. `candidates` are all addresses of the sender's WireGuard port, best first. `exchange_port`
    is where the sender listens, None where that is the mesh's own exchange port. `revision` grows with every change of
    what the sender says of itself. `proof` shows to one recipient that the sender holds its private key: an HMAC of all
    the rest of the message under the key that the two agree on (core/keys/possession.py), empty where there is none.
    `double` tells the recipient that two machines speak with its key. `echo` repeats in a REPLY the beginning of the
    HELLO's nonce, which only who received the HELLO can know.
    """

    boot: bytes
    sequence: int
    candidates: tuple[Endpoint, ...] = ()
    traceparent: str = ""
    exchange_port: int | None = None
    revision: int = 0
    proof: bytes = b""
    double: bool = False
    echo: bytes = b""
    version: int = EXTENSION_VERSION


@dataclass(frozen=True, slots=True)
class Announcement:
    """The payload of HELLO, REPLY and ANNOUNCE. Only a REPLY has `observed_endpoint`."""

    public_key: PublicKey
    mesh_ipv4: ipaddress.IPv4Address
    mesh_ipv6: ipaddress.IPv6Address | None = None
    hostname: str = ""
    endpoint: AdvertisedEndpoint | None = None
    introducer: bool = False
    routable_networks: tuple[IPNetwork, ...] = ()
    nat_type: str = ""
    known_peers: tuple[KnownPeer, ...] = ()
    observed_endpoint: Endpoint | None = None
    extension: Extension | None = None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The payload of GOODBYE: the peer with this key leaves. Upstream's has no extension."""

    public_key: PublicKey
    extension: Extension | None = None


@dataclass(frozen=True, slots=True)
class DecodedAnnouncement:
    """An announcement, and why parts of it were left out."""

    announcement: Announcement
    dropped: tuple[str, ...] = ()


def encode_announcement(announcement: Announcement, timestamp: int) -> dict[str, object]:
    """Returns the payload for `seal`. It passes the validation of every node, whatever the host name holds."""
    return {
        "protocol": PROTOCOL,
        "wg_pubkey": announcement.public_key.text,
        **_description(announcement),
        **_unless_empty("routable_networks", [str(n) for n in announcement.routable_networks[:MAX_ROUTABLE_NETWORKS]]),
        "timestamp": timestamp,
        **_unless_empty("known_peers", [encode_known_peer(peer) for peer in announcement.known_peers]),
        **_unless_empty("observed_endpoint", str(announcement.observed_endpoint or "")),
        **_unless_empty(EXTENSION_MEMBER, encode_extension(announcement.extension)),
    }


def decode_announcement(payload: Mapping[str, object]) -> DecodedAnnouncement:
    """Decodes the payload of an opened HELLO, REPLY or ANNOUNCE. Raises MalformedMessage for a bad sender field."""
    members = Members(payload)
    dropped: list[str] = []
    announcement = Announcement(
        public_key=parse_public_key("wg_pubkey", members.text("wg_pubkey")),
        mesh_ipv4=parse_mesh_ipv4("mesh_ip", members.text("mesh_ip")),
        mesh_ipv6=parse_mesh_ipv6("mesh_ipv6", members.text("mesh_ipv6")),
        hostname=parse_hostname("hostname", members.text("hostname")),
        endpoint=parse_advertised_endpoint("wg_endpoint", members.text("wg_endpoint")),
        introducer=members.flag("introducer"),
        nat_type=parse_nat_type(members.text("nat_type")),
        routable_networks=_each(members, "routable_networks", MAX_ROUTABLE_NETWORKS, _decode_network, dropped),
        known_peers=_each(members, "known_peers", MAX_KNOWN_PEERS, decode_known_peer, dropped),
        observed_endpoint=_optional(members, "observed_endpoint", _decode_endpoint, dropped),
        extension=_optional(members, EXTENSION_MEMBER, decode_extension, dropped),
    )
    return DecodedAnnouncement(announcement, tuple(dropped))


def encode_goodbye(goodbye: Goodbye, timestamp: int) -> dict[str, object]:
    """Returns the payload for `seal`: upstream's three members, and ours."""
    return {
        "protocol": PROTOCOL,
        "timestamp": timestamp,
        "wg_pubkey": goodbye.public_key.text,
        **_unless_empty(EXTENSION_MEMBER, encode_extension(goodbye.extension)),
    }


def decode_goodbye(payload: Mapping[str, object]) -> Goodbye:
    """Decodes the payload of an opened GOODBYE. Raises MalformedMessage."""
    members = Members(payload)
    return Goodbye(
        parse_public_key("wg_pubkey", members.text("wg_pubkey")),
        _optional(members, EXTENSION_MEMBER, decode_extension, []),
    )


def transcript_of(payload: Mapping[str, object]) -> bytes:
    """Returns what a proof of possession covers: the payload of a message, all but the proof itself.

    It is the same on both sides, since JSON of texts, integers, lists and objects survives parsing unchanged.
    """
    extension = payload.get(EXTENSION_MEMBER)
    bare = {name: item for name, item in extension.items() if name != "proof"} if isinstance(extension, dict) else None
    return to_json({**payload, EXTENSION_MEMBER: bare, TYPE_MEMBER: None})


def with_proof(payload: Mapping[str, object], proof: bytes) -> dict[str, object]:
    """Returns the payload with its proof of possession. It must have our extension."""
    extension = payload[EXTENSION_MEMBER]
    assert isinstance(extension, dict)
    return {**payload, EXTENSION_MEMBER: {**extension, "proof": proof.hex()}}


def fit_known_peers(
    message_type: str,
    announcement: Announcement,
    known_peers: Iterable[KnownPeer],
    budget: int = DATAGRAM_BUDGET_BYTES,
) -> Announcement:
    """Returns the announcement with as many known peers, in the given order, as keep its datagram within the budget.

    An entry that does not fit is passed over for a later, shorter one. Receivers merge lists, so parts are enough.
    """
    bare = replace(announcement, known_peers=())
    payload = encode_announcement(bare, timestamp=10**9)  # every time until 2286 has as many digits
    room = plaintext_room(message_type, budget)
    room -= len(plaintext_of(message_type, payload)) + len(',"known_peers":[]')
    chosen: list[KnownPeer] = []
    for peer in known_peers:
        size = len(to_json(encode_known_peer(peer))) + (len(",") if chosen else 0)
        if size <= room and len(chosen) < MAX_KNOWN_PEERS:
            chosen.append(peer)
            room -= size
    return replace(bare, known_peers=tuple(chosen))


def _description(entry: Announcement | KnownPeer) -> dict[str, object]:
    """The members that an announcement and a known peer share."""
    return {
        **_unless_empty("hostname", wire_hostname(entry.hostname)),
        "mesh_ip": str(entry.mesh_ipv4),
        **_unless_empty("mesh_ipv6", str(entry.mesh_ipv6 or "")),
        "wg_endpoint": str(entry.endpoint or ""),
        **_unless_empty("introducer", entry.introducer),
        **_unless_empty("nat_type", entry.nat_type),
    }


def encode_known_peer(peer: KnownPeer) -> dict[str, object]:
    return {
        "wg_pubkey": peer.public_key.text,
        **_description(peer),
        **({} if peer.age_s is None else {"age": peer.age_s}),
        **({} if peer.revision is None else {"rev": peer.revision}),
        **_unless_empty("candidates", [str(candidate) for candidate in peer.candidates[:MAX_KNOWN_CANDIDATES]]),
        **_unless_empty("exchange_port", peer.exchange_port),
    }


def decode_known_peer(value: object) -> KnownPeer:
    members = Members(value)
    return KnownPeer(
        public_key=parse_public_key("wg_pubkey", members.text("wg_pubkey")),
        mesh_ipv4=parse_mesh_ipv4("mesh_ip", members.text("mesh_ip")),
        mesh_ipv6=parse_mesh_ipv6("mesh_ipv6", members.text("mesh_ipv6")),
        hostname=parse_hostname("hostname", members.text("hostname")),
        endpoint=parse_advertised_endpoint("wg_endpoint", members.text("wg_endpoint")),
        introducer=members.flag("introducer"),
        nat_type=parse_nat_type(members.text("nat_type")),
        age_s=_natural(members, "age") if "age" in members else None,
        revision=_revision(members) if "rev" in members else None,
        candidates=_each(members, "candidates", MAX_KNOWN_CANDIDATES, _decode_endpoint, []),
        exchange_port=_port(members, "exchange_port") if "exchange_port" in members else None,
    )


def encode_extension(extension: Extension | None) -> dict[str, object]:
    if extension is None:
        return {}
    return {
        "v": extension.version,
        "boot": extension.boot.hex(),
        "seq": extension.sequence,
        **_unless_empty("candidates", [str(candidate) for candidate in extension.candidates[:MAX_CANDIDATES]]),
        **_unless_empty("traceparent", extension.traceparent),
        **_unless_empty("exchange_port", extension.exchange_port),
        **_unless_empty("rev", extension.revision),
        **_unless_empty("double", extension.double),
        **_unless_empty("echo", extension.echo.hex()),
        **_unless_empty("proof", extension.proof.hex()),
    }


def decode_extension(value: object) -> Extension:
    members = Members(value)
    boot = members.text("boot")
    if not _BOOT.fullmatch(boot):
        raise MalformedMessage("boot: not a boot id")
    traceparent = members.text("traceparent")
    if not _TRACEPARENT.fullmatch(traceparent):
        raise MalformedMessage("traceparent: not a trace context")
    return Extension(
        boot=bytes.fromhex(boot),
        sequence=_natural(members, "seq"),
        candidates=_each(members, "candidates", MAX_CANDIDATES, _decode_endpoint, []),
        traceparent=traceparent,
        exchange_port=_port(members, "exchange_port") if "exchange_port" in members else None,
        revision=_revision(members) if "rev" in members else 0,
        proof=_proof(members.text("proof")),
        double=members.flag("double"),
        echo=_echo(members.text("echo")),
        version=_natural(members, "v"),
    )


def _proof(text: str) -> bytes:
    if not _PROOF.fullmatch(text):
        raise MalformedMessage("proof: not a proof of possession")
    return bytes.fromhex(text)


def _echo(text: str) -> bytes:
    if not _ECHO.fullmatch(text):
        raise MalformedMessage("echo: not the beginning of a nonce")
    return bytes.fromhex(text)


def _decode_network(value: object) -> IPNetwork:
    return parse_network("network", _text(value))


def _decode_endpoint(value: object) -> Endpoint:
    return parse_endpoint("endpoint", _text(value))


def _each(
    members: Members, name: str, limit: int, decode: Callable[[object], ItemT], dropped: list[str]
) -> tuple[ItemT, ...]:
    """Decodes up to `limit` items of an array; those that are wrong are dropped singly and recorded."""
    items = members.items(name)
    decoded: list[ItemT] = []
    for item in items[:limit]:
        try:
            decoded.append(decode(item))
        except MalformedMessage as error:
            dropped.append(f"{name}: {error}")
    if len(items) > limit:
        dropped.append(f"{name}: more than {limit}")
    return tuple(decoded)


def _optional(members: Members, name: str, decode: Callable[[object], ItemT], dropped: list[str]) -> ItemT | None:
    """Decodes a member that the message can do without; a wrong one is dropped and recorded."""
    value = members.get(name)
    if value is None or value == "":
        return None
    try:
        return decode(value)
    except MalformedMessage as error:
        dropped.append(f"{name}: {error}")
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedMessage("not a string")
    return value


def _natural(members: Members, name: str) -> int:
    value = members.integer(name)
    if value < 0:
        raise MalformedMessage(f"{name}: negative")
    return value


def _revision(members: Members) -> int:
    return parse_revision("rev", members.integer("rev"))


def _port(members: Members, name: str) -> int:
    value = members.integer(name)
    if not 1 <= value <= 65535:
        raise MalformedMessage(f"{name}: not a port")
    return value


def _unless_empty(name: str, value: object) -> dict[str, object]:
    return {name: value} if value else {}
