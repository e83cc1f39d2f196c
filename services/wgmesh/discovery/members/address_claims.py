"""Who is said to have which mesh address."""

from __future__ import annotations

from wgmesh.core.model import IPAddress, PublicKey


class AddressClaims:
    """The mesh addresses of all peers, by address."""

    def __init__(self) -> None:
        self._addresses: dict[PublicKey, tuple[IPAddress, ...]] = {}
        self._claimants: dict[IPAddress, frozenset[PublicKey]] = {}

    def of(self, address: IPAddress) -> frozenset[PublicKey]:
        return self._claimants.get(address, frozenset())

    def set(self, key: PublicKey, *addresses: IPAddress | None) -> None:
        """Makes these all the addresses of a peer."""
        self.drop(key)
        claimed = self._addresses[key] = tuple({address for address in addresses if address is not None})
        for address in claimed:
            self._claimants[address] = self.of(address) | {key}

    def drop(self, key: PublicKey) -> None:
        for address in self._addresses.pop(key, ()):
            remaining = self.of(address) - {key}
            if remaining:
                self._claimants[address] = remaining
            else:
                del self._claimants[address]
