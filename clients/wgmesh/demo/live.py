"""`wgmesh demo`: real nodes in namespaces, shown until all of them ping each other."""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from wgmesh.client.node import NodeClient
from wgmesh.core.errors import NotSupported, PermissionDenied
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.interruption import noted_signals
from wgmesh.demo.nodes import MeshNode, ask, mesh_targets, new_secret
from wgmesh.demo.pinger import Pinger
from wgmesh.demo.prerequisites import missing_prerequisites, others_can_read_the_program
from wgmesh.demo.table import NodeRow, document, lines, rich_table
from wgmesh.v1 import node_service_pb2 as node_pb2

QUESTIONS_MAX = 16  # at a time
ROUND_S = 0.2  # what an eye follows
PING_TIMEOUT_S = 0.2
BOUND_S = 30.0  # a machine with one slow core needs ten seconds for three nodes
BOUND_PER_NODE_S = 2.0
LOG_LINES = 15  # of a node that died, enough to see why


class View(Protocol):
    """Where the table goes."""

    def show(self, rows: Sequence[NodeRow], elapsed_s: float) -> None: ...


class _LineView:
    """For a pipe: the table whenever a node reaches more than before."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled
        self._shown: list[int] = []

    def show(self, rows: Sequence[NodeRow], elapsed_s: float) -> None:
        reached = [row.reached_count for row in rows]
        if self._enabled and reached != self._shown:
            self._shown = reached
            print(f"after {elapsed_s:.1f} s", *lines(rows), "", sep="\n", flush=True)


@contextmanager
def open_view(as_json: bool) -> Iterator[View]:
    """A live table on a terminal, lines on a pipe, nothing before JSON."""
    if as_json or not sys.stdout.isatty():
        yield _LineView(enabled=not as_json)
        return
    from rich.live import Live

    with Live(auto_refresh=False) as live:

        class _TerminalView:
            def show(self, rows: Sequence[NodeRow], elapsed_s: float) -> None:
                live.update(rich_table(rows, f"wgmesh demo, {elapsed_s:.1f} s"), refresh=True)

        yield _TerminalView()


@dataclass(slots=True)
class _Run:
    """One demo in progress. It is to end once anything is in `interruption`, which each round looks at."""

    nodes: list[MeshNode]
    pinger: Pinger
    started_at: float
    interruption: Collection[object]

    def rows(self) -> list[NodeRow]:
        """Asks all nodes and pings all pairs once."""
        sockets = [node.socket_path for node in self.nodes]
        with ThreadPoolExecutor(QUESTIONS_MAX) as asking:  # a node that is busy does not hold up the others
            statuses = list(asking.map(lambda socket: ask(socket, NodeClient.get_status), sockets))
            peers = list(asking.map(lambda socket: ask(socket, NodeClient.list_peers), sockets))
        addresses = {
            node.name: status.mesh_ipv4 if status else "" for node, status in zip(self.nodes, statuses, strict=True)
        }
        answers = self.pinger.ping(mesh_targets(addresses), PING_TIMEOUT_S)
        rows = []
        for node, known in zip(self.nodes, peers, strict=True):
            rtts = [rtt for target, rtt in answers.items() if target.source == node.name]
            rows.append(_row(node.name, addresses[node.name], len(self.nodes) - 1, known or (), rtts))
        return rows

    def dead_node(self) -> MeshNode | None:
        return next((node for node in self.nodes if not node.running_process().running), None)


def _row(
    name: str, mesh_ipv4: str, peer_count: int, known: Sequence[node_pb2.PeerStatus], rtts: Sequence[float]
) -> NodeRow:
    handshakes = [peer.handshake_time.ToSeconds() for peer in known if peer.HasField("handshake_time")]
    return NodeRow(
        node=name,
        mesh_ipv4=mesh_ipv4,
        reached_count=len(rtts),
        peer_count=peer_count,
        paths=tuple(sorted({peer.path for peer in known if peer.path and peer.path != "none"})),
        handshake_age_s=max(0.0, time.time() - min(handshakes)) if handshakes else None,
        rtt_s=statistics.median(rtts) if rtts else None,
    )


def run(nodes: int, once: bool, as_json: bool) -> int:
    """Starts `nodes` real nodes and shows them until all ping all; without `once`, until a signal asks it to end.

    Returns the exit code. Raises PermissionDenied or NotSupported if real nodes cannot run here, and KeyboardInterrupt,
    when everything is removed, after Ctrl-C, or after another signal that came before all pinged all.
    """
    with noted_signals() as arrived:
        missing = missing_prerequisites()
        if missing:
            kind = PermissionDenied if any("root" in reason for reason in missing) else NotSupported
            offer = "`wgmesh demo --simulated` shows the same on a simulated network."
            raise kind(f"{'; '.join(missing)}. {offer}")
        if not others_can_read_the_program():
            print(
                "The program lies where other users cannot read it, so all processes of a node run as root here.",
                file=sys.stderr,
            )
        with Fabric() as fabric:
            code = _run_on(fabric, nodes, once, as_json, arrived)
    if code is None or signal.SIGINT in arrived:
        raise KeyboardInterrupt
    return code


def _run_on(fabric: Fabric, count: int, once: bool, as_json: bool, interruption: Collection[object]) -> int | None:
    """Returns the exit code, or None if it was interrupted before all nodes pinged each other."""
    hosts = fabric.add_hosts([f"node{number}" for number in range(1, count + 1)])
    secret = new_secret()
    mesh = [MeshNode(host, secret) for host in hosts]
    started_at = time.monotonic()
    for node in mesh:
        node.start()
    last_start_s = time.monotonic() - started_at
    with Pinger(hosts) as pinger:
        demo = _Run(mesh, pinger, started_at, interruption)
        with open_view(as_json) as view:
            outcome = _until_complete(demo, view)
        if outcome is None:
            return None
        rows, problem = outcome
        elapsed_s = time.monotonic() - started_at
        if problem:
            print(f"{problem} The nodes' logs are kept in {fabric.keep_logs()}.", file=sys.stderr)
            if as_json:
                print(json.dumps(document(rows, {}, simulated=False), indent=2))
            return 1
        timings = {"all_ping_all": elapsed_s, "all_ping_all_after_last_start": elapsed_s - last_start_s}
        if as_json:
            print(json.dumps(document(rows, timings, simulated=False), indent=2), flush=True)
        else:
            print(f"All {count} nodes ping each other over the mesh, {elapsed_s:.1f} s after the start.", flush=True)
        if not once:
            _stay(demo, as_json)
    return 0


def _until_complete(demo: _Run, view: View) -> tuple[list[NodeRow], str] | None:
    """Shows rounds until the mesh is complete. Returns the last rows, and what went wrong or an empty text.

    Returns None if it was interrupted.
    """
    bound_s = BOUND_S + BOUND_PER_NODE_S * len(demo.nodes)
    while not demo.interruption:
        rows = demo.rows()
        elapsed_s = time.monotonic() - demo.started_at
        view.show(rows, elapsed_s)
        if all(row.complete for row in rows):
            return rows, ""
        dead = demo.dead_node()
        if dead is not None:
            tail = "\n".join(dead.running_process().output().splitlines()[-LOG_LINES:])
            return rows, f"{dead.name} ended with exit code {dead.running_process().exit_code}:\n{tail}\n"
        if elapsed_s > bound_s:
            lacking = ", ".join(f"{row.node} reaches {row.reached_count}/{row.peer_count}" for row in rows)
            return rows, f"Not all nodes reach each other after {bound_s:.0f} s: {lacking}."
        time.sleep(ROUND_S)
    return None


def _stay(demo: _Run, as_json: bool) -> None:
    """Goes on showing the mesh until a signal comes."""
    print("Ctrl-C ends it and removes everything.", file=sys.stderr, flush=True)
    with open_view(as_json) as view:
        while not demo.interruption:
            view.show(demo.rows(), time.monotonic() - demo.started_at)
            time.sleep(ROUND_S)
