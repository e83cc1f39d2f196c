"""Whose a WireGuard control socket is, asked without changing anything."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.supervisor.io.socket_owner import Owner, owner
from wgmesh.wireguard.identity_file import StoredIdentity, encode_identity

OWN, OTHER = PrivateKey(bytes([1] * 32)), PrivateKey(bytes([2] * 32))


@contextmanager
def program(path: Path, answer: bytes) -> Iterator[None]:
    """Serves one request on `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "wg0.json"
    path.write_bytes(encode_identity(StoredIdentity(OWN)))
    return path


def untouched(path: Path) -> tuple[int, ...]:
    """What only a change of the file changes: connecting may note a time of access."""
    found = os.lstat(path)
    return found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_ctime_ns


def answer(key: PrivateKey) -> bytes:
    return b"private_key=" + key.reveal().hex().encode() + b"\nlisten_port=7\nerrno=0\n\n"


@pytest.mark.parametrize(
    ("said", "whose"),
    [
        (answer(OWN), Owner.OURS),
        (answer(OTHER), Owner.OTHERS),
        (b"listen_port=7\nerrno=0\n\n", Owner.OTHERS),
        (b"private_key=zz\n\n", Owner.OTHERS),
        (b"", Owner.OTHERS),
    ],
    ids=["our key", "another key", "no key", "no WireGuard", "nothing"],
)
def test_a_device_is_ours_by_its_key_alone(tmp_path: Path, identity: Path, said: bytes, whose: Owner) -> None:
    with program(tmp_path / "s", said):
        before = untouched(tmp_path / "s")
        assert owner(tmp_path / "s", identity) is whose
        assert untouched(tmp_path / "s") == before


def test_without_an_identity_no_device_is_ours(tmp_path: Path) -> None:
    with program(tmp_path / "s", answer(OWN)):
        assert owner(tmp_path / "s", tmp_path / "wg0.json") is Owner.OTHERS


def test_a_socket_that_nobody_serves_is_nobodys(tmp_path: Path, identity: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "s"))
    assert owner(tmp_path / "s", identity) is Owner.NOBODY
