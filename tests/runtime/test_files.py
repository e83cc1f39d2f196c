from __future__ import annotations

from pathlib import Path

import pytest
from wgmesh.runtime.files import write_atomically


def test_a_file_is_replaced_and_gets_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    path.write_bytes(b"old")
    path.chmod(0o644)

    write_atomically(path, b"new", 0o600)

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_reader_who_has_the_old_file_open_keeps_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    write_atomically(path, b"old")

    with path.open("rb") as reader:
        write_atomically(path, b"new")

        assert reader.read() == b"old"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    directory_in_the_way = tmp_path / "wg0.json"
    directory_in_the_way.mkdir()

    with pytest.raises(OSError, match="directory"):
        write_atomically(directory_in_the_way, b"new")

    assert [path.name for path in tmp_path.iterdir()] == ["wg0.json"]
