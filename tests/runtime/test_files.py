"""What lies behind a path is read or refused at once, and a replaced file is never seen half."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support.waiting import PATIENCE_S
from wgmesh.core.errors import UnreadableFile
from wgmesh.runtime.files import read_given, read_named, read_state, write_atomically

BOUND = 1000
HUGE_BYTES = 600 * 1000 * 1000

Read = Callable[[Path, int], bytes | None]
every_reader = pytest.mark.parametrize("read", [read_state, read_given, read_named])
readers_of_files = pytest.mark.parametrize("read", [read_state, read_given])


def problem(read: Read, path: Path) -> str:
    """What is wrong with it, asked in a thread: a reader that waits for somebody fails the test."""
    found: list[str] = []

    def ask() -> None:
        try:
            read(path, BOUND)
        except UnreadableFile as error:
            found.append(error.problem)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_S)
    assert not asking.is_alive(), "the reader waits"
    assert found, "it was read"
    return found[0]


@every_reader
def test_a_file_is_read_up_to_its_bound_and_not_beyond(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(BOUND))
    assert read(path, BOUND) == bytes(BOUND)

    path.write_bytes(bytes(BOUND + 1))
    assert problem(read, path) == "it is larger than 1000 bytes"


@every_reader
def test_600_megabytes_are_refused(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "huge"
    path.touch()
    os.truncate(path, HUGE_BYTES)

    assert problem(read, path) == "it is larger than 1000 bytes"


@every_reader
def test_a_file_that_hides_its_size_is_bounded_by_its_bytes(read: Read) -> None:
    assert Path("/proc/self/smaps").stat().st_size == 0
    assert problem(read, Path("/proc/self/smaps")) == "it is larger than 1000 bytes"


@readers_of_files
def test_a_fifo_is_refused_and_nobody_waits_for_its_writer(tmp_path: Path, read: Read) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert problem(read, tmp_path / "fifo") == "it is a FIFO and not a regular file"


@every_reader
def test_a_file_that_its_owner_has_leased_is_refused_and_not_waited_for(tmp_path: Path, read: Read) -> None:
    """As one that becomes a FIFO between the look and the opening: only O_NONBLOCK does not wait."""
    path = tmp_path / "leased"
    path.touch()
    earlier = signal.signal(signal.SIGIO, signal.SIG_IGN)  # tells the owner that somebody wants it
    try:
        with path.open("rb+") as owner:
            fcntl.fcntl(owner, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            assert problem(read, path) == "Resource temporarily unavailable"
    finally:
        signal.signal(signal.SIGIO, earlier)


@every_reader
def test_what_is_no_file_is_named_for_what_it_is(tmp_path: Path, read: Read) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))

        assert problem(read, tmp_path) == "it is a directory and not a regular file"
        assert problem(read, tmp_path / "socket") == "it is a socket and not a regular file"
        assert problem(read, Path("/dev/zero")) == "it is a device and not a regular file"


def test_nothing_there_is_none_and_not_an_error(tmp_path: Path) -> None:
    assert read_state(tmp_path / "none", BOUND) is None
    assert read_given(tmp_path / "none", BOUND) is None
    assert problem(read_named, tmp_path / "none") == "No such file or directory"


@every_reader
def test_what_cannot_be_looked_at_is_an_error_and_not_nothing(tmp_path: Path, read: Read) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")

    assert problem(read, tmp_path / "file" / "below") == "Not a directory"
    assert problem(read, tmp_path / "loop") in (
        "Too many levels of symbolic links",
        "it is a symbolic link and not a regular file",
    )


@pytest.mark.root
def test_what_is_forbidden_is_told_apart(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.write_bytes(b"secret")
    closed.chmod(0)
    pid = os.fork()
    if pid == 0:
        os.setgroups(())
        os.setresuid(65534, 65534, 65534)
        try:
            read_given(closed, BOUND)
        except UnreadableFile as error:
            os._exit(3 if not error.permitted else 4)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_a_link_is_followed_to_what_an_operator_writes_and_not_to_what_we_keep(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"data")
    (tmp_path / "link").symlink_to("target")

    assert read_given(tmp_path / "link", BOUND) == read_named(tmp_path / "link", BOUND) == b"data"
    assert problem(read_state, tmp_path / "link") == "it is a symbolic link and not a regular file"


def test_a_command_reads_the_pipe_of_a_process_substitution() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"from a ")

    def end() -> None:
        os.write(writing, b"pipe")
        os.close(writing)

    threading.Thread(target=end).start()
    try:
        assert read_named(Path(f"/dev/fd/{reading}"), BOUND) == b"from a pipe"
    finally:
        os.close(reading)


def test_a_command_reads_a_fifo_whose_writer_comes_later(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    threading.Thread(target=fifo.write_bytes, args=(b"late",)).start()
    assert read_named(fifo, BOUND) == b"late"


def test_a_pipe_with_no_end_is_bounded_by_its_bytes() -> None:
    reading, writing = os.pipe()
    os.write(writing, bytes(BOUND + 1))
    try:
        assert problem(read_named, Path(f"/dev/fd/{reading}")) == "it is larger than 1000 bytes"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_pipe_that_nobody_ends_is_an_error_in_time(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(UnreadableFile, match=r"a pipe that was not written and closed within 0\.05 s"):
        read_named(fifo, BOUND, pipe_s=0.05)


def test_a_file_is_replaced_and_gets_the_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    path.write_bytes(b"old")
    path.chmod(0o644)

    for umask, mode in ((0o777, 0o600), (0, 0o600), (0o077, 0o644)):
        before = os.umask(umask)
        try:
            write_atomically(path, b"new", mode)
        finally:
            os.umask(before)

        assert path.read_bytes() == b"new"
        assert path.stat().st_mode & 0o777 == mode


def test_a_link_in_place_of_the_file_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "wg0.json"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)

    write_atomically(path, b"new")

    assert victim.read_bytes() == b"precious"
    assert path.read_bytes() == b"new" and not path.is_symlink()


def test_a_fifo_in_place_of_the_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "wg0.json"
    os.mkfifo(path)

    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"


def test_no_two_temporary_names_are_equal_so_that_none_can_be_planted(tmp_path: Path) -> None:
    names = set()
    for _ in range(2):
        with pytest.raises(OSError, match=r"\.tmp") as raised:
            write_atomically(tmp_path / "gone" / "wg0.json", b"new")
        names.add(raised.value.filename)
    assert len(names) == 2


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
