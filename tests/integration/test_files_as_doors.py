"""What somebody else has put in place of a file: every reader of the project refuses it or goes on, and none waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs
from support.waiting import PATIENCE_S
from wgmesh.cli.configuration import read_configuration
from wgmesh.cli.credentials import SecretSources, find_secret
from wgmesh.core import errors
from wgmesh.discovery.io.cache_store import CacheStore
from wgmesh.discovery.io.denylist_store import DenyListStore
from wgmesh.node.io.reloading import read_reload_file
from wgmesh.runtime.remembered_file import RememberedFile
from wgmesh.wireguard.io.identity_store import IdentityStore

HUGE_BYTES = 600 * 1000 * 1000
LOG = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True)
class Reader:
    """`refusal` is None where the file is a hint, which is reported and left aside."""

    name: str
    read: Callable[[Path], object]
    refusal: type[errors.MeshError] | None


def _secret(path: Path) -> object:
    return find_secret(SecretSources({}, lambda: "", file_flag=str(path)))


KEPT = (
    Reader("wg0.json", lambda path: IdentityStore(path.parent, "wg0").load_or_create(), errors.CorruptState),
    Reader("wg0-banned.json", lambda path: DenyListStore(path, LOG).load(), errors.CorruptState),
    Reader("wg0-peers.json", lambda path: CacheStore(path, LOG).load() or None, None),
    Reader("wg0-0123-dht.nodes", lambda path: RememberedFile(path, "dht nodes", 65536, LOG).read(), None),
)
GIVEN = (Reader("wg0.reload", read_reload_file, errors.InvalidInput),)
NAMED = (
    Reader("wgmesh.toml", read_configuration, errors.InvalidSetting),
    Reader("secret", _secret, errors.InvalidSetting),
)


def outcome(reader: Reader, path: Path) -> str:
    """What came of reading it: the text of the refusal, or the reason in the log."""
    found: list[str] = []

    def read() -> None:
        try:
            with capture_logs() as lines:
                assert reader.read(path) is None
            assert reader.refusal is None
            found.append(lines[0]["reason"])
        except errors.MeshError as error:
            assert reader.refusal is not None and isinstance(error, reader.refusal)
            found.append(str(error))

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    reading.join(PATIENCE_S)
    assert not reading.is_alive(), "the reader waits"
    (text,) = found
    return text


@pytest.mark.attack("a file that lies in the way", "block a reader with a FIFO")
@pytest.mark.parametrize("reader", [*KEPT, *GIVEN], ids=lambda reader: reader.name)
def test_a_fifo_blocks_nobody(reader: Reader, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / reader.name)
    assert "it is a FIFO and not a regular file" in outcome(reader, tmp_path / reader.name)


@pytest.mark.attack("a file that lies in the way", "fill a reader with 600 MB")
@pytest.mark.parametrize("reader", [*KEPT, *GIVEN, *NAMED], ids=lambda reader: reader.name)
def test_600_megabytes_fill_nobody(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / reader.name
    path.touch()
    os.truncate(path, HUGE_BYTES)

    assert "it is larger than" in outcome(reader, path)
    assert path.stat().st_size == HUGE_BYTES


@pytest.mark.parametrize("reader", [*KEPT, *GIVEN, *NAMED], ids=lambda reader: reader.name)
def test_a_directory_is_told_from_nothing_there(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / reader.name).mkdir()
    assert "it is a directory and not a regular file" in outcome(reader, tmp_path / reader.name)


@pytest.mark.parametrize("reader", KEPT, ids=lambda reader: reader.name)
def test_a_link_in_place_of_what_we_keep_is_not_followed(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    (tmp_path / reader.name).symlink_to(tmp_path / "elsewhere")
    assert "it is a symbolic link and not a regular file" in outcome(reader, tmp_path / reader.name)


@pytest.mark.parametrize("reader", [*GIVEN, *NAMED], ids=lambda reader: reader.name)
def test_a_link_to_a_device_is_not_read(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / reader.name).symlink_to("/dev/zero")
    assert "it is a device and not a regular file" in outcome(reader, tmp_path / reader.name)


async def test_a_hint_that_was_left_aside_is_replaced_by_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    os.mkfifo(path)
    file = RememberedFile(path, "dht nodes", 65536, LOG)
    assert file.read() is None

    assert await file.write(b"new")

    assert file.read() == b"new"


def test_a_secret_may_come_from_a_process_substitution() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"9LZJPbVha7yPdFmIB4tup5DApcyKvjrvjb_TXB4JrFs\n")
    os.close(writing)
    try:
        found = find_secret(SecretSources({}, lambda: "", file_flag=f"/dev/fd/{reading}"))
    finally:
        os.close(reading)
    assert found.warnings == ()
    assert found.secret.reveal().startswith("9LZJ")
