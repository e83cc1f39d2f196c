"""Has the wireguard process agree on keys with peers: the private key stays there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from wgmesh.client.wireguard import WireGuardClient
from wgmesh.core.errors import MeshError
from wgmesh.core.keys.possession import Agreement
from wgmesh.core.model import PublicKey
from wgmesh.runtime.logs import BoundLogger


class KeyAgreement:
    """Asks for what is wanted, one call at a time. What fails is wanted again by the core a second later."""

    def __init__(self, client: WireGuardClient, log: BoundLogger) -> None:
        self._client = client
        self._log = log
        self._wanted: dict[PublicKey, None] = {}
        self._changed = asyncio.Event()
        self._trouble = ""

    def want(self, keys: Sequence[PublicKey]) -> None:
        self._wanted |= dict.fromkeys(keys)
        self._changed.set()

    async def run(self, on_agreed: Callable[[Sequence[Agreement]], None]) -> None:
        """Runs until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted, self._wanted = tuple(self._wanted), {}
            try:
                on_agreed(await self._client.agree_pair_keys(wanted))
                self._trouble = ""
            except MeshError as error:
                self._note(str(error))

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._log.warning("keys not agreed", reason=trouble)
        self._trouble = trouble
