"""What a process that keeps or reads a file does with one that another user has written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest
import structlog
from structlog.testing import capture_logs
from support.interpreters import STRANGER
from wgmesh.core.errors import PermissionDenied
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Ban, PublicKey
from wgmesh.discovery.io.denylist_store import DenyListStore
from wgmesh.discovery.members.denylist import DenyList
from wgmesh.node.io.reconcile_loop import Clients, ReconcileLoop
from wgmesh.node.io.reloading import Reloading
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.remembered_file import RememberedFile
from wgmesh.runtime.service import Shell
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.wireguard.identity_file import StoredIdentity, encode_identity
from wgmesh.wireguard.io.identity_store import IdentityStore

pytestmark = pytest.mark.root  # only root can give files away

SECRET = Secret.generate(os.urandom)
KEY = PrivateKey(bytes([1] * 32))


def give_away(path: Path) -> None:
    path.chmod(0o644)
    os.chown(path, STRANGER, STRANGER)


def log() -> BoundLogger:
    return cast(BoundLogger, structlog.get_logger())


def test_a_private_key_of_another_user_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    path.write_bytes(encode_identity(StoredIdentity(KEY)))
    assert IdentityStore(tmp_path, "wg0").load_or_create().private_key.public_key == KEY.public_key
    give_away(path)
    before = path.read_bytes()

    with pytest.raises(PermissionDenied, match=f"belongs to user {STRANGER}"):
        IdentityStore(tmp_path, "wg0").load_or_create()

    assert path.read_bytes() == before


async def test_a_deny_list_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wg0-banned.json"
    await DenyListStore(path, log()).save(DenyList().with_ban(Ban(PublicKey(bytes(32)), 5.0, "")))
    assert len(DenyListStore(path, log()).load().bans) == 1
    give_away(path)

    with pytest.raises(PermissionDenied, match=f"belongs to user {STRANGER}"):
        DenyListStore(path, log()).load()


def test_a_cache_of_another_user_counts_as_none_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "wg0-peers.json"
    path.write_bytes(b"content")
    file = RememberedFile(path, "peer cache", 100, log())
    assert file.read() == b"content"
    give_away(path)

    with capture_logs() as lines:
        assert file.read() is None

    assert [line["reason"] for line in lines] == [f"it belongs to user {STRANGER}"]


async def test_a_reload_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wg0.reload"
    path.write_text("# nothing\n")
    settings = NodeSettings(SECRET, derive(SECRET), "wg0", "self", tmp_path, listen_port=51820, mtu=1420)
    shell = Shell(RuntimeSettings("node", "wg0", tmp_path), lambda: None)
    loop = ReconcileLoop(shell, settings, cast(Clients, None), started_at=0.0)  # a reload calls no service through it
    reloading = Reloading(shell, settings, loop)
    assert await reloading.reload() == ([], [])
    give_away(path)

    with pytest.raises(PermissionDenied, match=f"belongs to user {STRANGER}"):
        await reloading.reload()
