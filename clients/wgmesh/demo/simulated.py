"""`wgmesh demo --simulated`: the same table from the cores of many nodes on a simulated network, without root."""

from __future__ import annotations

import json
import secrets
import sys

from wgmesh.demo.live import open_view
from wgmesh.demo.table import NodeRow, document
from wgmesh.sim.world import Row, simulate

SEED_BITS = 32


def run(nodes: int, once: bool, as_json: bool, seed: int | None = None) -> int:
    """Simulates a mesh until all nodes reach all others, as fast as it can be computed. Returns the exit code.

    `once` changes nothing: virtual time stops when there is nothing more to see. The same seed gives the same run.
    """
    chosen = secrets.randbits(SEED_BITS) if seed is None else seed
    rows: list[NodeRow] = []
    elapsed_s = 0.0
    with open_view(as_json) as view:
        for elapsed_s, simulated in simulate(nodes, chosen):
            rows = [_row(row, nodes - 1) for row in simulated]
            view.show(rows, elapsed_s)
    complete = bool(rows) and all(row.complete for row in rows)
    if as_json:
        timings = {"all_ping_all": elapsed_s} if complete else {}
        print(json.dumps(document(rows, timings, simulated=True) | {"seed": chosen}, indent=2))
    elif complete:
        print(f"All {nodes} simulated nodes reach each other after {elapsed_s:.1f} virtual seconds (seed {chosen}).")
    if not complete:
        after = f"after {elapsed_s:.0f} virtual seconds (seed {chosen})"
        print(f"Not all simulated nodes reach each other {after}.", file=sys.stderr)
    return 0 if complete else 1


def _row(row: Row, peer_count: int) -> NodeRow:
    return NodeRow(
        node=row.node,
        mesh_ipv4=row.mesh_ipv4,
        reached_count=row.reached_count,
        peer_count=peer_count,
        paths=row.paths,
        handshake_age_s=row.handshake_age_s,
        rtt_s=row.rtt_s,
    )
