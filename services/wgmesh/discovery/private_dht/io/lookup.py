"""kademlia's own look-up, with an end, and with every value checked in place of a vote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kademlia.crawling import NodeSpiderCrawl
from kademlia.node import Node, NodeHeap
from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_dht.routing import K, spread

MAX_ASKED = 40  # five times k: a member that invents ever closer nodes ends here


class _Nearest(NodeHeap):  # type: ignore[misc]  # the package has no types
    def __iter__(self) -> Iterator[Node]:
        return iter(spread((node for _, node in self.heap), self.node, self.maxsize))


class Lookup(NodeSpiderCrawl):  # type: ignore[misc]
    """Finds the nodes closest to a target, or the values there that the judge of our storage finds good."""

    def __init__(self, protocol: Any, target: Node, start: Iterable[Node], wants_values: bool) -> None:
        super().__init__(protocol, target, [], K, K)  # all at once: a round waits for its slowest
        self.nearest = _Nearest(target, K)
        self.nearest.push([*protocol.router.find_neighbors(target, MAX_ASKED), *start])
        self.values: list[bytes] = []
        self._call = protocol.call_find_value if wants_values else protocol.call_find_node
        self._answered: set[bytes] = set()

    async def find(self) -> None:
        asked = len(self.nearest.contacted)
        # A good value from most that have answered is enough: a few that repeat an old one do not end the search.
        if asked < MAX_ASKED and 2 * len(self.values) <= len(self._answered):
            silent = asked - len(self._answered)  # the more are dead, the more come next
            self.alpha = self.nearest.maxsize = min(K + 2 * silent, MAX_ASKED + K - asked)
            await self._find(self._call)

    async def _nodes_found(self, responses: dict[bytes, tuple[bool, Any]]) -> None:
        self.nearest.maxsize = K
        for id_, (is_there, result) in responses.items():
            asked = self.nearest.get_node(id_)
            named = self.protocol.nodes_at(result, Endpoint(asked.ip, asked.port)) if isinstance(result, tuple) else []
            if isinstance(result, bytes) and self.protocol.storage.judge(self.node.id, None, result):
                self.values.append(result)
            responses[id_] = (is_there, named)
        self._answered.update(id_ for id_, (is_there, _) in responses.items() if is_there)
        await super()._nodes_found(responses)

    def closest(self) -> list[Node]:
        """Returns the closest that have answered."""
        return spread((node for _, node in self.nearest.heap if node.id in self._answered), self.node)
