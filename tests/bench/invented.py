"""What it costs others that one member speaks in very many invented names.

The liar holds the secret. It says HELLO to one of two nodes in ever new names, from its own address and from the other
addresses of the LAN, and goes on while a newcomer starts.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from bench.tunnels import PING_STEP_S, TIMEOUT_S
from support.lab.insider import Insider
from support.lab.outsider import Outsider
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for

NAMES = 1100
GAP_S = 0.005  # between two names: faster, and the socket's buffer would lose most of them
SOURCES = 150  # addresses of the LAN that the liar speaks from
AFTERMATH_S = 5.0  # what is told on is told within one round of gossip


@dataclass(frozen=True, slots=True)
class Invented:
    """What came of it."""

    newcomer_s: float
    """From the newcomer's start to its first ping to the node that is lied to."""
    log_lines_per_s: float
    """Of the node that is lied to, while nothing but the lies happened."""
    heard_of_by_others: int
    """Invented names that the other node knows."""
    in_the_cache: int


def under_invented_names() -> Invented:
    """Lets a member invent names, and a newcomer join meanwhile."""
    with Fabric() as fabric:
        hosts = fabric.add_hosts(["a", "b", "late", "liar"])
        secret = new_secret()
        a, b, late = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in hosts[:3])
        for node in (a, b):
            node.start()
        wait_for_full_mesh([a, b])
        with Outsider(hosts[3]) as wire, Pinger([late.host]) as pinger, _Lies(wire, secret, a) as lies:
            began_at, lines = time.monotonic(), _lines(a)
            wait_for(lambda: lies.told >= NAMES, TIMEOUT_S, "the names are told")
            time.sleep(AFTERMATH_S)
            log_lines = (_lines(a) - lines) / (time.monotonic() - began_at)
            target = [Target("late", a.wait_until_ready().mesh_ipv4)]
            started_at = time.perf_counter()
            late.start()
            wait_for(lambda: pinger.ping(target, PING_STEP_S), TIMEOUT_S, "the newcomer's ping", poll_s=PING_STEP_S)
            newcomer_s = time.perf_counter() - started_at
            known = {peer.public_key for peer in b.peers()}
        b.running_process().stop()
        a.running_process().stop()
        cached = "".join(path.read_text() for path in a.host.state_dir.rglob("*-peers.json"))
        return Invented(
            newcomer_s,
            log_lines,
            len(known & {key.raw for key in lies.names}),
            sum(key.text in cached for key in lies.names),
        )


class _Lies:
    """HELLOs in ever new names, until the context ends."""

    def __init__(self, wire: Outsider, secret: str, victim: MeshNode) -> None:
        self._wire = wire
        self._word = Insider(Secret(secret))
        self._victim = str(victim.host.ipv4)
        self._network = victim.host.attachments[0].ipv4.network
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._tell)
        self.names: list[PublicKey] = []

    @property
    def told(self) -> int:
        return len(self.names)

    def __enter__(self) -> _Lies:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _tell(self) -> None:
        port = self._word.keys.gossip_port
        while not self._is_over.wait(GAP_S):
            name = PublicKey(os.urandom(32))
            number = len(self.names)
            hello = self._word.seal("HELLO", self._word.extended(self._word.describe(name)))
            if number % 2:
                source = str(self._network[100 + number // 2 % SOURCES])
                self._wire.send_as(source, port, hello, self._victim, port)
            else:
                self._wire.send(hello, self._victim, port)
            self.names.append(name)


def _lines(node: MeshNode) -> int:
    return node.running_process().output().count("\n")


if __name__ == "__main__":
    print(under_invented_names())
