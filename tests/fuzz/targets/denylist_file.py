"""discovery/members/denylist.py: the file of banned keys. It is never half believed."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.messages import GO, NATIVE, NOW
from fuzz.rules import accepted
from wgmesh.core.errors import MeshError
from wgmesh.core.model import Ban
from wgmesh.discovery.members.denylist import BANS_MAX, DenyList, decode_denylist, encode_denylist

WORDS = (b'"wg_pubkey":"', b'"banned_at":', b'"reason":"', b'"banned":[')


def seeds() -> Iterable[bytes]:
    denylist = DenyList()
    yield encode_denylist(denylist)
    for peer in (GO, NATIVE):
        denylist = denylist.with_ban(Ban(peer.key, NOW, "left the team"))
    yield encode_denylist(denylist)
    yield b'{"bans":[' + b"[" * 900 + b"]" * 900 + b"]}"
    yield b'{"bans":[1e999]}'


def check(data: bytes) -> None:
    denylist = accepted(lambda: decode_denylist(data, "banned.json"), MeshError)
    if denylist is None:
        return
    assert len(denylist.bans) <= BANS_MAX
    assert decode_denylist(encode_denylist(denylist), "banned.json") == denylist
