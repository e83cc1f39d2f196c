"""Addresses that the DHT names, and which of them to ask next.

Anybody can announce addresses under our hourly id, and a node of the DHT can name as many as it likes. A member's
announce is kept by the eight nodes that are closest to the id, so several replies name it; what a liar invents is named
by that liar. So whatever the most replies name is asked first, and ten thousand inventions delay a member by seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from wgmesh.core.model import Endpoint

RUMOURS_MAX = 1024  # what is true comes again with the next look-up


class ReportedAddresses:
    """Addresses that wait for their turn, with the number of replies that have named each."""

    def __init__(self) -> None:
        self._named: dict[Endpoint, int] = {}

    def __len__(self) -> int:
        return len(self._named)

    def note(self, addresses: Iterable[Endpoint]) -> None:
        """Notes what one reply names."""
        for address in set(addresses):
            self._named[address] = self._named.get(address, 0) + 1
        if len(self._named) > RUMOURS_MAX:
            best_first = sorted(self._named.items(), key=lambda item: -item[1])
            self._named = dict(best_first[: RUMOURS_MAX // 2])  # half, so that it is not sorted with every reply

    def take(self) -> Endpoint | None:
        """Takes the address that the most replies have named."""
        if not self._named:
            return None
        chosen = max(self._named, key=self._named.__getitem__)
        del self._named[chosen]
        return chosen
