"""Tries what another user may do, in a process that has become this user for good."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from wgmesh.supervisor.io.privileges import Account, become


def as_account(account: Account, attempt: Callable[[], list[str]]) -> list[str]:
    """Runs `attempt` as this account and returns what it returns. Needs root."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            become(account)
            os.write(writing, json.dumps(attempt()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    assert answer, "the attempt has ended without an answer"
    return [str(each) for each in json.loads(answer)]


def callable_sockets(account: Account, paths: Iterable[Path]) -> set[Path]:
    """Which of these sockets the account can connect to."""

    def attempt() -> list[str]:
        reached = []
        for path in paths:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(os.fspath(path))
                except PermissionError:
                    continue
                reached.append(os.fspath(path))
        return reached

    return set(map(Path, as_account(account, attempt)))


def touchable_processes(account: Account, pids: Iterable[int]) -> set[int]:
    """Which of these processes the account can signal, or whose memory or environment it can read."""

    def attempt() -> list[str]:
        touched = []
        for pid in pids:
            ways: list[Callable[[], None]] = [partial(os.kill, pid, 0)]
            ways += [partial(_open, f"/proc/{pid}/{name}") for name in ("environ", "mem")]
            for way in ways:
                with suppress(PermissionError):
                    way()
                    touched.append(str(pid))
        return touched

    return set(map(int, as_account(account, attempt)))


def writable_directories(account: Account, paths: Iterable[Path]) -> set[Path]:
    """In which of these directories the account can make an entry."""

    def attempt() -> list[str]:
        made = []
        for path in paths:
            try:
                (path / "planted").mkdir()
            except PermissionError:
                continue
            (path / "planted").rmdir()
            made.append(os.fspath(path))
        return made

    return set(map(Path, as_account(account, attempt)))


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))
