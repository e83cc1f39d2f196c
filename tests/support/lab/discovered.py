"""What the discovery service of a real node knows, asked on its own socket."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from support.promises import promised
from wgmesh.client.discovery import DiscoveryClient
from wgmesh.demo.nodes import MeshNode
from wgmesh.runtime.callers import socket_path

ANSWER_S = 0.5  # a service that is just starting is asked again


def discovered(node: MeshNode) -> set[str]:
    """The host names of the peers that have spoken to the running discovery process itself; none while it starts."""
    return asyncio.run(_discovered(node))


async def _discovered(node: MeshNode) -> set[str]:
    async with DiscoveryClient(socket_path(node.socket_path.parent, "discovery", "node")) as client:
        try:
            async with asyncio.timeout(promised(ANSWER_S)), aclosing(client.watch_peers()) as snapshots:  # type: ignore[type-var]
                snapshot = await anext(snapshots)
        except TimeoutError:
            return set()
    return {peer.hostname for peer in snapshot.peers if peer.direct_seen_at is not None}
