"""Network namespaces for tests of one device: each node has its own network and its own /run/wireguard.

A coroutine of a test runs *inside* a node: in a thread that has entered the namespaces, so that every netlink socket
and every program it starts belongs to the node. Needs root.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from support.waiting import PATIENCE_S
from wgmesh.demo.process import Process

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000  # unshare(2)
_CLONE_NEWNS = 0x00020000
_CLONE_FS = 0x00000200
_MS_BIND = 0x1000  # mount(2)
_MS_PRIVATE_RECURSIVE = 0x40000 | 0x4000

_RUN_WIREGUARD = Path("/run/wireguard")
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Node:
    """One namespace. `directory` holds the node's private /run/wireguard and state."""

    name: str
    directory: Path

    @property
    def sockets(self) -> Path:
        return self.directory / "wireguard"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    def run(self, body: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine function to its end inside the node."""
        results: list[T] = []
        errors: list[BaseException] = []

        def thread() -> None:
            try:
                self.enter()
                results.append(asyncio.run(body()))
            except BaseException as error:  # handed to the caller's thread below
                errors.append(error)

        worker = threading.Thread(target=thread)
        worker.start()
        worker.join()
        if errors:
            raise errors[0]
        return results[0]

    def enter(self) -> None:
        """Moves the calling thread into the node, for good."""
        _check(_libc.unshare(_CLONE_NEWNS | _CLONE_FS))
        _check(_libc.mount(None, b"/", None, _MS_PRIVATE_RECURSIVE, None))
        _check(_libc.mount(bytes(self.sockets), bytes(_RUN_WIREGUARD), None, _MS_BIND, None))
        with open(f"/run/netns/{self.name}") as namespace:
            _check(_libc.setns(namespace.fileno(), _CLONE_NEWNET))

    def command(self, *words: str) -> list[str]:
        """Returns the command line that runs `words` inside the node."""
        script = f'mount --bind "{self.sockets}" {_RUN_WIREGUARD} && exec "$@"'
        return ["ip", "netns", "exec", self.name, "sh", "-c", script, "sh", *words]

    def spawn(self, *words: str, name: str) -> Process:
        """Starts a command inside the node; its output goes to `<directory>/<name>.log`."""
        return Process(self.command(*words), self.directory / f"{name}.log", name)

    def call(self, *words: str) -> str:
        """Runs a command inside the node and returns its output. Raises CalledProcessError."""
        done = subprocess.run(self.command(*words), check=True, capture_output=True, text=True, timeout=PATIENCE_S)
        return done.stdout


@contextmanager
def two_nodes(directory: Path) -> Iterator[tuple[Node, Node]]:
    """Two namespaces on one veth pair: 192.168.77.1/24 and .2/24 (and fd77::1/64, ::2) on `eth0`, no default route."""
    with _node(directory / "a") as a, _node(directory / "b") as b:
        _ip("link", "add", "eth0", "netns", a.name, "type", "veth", "peer", "name", "eth0", "netns", b.name)
        for number, node in enumerate((a, b), start=1):
            _ip("-n", node.name, "addr", "add", f"192.168.77.{number}/24", "dev", "eth0")
            _ip("-n", node.name, "addr", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
            _ip("-n", node.name, "link", "set", "eth0", "up")
        yield a, b


@contextmanager
def _node(directory: Path) -> Iterator[Node]:
    _RUN_WIREGUARD.mkdir(mode=0o755, exist_ok=True)
    node = Node(f"wgt{os.getpid()}-{next(_numbers)}", directory)
    for path in (node.sockets, node.state):
        path.mkdir(parents=True)
    _ip("netns", "add", node.name)
    try:
        _ip("-n", node.name, "link", "set", "lo", "up")
        yield node
    finally:
        # A userspace program ends with its interface, so none outlives the namespace.
        links = subprocess.run(
            ["ip", "-n", node.name, "-o", "link", "show"], check=False, capture_output=True, text=True
        ).stdout
        for line in links.splitlines():
            name = line.split(": ")[1].partition("@")[0]
            if name.startswith("wg"):
                subprocess.run(["ip", "-n", node.name, "link", "del", name], check=False, capture_output=True)
        _ip("netns", "del", node.name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=PATIENCE_S)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
