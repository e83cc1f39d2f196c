"""The identity on disk is created once, taken over as it stands, and never replaced silently."""

from __future__ import annotations

import base64
import ipaddress
import json
from dataclasses import replace
from pathlib import Path

import pytest
from wgmesh.core.errors import CorruptState, PermissionDenied
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.wireguard.io.identity_store import IdentityStore


def test_a_new_identity_is_stored_before_it_is_used_and_read_again(tmp_path: Path) -> None:
    created = IdentityStore(tmp_path / "state", "wg0").load_or_create()
    assert (tmp_path / "state" / "wg0.json").stat().st_mode & 0o777 == 0o600
    assert IdentityStore(tmp_path / "state", "wg0").load_or_create() == created


def test_two_new_identities_differ(tmp_path: Path) -> None:
    assert IdentityStore(tmp_path, "wg0").load_or_create() != IdentityStore(tmp_path, "wg1").load_or_create()


def test_without_its_file_a_node_gets_a_new_identity(tmp_path: Path) -> None:
    first = IdentityStore(tmp_path, "wg0").load_or_create()
    assert IdentityStore(tmp_path, "wg0").load_or_create() == first
    (tmp_path / "wg0.json").unlink()
    assert IdentityStore(tmp_path, "wg0").load_or_create().private_key.public_key != first.private_key.public_key


def test_the_identity_of_an_upstream_node_is_taken_over(tmp_path: Path) -> None:
    raw = bytes(range(32))
    members = {
        "wg_pubkey": PrivateKey(raw).public_key.text,
        "wg_private_key": base64.b64encode(raw).decode(),
        "mesh_ip": "10.77.1.2",
    }
    (tmp_path / "wg0.json").write_text(json.dumps(members))
    stored = IdentityStore(tmp_path, "wg0").load_or_create()
    assert stored.private_key == PrivateKey(raw)
    assert stored.mesh_ipv4 == ipaddress.ip_address("10.77.1.2")


@pytest.mark.parametrize("content", [b"", b"{}", b"{", b"\x00" * 200_000, b'{"wg_pubkey": "a", "wg_private_key": "b"}'])
def test_a_corrupt_identity_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wg0.json"
    path.write_bytes(content)
    with pytest.raises(CorruptState, match="move it away"):
        IdentityStore(tmp_path, "wg0").load_or_create()
    assert path.read_bytes() == content


def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wg0.json").mkdir()
    with pytest.raises(CorruptState):
        IdentityStore(tmp_path, "wg0").load_or_create()


def test_a_change_is_stored_and_no_change_writes_nothing(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path, "wg0")
    identity = replace(store.load_or_create(), listen_port=51823)
    store.save(identity)
    written = (tmp_path / "wg0.json").stat().st_ino
    store.save(identity)
    assert (tmp_path / "wg0.json").stat().st_ino == written
    assert IdentityStore(tmp_path, "wg0").load_or_create().listen_port == 51823


def test_a_state_directory_that_cannot_be_written_names_the_flag(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionDenied, match="--state-dir"):
        IdentityStore(tmp_path / "file", "wg0").save(IdentityStore(tmp_path, "wg0").load_or_create())


def test_an_identity_whose_directory_was_taken_away_is_put_back_where_there_is_one_again(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    store = IdentityStore(directory, "wg0")
    identity = store.load_or_create()
    directory.rename(tmp_path / "gone")
    (tmp_path / "state").mkdir()

    store.put_back()

    assert IdentityStore(directory, "wg0").load_or_create().private_key == identity.private_key


def test_an_identity_that_the_operator_has_removed_is_not_put_back(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path, "wg0")
    store.load_or_create()
    (tmp_path / "wg0.json").unlink()

    store.put_back()

    assert not (tmp_path / "wg0.json").exists()
