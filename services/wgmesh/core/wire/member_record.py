"""A member's own record in a DHT: how it can be reached, sealed so that only members can read or write one.

A member that finds an address of the mesh reads there who it belongs to and where else to try, without one packet
getting through that member's NAT first. Two members that have met read each other's where nobody else can write. Either
is a hint: what it says counts only once the member itself has answered.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

from wgmesh.core.errors import MalformedMessage, NotSealed
from wgmesh.core.keys.aes_gcm import AES_GCM, NotAuthentic
from wgmesh.core.model import Endpoint, IPAddress, PublicKey
from wgmesh.core.wire.jsonstrict import Members, parse_json, to_json
from wgmesh.core.wire.wirefield import (
    parse_endpoint,
    parse_hostname,
    parse_mesh_ipv4,
    parse_nat_type,
    parse_public_key,
    parse_revision,
    wire_hostname,
)

# specification
RECORD_VERSION = 1
RECORD_BYTES_MAX = 900  # BEP 44 allows 1000 with its own framing; 900 were seen to be kept by all
NONCE_BYTES = 12
TAG_BYTES = 16
HOSTNAME_MAX = 63  # one DNS label
ENDPOINTS_MAX = 8
# A record is renewed twice an hour, and its key lives for the hour and the next: an older one is a recording.
LIFETIME_S = 2 * 3600
SKEW_S = 600  # as envelopes: a clock that is further ahead is wrong


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """What a member says of itself. `issued_at` is in Unix seconds of its own clock; `revision` as in announcements.

    `exchanges` are addresses of its exchange socket and `candidates` of its WireGuard port, best first.
    """

    public_key: PublicKey
    mesh_ipv4: ipaddress.IPv4Address
    issued_at: int
    revision: int
    exchanges: tuple[Endpoint, ...] = ()
    candidates: tuple[Endpoint, ...] = ()
    hostname: str = ""
    nat_type: str = ""
    introducer: bool = False

    def hosts(self) -> set[IPAddress]:
        """The hosts that it names."""
        return {endpoint.host for endpoint in (*self.exchanges, *self.candidates)}

    @property
    def version(self) -> tuple[int, int]:
        """What is greater in a newer record of the same member."""
        return self.revision, self.issued_at


def seal_record(record: MemberRecord, key: bytes, place: bytes, nonce: bytes) -> bytes:
    """Returns at most 900 bytes; addresses that do not fit are left out, the last first.

    `place` is where the record will lie: read from elsewhere it does not open. The nonce must never repeat.
    """
    while True:
        plaintext = to_json(_encode(record))
        if 1 + NONCE_BYTES + len(plaintext) + TAG_BYTES <= RECORD_BYTES_MAX:
            return bytes((RECORD_VERSION,)) + nonce + AES_GCM.seal(plaintext, key, nonce, place)
        if len(record.candidates) >= len(record.exchanges):
            record = replace(record, candidates=record.candidates[:-1])
        else:
            record = replace(record, exchanges=record.exchanges[:-1])


def open_record(data: bytes, key: bytes, place: bytes, now: float) -> MemberRecord:
    """Opens a record found at `place` at `now` (Unix seconds). Raises MalformedMessage with a stable reason."""
    if not 1 + NONCE_BYTES + TAG_BYTES < len(data) <= RECORD_BYTES_MAX or data[0] != RECORD_VERSION:
        raise MalformedMessage("not a record of this version")
    nonce, ciphertext = data[1 : 1 + NONCE_BYTES], data[1 + NONCE_BYTES :]
    try:
        plaintext = AES_GCM.open(ciphertext, key, nonce, place)
    except NotAuthentic:
        raise NotSealed("not sealed with this mesh's key, for this hour and this place") from None
    record = _decode(Members(parse_json(plaintext, RECORD_BYTES_MAX)))
    if not -LIFETIME_S <= record.issued_at - now <= SKEW_S:
        raise MalformedMessage("issued_at: not of these two hours")
    return record


def _encode(record: MemberRecord) -> dict[str, object]:
    members: dict[str, object] = {
        "key": record.public_key.text,
        "ip": str(record.mesh_ipv4),
        "at": record.issued_at,
        "rev": record.revision,
        "exchanges": [str(each) for each in record.exchanges[:ENDPOINTS_MAX]],
        "candidates": [str(each) for each in record.candidates[:ENDPOINTS_MAX]],
        "name": wire_hostname(record.hostname)[:HOSTNAME_MAX],
        "nat": record.nat_type,
        "introducer": record.introducer,
    }
    return {name: value for name, value in members.items() if value or name in ("at", "rev")}


def _decode(members: Members) -> MemberRecord:
    issued_at = members.integer("at")
    if issued_at < 0:
        raise MalformedMessage("at: negative")
    return MemberRecord(
        public_key=parse_public_key("key", members.text("key")),
        mesh_ipv4=parse_mesh_ipv4("ip", members.text("ip")),
        issued_at=issued_at,
        revision=parse_revision("rev", members.integer("rev")),
        exchanges=_endpoints(members, "exchanges"),
        candidates=_endpoints(members, "candidates"),
        hostname=parse_hostname("name", members.text("name")),
        nat_type=parse_nat_type(members.text("nat")),
        introducer=members.flag("introducer"),
    )


def _endpoints(members: Members, name: str) -> tuple[Endpoint, ...]:
    items = members.items(name)
    if len(items) > ENDPOINTS_MAX:
        raise MalformedMessage(f"{name}: more than {ENDPOINTS_MAX}")
    return tuple(parse_endpoint(name, item if isinstance(item, str) else "") for item in items)


def compact(endpoint: Endpoint) -> bytes:
    """Returns an address as BEP 5 and BEP 32 write it, 4 or 16 bytes and a port: the place of its record."""
    return endpoint.host.packed + endpoint.port.to_bytes(2, "big")
