"""The peer cache on disk."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from support.vectors import load_vectors
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.discovery.io.cache_store import CacheStore

PEER = CachedPeer(PublicKey(bytes([1]) * 32), ipaddress.IPv4Address("10.1.0.1"), 1000, hostname="a")


async def test_what_is_saved_is_loaded_by_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "wg0-peers.json"
    assert store(path).load() == ()
    await store(path).save([PEER], (), 1001.0, forgets=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert store(path).load() == (PEER,)


async def test_a_start_that_met_nobody_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "wg0-peers.json"
    await store(path).save([PEER], (), 1001.0, forgets=True)
    second = store(path)
    second.load()
    await second.save([], (), 2000.0, forgets=True)
    assert store(path).load() == (PEER,)


async def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "wg0-peers.json"
    saved = store(path)
    await saved.save([PEER], (), 1001.0, forgets=True)
    written = path.stat().st_ino
    await saved.save([PEER], (), 1500.0, forgets=True)
    assert path.stat().st_ino == written


async def test_a_new_address_is_written_at_once_and_a_new_age_after_minutes(tmp_path: Path) -> None:
    path = tmp_path / "wg0-peers.json"
    saved = store(path)
    await saved.save([PEER], (), 1001.0, forgets=True)
    await saved.save([replace(PEER, last_seen=1030)], (), 1031.0, forgets=True)
    assert store(path).load() == (PEER,)
    moved = replace(PEER, last_seen=1031, endpoint=AdvertisedEndpoint.of(Endpoint.of("192.168.1.9", 51820)))
    await saved.save([moved], (), 1032.0, forgets=True)
    assert store(path).load() == (moved,)
    older = replace(moved, last_seen=1400)
    await saved.save([older], (), 1400.0, forgets=True)
    assert store(path).load() == (older,)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"peers": 5}', b"[" * 100_000])
def test_a_file_that_cannot_be_read_is_a_warning_and_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wg0-peers.json"
    path.write_bytes(content)
    with capture_logs() as logs:
        assert store(path).load() == ()
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_upstreams_file_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "wg0-peers.json"
    path.write_text(load_vectors("live_two_nodes")["files_after_stop"]["B wg0-peers.json"]["text"])
    (peer,) = store(path).load()
    assert str(peer.mesh_ipv4) == "10.189.127.165" and str(peer.endpoint) == "10.88.0.1:51820"


async def test_a_disk_that_refuses_is_one_warning_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "wg0-peers.json"
    saved = store(path)
    with capture_logs() as logs:
        for now in (1001.0, 1002.0):
            await saved.save([PEER], (), now, forgets=True)
    assert [(entry["event"], entry["content"]) for entry in logs] == [("file not written", "peer cache")]
    path.parent.mkdir()
    await saved.save([PEER], (), 1003.0, forgets=True)
    assert store(path).load() == (PEER,)


def store(path: Path) -> CacheStore:
    return CacheStore(path, structlog.stdlib.get_logger())
