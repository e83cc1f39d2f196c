from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from support.doubles.virtual_time import in_virtual_time
from wgmesh.runtime import logs
from wgmesh.runtime.remembered_file import KEEP_FIRST_S, KEEP_S, RememberedFile


def remembered(path: Path) -> RememberedFile:
    return RememberedFile(path, "nodes", 100, logs.logger())


def test_what_is_kept_is_written_soon_then_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    content: list[bytes | None] = [b"first"]

    @in_virtual_time
    async def run() -> None:
        keeping = asyncio.get_running_loop().create_task(remembered(path).keep(lambda: content[-1]))
        await asyncio.sleep(KEEP_FIRST_S - 1.0)
        assert not path.exists()
        await asyncio.sleep(2.0)
        assert path.read_bytes() == b"first"
        content.append(b"second")
        await asyncio.sleep(KEEP_S - 5.0)
        assert path.read_bytes() == b"first"
        await asyncio.sleep(10.0)
        assert path.read_bytes() == b"second"
        content.append(b"last")
        keeping.cancel()
        await asyncio.wait([keeping])
        assert keeping.cancelled()

    run()
    assert path.read_bytes() == b"last"


def test_where_there_is_nothing_to_keep_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    path.write_bytes(b"earlier")

    @in_virtual_time
    async def run() -> None:
        keeping = asyncio.get_running_loop().create_task(remembered(path).keep(lambda: None))
        await asyncio.sleep(2 * KEEP_S)
        keeping.cancel()
        await asyncio.wait([keeping])

    run()
    assert path.read_bytes() == b"earlier"


def test_a_disk_that_refuses_does_not_end_the_keeping(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "missing"

    @in_virtual_time
    async def run() -> None:
        keeping = asyncio.get_running_loop().create_task(remembered(folder / "nodes").keep(lambda: b"nodes"))
        await asyncio.sleep(2 * KEEP_S)
        folder.mkdir()
        await asyncio.sleep(KEEP_S)
        assert (folder / "nodes").read_bytes() == b"nodes"
        keeping.cancel()
        await asyncio.wait([keeping])

    with caplog.at_level(logging.CRITICAL):
        run()


def test_no_more_is_read_than_allowed_and_of_a_missing_file_nothing(tmp_path: Path) -> None:
    path = tmp_path / "nodes"
    assert remembered(path).read() is None
    path.write_bytes(bytes(1000))
    assert remembered(path).read() is None
    path.write_bytes(bytes(100))
    assert remembered(path).read() == bytes(100)
