from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wgmesh.cli.sockets import Presence, SocketChoice, find_socket, presence
from wgmesh.core.errors import DaemonNotRunning, InvalidSetting, MeshError, PermissionDenied


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_the_only_running_node_is_found(run: Path) -> None:
    with listening(run / "wg3" / "node.sock") as path:
        assert find_socket(SocketChoice(runtime_dir=run), {}) == path


def test_of_several_nodes_one_must_be_named(run: Path) -> None:
    with listening(run / "wg0" / "node.sock"), listening(run / "wg1" / "node.sock") as second:
        with pytest.raises(InvalidSetting, match=r"several nodes are running \(wg0, wg1\)"):
            find_socket(SocketChoice(runtime_dir=run), {})

        assert find_socket(SocketChoice(interface="wg1", runtime_dir=run), {}) == second


def test_a_socket_that_a_dead_node_left_does_not_count(run: Path) -> None:
    with listening(run / "wg0" / "node.sock"):
        pass
    assert presence(run / "wg0" / "node.sock") is Presence.SILENT

    with listening(run / "wg1" / "node.sock") as alive:
        assert find_socket(SocketChoice(runtime_dir=run), {}) == alive
    with pytest.raises(DaemonNotRunning):
        find_socket(SocketChoice(interface="wg0", runtime_dir=run), {})


def test_nothing_running_is_said_so(run: Path) -> None:
    with pytest.raises(DaemonNotRunning, match="no wgmesh is running on this machine"):
        find_socket(SocketChoice(runtime_dir=run), {})
    with pytest.raises(DaemonNotRunning, match="no wgmesh is running on wg9"):
        find_socket(SocketChoice(interface="wg9", runtime_dir=run), {})


def test_a_regular_file_in_the_way_is_said_so_and_left_alone(run: Path) -> None:
    file = run / "wg0" / "node.sock"
    file.parent.mkdir(parents=True)
    file.write_text("precious")

    for choice in (
        SocketChoice(runtime_dir=run),
        SocketChoice(socket_path=file),
        SocketChoice(interface="wg0", runtime_dir=run),
    ):
        with pytest.raises(MeshError, match="is a file and not a socket"):
            find_socket(choice, {})
    assert file.read_text() == "precious"


def test_a_path_named_by_hand_is_the_only_one_tried(run: Path) -> None:
    with listening(run / "wg0" / "node.sock"), pytest.raises(DaemonNotRunning, match=r"elsewhere\.sock"):
        find_socket(SocketChoice(socket_path=run / "elsewhere.sock", runtime_dir=run), {})


def test_a_path_that_no_socket_can_have_is_refused(run: Path) -> None:
    with pytest.raises(InvalidSetting, match="longer than 107 bytes"):
        find_socket(SocketChoice(socket_path=run / ("x" * 108)), {})


def test_the_users_own_directory_is_looked_at_too(tmp_path: Path) -> None:
    with listening(tmp_path / "wgmesh" / "wg0" / "node.sock") as path:
        found = find_socket(SocketChoice(interface="wg0"), {"XDG_RUNTIME_DIR": str(tmp_path)})

    assert found == path


@pytest.mark.parametrize("interface", [None, "wg0"])
def test_the_systems_directory_comes_before_the_users_own(tmp_path: Path, interface: str | None) -> None:
    system, environ = tmp_path / "system", {"XDG_RUNTIME_DIR": str(tmp_path)}
    choice = SocketChoice(interface=interface)
    with listening(tmp_path / "wgmesh" / "wg0" / "node.sock") as own:
        assert find_socket(choice, environ, system) == own
        with listening(system / "wg0" / "node.sock") as of_the_system:
            assert find_socket(choice, environ, system) == of_the_system


@pytest.mark.root
def test_a_directory_or_socket_of_another_user_means_no_permission(run: Path) -> None:
    with listening(run / "wg0" / "node.sock") as path:
        path.chmod(0o600)
        with as_nobody(run.parent), pytest.raises(PermissionDenied, match="use sudo"):
            find_socket(SocketChoice(runtime_dir=run), {})
        run.chmod(0o700)
        with as_nobody(run.parent):
            with pytest.raises(PermissionDenied, match="use sudo"):
                find_socket(SocketChoice(runtime_dir=run), {})
            with pytest.raises(PermissionDenied, match="use sudo"):
                find_socket(SocketChoice(interface="wg0", runtime_dir=run), {})


@contextmanager
def listening(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen(8)
        yield path


@contextmanager
def as_nobody(directory: Path) -> Iterator[None]:
    """Runs the block as an unprivileged user who can reach `directory`."""
    for parent in (directory, *directory.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
