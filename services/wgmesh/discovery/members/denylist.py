"""The peers that the operator has banned, and the file `<iface>-banned.json` that remembers them.

A ban that is lost lets somebody in again, so nothing here is lenient towards loss: a file that cannot be read as a
whole is an error and never an empty list, an entry counts as soon as its key can be read, and one that names no key is
kept as it is and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from wgmesh.core.errors import CorruptState, InvalidInput, MalformedMessage, MeshError
from wgmesh.core.model import Ban, PublicKey
from wgmesh.core.wire.jsonstrict import Members, parse_json
from wgmesh.core.wire.wirefield import parse_public_key

BANS_MAX = 4096  # four times the peers that a mesh has at most
REASON_CHARACTERS_MAX = 200  # a line
MAX_FILE_BYTES = 8 * 1024 * 1024  # the longest valid entries, 4096 times, with room


@dataclass(frozen=True, slots=True)
class DenyList:
    """The bans, the oldest first. `unread` are entries of the file that name no key."""

    bans: Mapping[PublicKey, Ban] = field(default_factory=lambda: MappingProxyType({}))
    unread: tuple[object, ...] = ()

    def with_ban(self, ban: Ban) -> DenyList:
        """Adds a ban or replaces the one of the same key. Raises InvalidInput for its reason, MeshError when full."""
        if len(ban.reason) > REASON_CHARACTERS_MAX or not ban.reason.isprintable():
            raise InvalidInput(f"the reason is not one line of at most {REASON_CHARACTERS_MAX} characters; shorten it")
        if ban.public_key not in self.bans and len(self.bans) + len(self.unread) >= BANS_MAX:
            raise MeshError(f"{BANS_MAX} keys are banned, and there is no room for more; take some back first")
        others = {key: each for key, each in self.bans.items() if key != ban.public_key}
        return replace(self, bans=MappingProxyType({**others, ban.public_key: ban}))

    def without(self, key: PublicKey) -> DenyList:
        """Takes a ban back, if there is one."""
        return replace(self, bans=MappingProxyType({each: ban for each, ban in self.bans.items() if each != key}))


def encode_denylist(denylist: DenyList) -> bytes:
    """Returns the file's bytes."""
    entries: list[object] = [
        {"wg_pubkey": ban.public_key.text, "banned_at": int(ban.banned_at), "reason": ban.reason}
        for ban in denylist.bans.values()
    ]
    return json.dumps({"bans": entries + list(denylist.unread)}, indent=2).encode("ascii") + b"\n"


def decode_denylist(data: bytes, name: str) -> DenyList:
    """Reads the file's bytes. Raises CorruptState unless they are one JSON object with an array `bans`.

    `name` is what the error calls the file.
    """
    try:
        members = Members(parse_json(data, MAX_FILE_BYTES))
        if "bans" not in members:
            raise MalformedMessage("bans: missing")
        items = members.items("bans")
        if len(items) > BANS_MAX:
            raise MalformedMessage(f"bans: more than {BANS_MAX}")
    except MalformedMessage as error:
        raise CorruptState(
            f"{name} does not hold a usable list of banned peers ({error}). Repair it or restore it from a backup; "
            "who moves it away starts with nobody banned."
        ) from None
    return _decode(items)


def _decode(items: Iterable[object]) -> DenyList:
    bans: dict[PublicKey, Ban] = {}
    unread: list[object] = []
    for item in items:
        try:
            members = Members(item)
            key = parse_public_key("wg_pubkey", members.text("wg_pubkey"))
        except MalformedMessage:
            unread.append(item)
            continue
        bans[key] = Ban(key, _time(members), _reason(members))
    return DenyList(MappingProxyType(bans), tuple(unread))


def _time(members: Members) -> float:
    """A key is banned whatever its time says."""
    try:
        return float(max(0, members.integer("banned_at")))
    except MalformedMessage:
        return 0.0


def _reason(members: Members) -> str:
    try:
        reason = members.text("reason")
    except MalformedMessage:
        return ""
    return "".join(sign for sign in reason if sign.isprintable())[:REASON_CHARACTERS_MAX]
