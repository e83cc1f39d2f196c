"""Hears what a session of the Mainline DHT reports, and asks until the answer comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from support.waiting import PATIENCE_S
from wgmesh.core.model import Endpoint
from wgmesh.discovery.dht import MainlineEvent, PeersFound

Event = TypeVar("Event", bound=MainlineEvent)

ASK_AGAIN_S = 0.25  # a look-up among a dozen nodes takes a tenth of it


class Ears:
    """All events of one session, in order. Give `hear` to the session."""

    def __init__(self) -> None:
        self.events: list[MainlineEvent] = []
        self._heard = asyncio.Event()

    def hear(self, event: MainlineEvent) -> None:
        self.events.append(event)
        self._heard.set()

    def all(self, kind: type[Event]) -> list[Event]:
        """What was heard of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def first(
        self, kind: type[Event], fits: Callable[[Event], bool] = lambda event: True, within_s: float = 5.0
    ) -> Event:
        """Returns the first event of a kind that fits, also one heard before. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                for event in self.all(kind):
                    if fits(event):
                        return event
                self._heard.clear()
                await self._heard.wait()

    async def ask(
        self,
        ask: Callable[[], None],
        kind: type[Event],
        fits: Callable[[Event], bool] = lambda event: True,
        within_s: float = PATIENCE_S,
    ) -> Event:
        """Asks again and again until an event that fits comes. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while True:
                ask()
                try:
                    return await self.first(kind, fits, ASK_AGAIN_S)
                except TimeoutError:
                    continue


def names(infohash: bytes, endpoint: Endpoint) -> Callable[[PeersFound], bool]:
    """Whether a reply names this peer."""
    return lambda event: event.infohash == infohash and endpoint in event.endpoints
