"""Real nodes on the fabric: `wgmesh join` as an operator would run it, and what they say on their control sockets."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from wgmesh.client.node import NodeClient
from wgmesh.core.errors import NotReady
from wgmesh.demo.host import Host
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.prerequisites import others_can_read_the_program
from wgmesh.demo.process import Process
from wgmesh.demo.waiting import TimedOut, wait_for
from wgmesh.v1 import node_service_pb2 as node_pb2

Value = TypeVar("Value")

SERVICES = ("discovery", "metrics", "nat", "node", "wireguard")
QUESTION_TIMEOUT_S = 2.0  # a node under start-up load answers late; a dead one must not hold up the round
PATIENCE_S = 60.0  # a node is ready within a second, and finds the others in two; a crowded machine takes its time
LINES_SHOWN = 40  # of a node that is not ready
COMM_BYTES = 15  # the kernel cuts process names there (prctl(2), PR_SET_NAME)
PING_TIMEOUT_S = 0.5  # two hundred times what a ping between two namespaces takes


def new_secret() -> str:
    """A mesh secret of 256 bits."""
    return secrets.token_urlsafe(32)


def program() -> str:
    """The path of the `wgmesh` program that belongs to the running Python."""
    beside = Path(sys.executable).with_name("wgmesh")
    return str(beside) if beside.exists() else shutil.which("wgmesh") or "wgmesh"


class MeshNode:
    """One `wgmesh join` on one machine. The secret goes in by a file, never by an argument."""

    def __init__(
        self,
        host: Host,
        secret: str,
        *flags: str,
        interface: str = "wg0",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` is what its programs get beside that of this process."""
        self.host = host
        self.environment = environment
        self.interface = interface
        self.flags = flags
        self.process: Process | None = None
        self.secret_file = host.directory / f"{interface}.secret"
        self.secret_file.touch(mode=0o600)
        self.secret_file.write_text(secret + "\n")

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def socket_path(self) -> Path:
        return self.host.runtime_dir / self.interface / "node.sock"

    @property
    def state_file(self) -> Path:
        return self.host.state_dir / f"{self.interface}.json"

    def join_argv(self, *flags: str) -> list[str]:
        """The command line of `wgmesh join` with this node's own directories."""
        return [
            program(),
            "join",
            *("--secret-file", str(self.secret_file)),
            *("--interface", self.interface),
            *("--state-dir", str(self.host.state_dir)),
            *("--runtime-dir", str(self.host.runtime_dir)),
            *([] if others_can_read_the_program() else ["--insecure-single-user"]),
            *self.flags,
            *flags,
        ]

    def start(self, *flags: str) -> Process:
        """Starts it and returns at once."""
        environment = None if self.environment is None else os.environ | dict(self.environment)
        self.process = self.host.spawn(*self.join_argv(*flags), name=f"join-{self.interface}", environment=environment)
        return self.process

    def running_process(self) -> Process:
        """The process of the last start. Raises RuntimeError if it was never started."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self.process

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs another `wgmesh` command against this node."""
        environment = os.environ | {"WGMESH_SOCKET": str(self.socket_path)}
        return self.host.attempt(program(), *arguments, environment=environment)

    def status(self) -> node_pb2.GetStatusResponse | None:
        """What it says of itself, None while it does not answer."""
        return ask(self.socket_path, NodeClient.get_status)

    def peers(self) -> Sequence[node_pb2.PeerStatus]:
        """Its peers, as soon as it answers. Raises TimedOut."""

        def answer() -> tuple[Sequence[node_pb2.PeerStatus]] | None:
            peers = ask(self.socket_path, NodeClient.list_peers)
            return None if peers is None else (peers,)

        (peers,) = wait_for(answer, PATIENCE_S, f"{self.name} tells its peers")
        return peers

    def wait_until_ready(self, timeout_s: float = PATIENCE_S) -> node_pb2.GetStatusResponse:
        """Waits until it answers and has a mesh address. Raises TimedOut."""

        def ready() -> node_pb2.GetStatusResponse | None:
            status = self.status()
            return status if status is not None and status.mesh_ipv4 and status.listen_port else None

        try:
            return wait_for(ready, timeout_s, f"{self.name} is ready")
        except TimedOut as error:
            process = self.running_process()
            state = "it still runs" if process.running else f"it has ended with {process.exit_code}"
            last = "\n".join(process.output().splitlines()[-LINES_SHOWN:])
            raise TimedOut(f"{error}; {state}; the last that it wrote:\n{last}") from None

    def service_pids(self) -> dict[str, int]:
        """The process ids of its services by name, as far as they live."""
        pids = {}
        for pid in _descendants(self.running_process().pid):
            name = _service_name(pid)
            if name:
                pids[name] = pid
        return pids

    def kill_service(self, name: str) -> int:
        """SIGKILL for one service. Returns the id that it had. Raises KeyError."""
        pid = self.service_pids()[name]
        os.kill(pid, signal.SIGKILL)
        return pid


def ask(socket_path: Path, question: Callable[[NodeClient], Value]) -> Value | None:
    """Asks a node one question. Returns None if it does not answer: not started yet, restarting, or gone."""
    if not socket_path.exists():
        return None
    with NodeClient(socket_path, QUESTION_TIMEOUT_S) as client:
        try:
            return question(client)
        except NotReady:
            return None


def mesh_targets(addresses: dict[str, str]) -> list[Target]:
    """Every direction of every pair of machines. `addresses` gives the mesh IPv4 address by machine."""
    return [
        Target(source, address)
        for source in addresses
        for name, address in addresses.items()
        if name != source and address
    ]


def wait_for_full_mesh(nodes: Sequence[MeshNode], timeout_s: float = PATIENCE_S) -> dict[str, str]:
    """Waits until every node pings every other through the mesh. Returns the mesh IPv4 address of each by name.

    Raises TimedOut.
    """
    addresses = {node.name: node.wait_until_ready(timeout_s).mesh_ipv4 for node in nodes}
    targets = mesh_targets(addresses)
    with Pinger([node.host for node in nodes]) as pinger:
        wait_for(
            lambda: len(pinger.ping(targets, PING_TIMEOUT_S)) == len(targets),
            timeout_s,
            f"all {len(nodes)} nodes ping each other",
        )
    return addresses


def _descendants(pid: int) -> Iterable[int]:
    """The children of a process and theirs."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)


def _service_name(pid: int) -> str:
    """Which service a process is, by the name that it gave itself; empty if none."""
    try:
        comm = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((name for name in SERVICES if comm == f"wgmesh-{name}"[:COMM_BYTES]), "")
