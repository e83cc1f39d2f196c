"""Runs inside the test machine: two nodes join one mesh on the kernel's own WireGuard and ping each other."""

from __future__ import annotations

import sys
import time

from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import TimedOut

TIMEOUT_S = 300.0  # an emulated processor is about ten times slower, and others may want the real one too


def main() -> int:
    started_at = time.monotonic()
    with Fabric() as fabric:
        secret = new_secret()
        nodes = [MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"])]
        for node in nodes:
            node.start()
        try:
            addresses = wait_for_full_mesh(nodes, TIMEOUT_S)
        except TimedOut as error:
            print(error, *(node.running_process().output() for node in nodes), sep="\n")
            return 1
        print(f"full mesh after {time.monotonic() - started_at:.1f} s")
        print(nodes[0].host.exec("ping", "-c", "3", "-i", "0.2", addresses["b"]))
        print(nodes[0].host.exec("wg", "show", "wg0", "latest-handshakes"))
        backends = {status.backend for node in nodes if (status := node.status())}
        print("back ends:", *backends)
        return 0 if backends == {"kernel"} else 1


if __name__ == "__main__":
    sys.exit(main())
