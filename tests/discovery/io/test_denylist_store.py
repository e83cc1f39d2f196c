"""The deny-list on disk, and bans as they are asked for."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from wgmesh.core.errors import CorruptState, InvalidInput, NotFound, PermissionDenied
from wgmesh.core.model import Ban, PublicKey
from wgmesh.discovery.io.bans import Bans
from wgmesh.discovery.io.denylist_store import DenyListStore
from wgmesh.discovery.members.denylist import DenyList

ONE, TWO, OWN = (PublicKey(bytes([number]) * 32) for number in (1, 2, 9))
BAN = Ban(ONE, 5.0, "sold")


class Door:
    """Remembers who is kept out."""

    def __init__(self) -> None:
        self.own_key: PublicKey | None = OWN
        self.banned: frozenset[PublicKey] | None = None

    def set_banned(self, keys: AbstractSet[PublicKey]) -> None:
        self.banned = frozenset(keys)


def store(path: Path) -> DenyListStore:
    return DenyListStore(path, structlog.get_logger())


def banning(door: Door, path: Path) -> Bans:
    return Bans(door, store(path), structlog.get_logger())


async def test_what_is_saved_is_loaded_by_the_next_start_and_read_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "wg0-banned.json"
    assert store(path).load() == DenyList()

    await store(path).save(DenyList().with_ban(BAN))

    assert path.stat().st_mode & 0o777 == 0o600
    assert store(path).load().bans == {ONE: BAN}
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_damaged_file_ends_the_start_and_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "wg0-banned.json"
    path.write_bytes(b"{")

    with pytest.raises(CorruptState, match=str(path)):
        banning(Door(), path)
    assert path.read_bytes() == b"{"


def test_a_file_that_is_none_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(CorruptState, match="cannot be read: it is a directory"):
        store(tmp_path).load()


def test_entries_that_name_no_key_are_told(tmp_path: Path) -> None:
    path = tmp_path / "wg0-banned.json"
    path.write_text('{"bans": [{}, {}]}')

    with capture_logs() as lines:
        store(path).load()

    assert [(line["event"], line["dropped"]) for line in lines] == [("banned peers read in part", 2)]


async def test_a_ban_holds_at_once_and_at_the_next_start(tmp_path: Path) -> None:
    door, path = Door(), tmp_path / "wg0-banned.json"
    await banning(door, path).ban(BAN)
    assert door.banned == frozenset({ONE})

    after = Door()
    second = banning(after, path)
    assert after.banned == frozenset({ONE})
    await second.unban(ONE)
    assert after.banned == frozenset()
    assert store(path).load() == DenyList()


async def test_a_node_cannot_ban_itself_and_nobody_is_unbanned_who_is_not_banned(tmp_path: Path) -> None:
    door = Door()
    bans = banning(door, tmp_path / "wg0-banned.json")

    with pytest.raises(InvalidInput, match="this node itself"):
        await bans.ban(Ban(OWN, 5.0))
    with pytest.raises(NotFound, match=f"{TWO.text} is not banned"):
        await bans.unban(TWO)
    assert door.banned == frozenset()
    assert list(tmp_path.iterdir()) == []


async def test_a_disk_that_refuses_leaves_both_sides_banned_and_is_told(tmp_path: Path) -> None:
    """Whether somebody is being banned or unbanned: where it cannot be stored, the door stays shut."""
    door, path = Door(), tmp_path / "gone" / "wg0-banned.json"
    path.parent.mkdir()
    bans = banning(door, path)
    await bans.ban(BAN)
    path.unlink()
    path.parent.rmdir()

    with pytest.raises(PermissionDenied, match=r"holds only until this node stops\. .* could not be written: No such"):
        await bans.ban(Ban(TWO, 6.0))
    with pytest.raises(PermissionDenied, match="could not be written"):
        await bans.unban(ONE)
    assert door.banned == frozenset({ONE, TWO})
