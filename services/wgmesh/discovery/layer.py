"""The contract of a way of finding peers: what the core asks of each, and what it tells each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, LayerState, PublicKey
from wgmesh.discovery.members.record import PeerRecord


class Health(NamedTuple):
    """How a layer fares, for the operator. `detail` is one line, without ages, which would be new at every look."""

    state: LayerState
    detail: str = ""


class Layer:
    """One way of finding peers. Whatever a layer does not care for does nothing.

    Its clock runs only while the node knows who it is: `handle_timeout` is called after every input then.
    """

    name: str

    def handle_timeout(self, now: float) -> None:
        """Does what is due at `now`, and nothing if nothing is."""

    def poll_timeout(self) -> float | None:
        """Returns when `handle_timeout` has something to do, or None for never."""
        return None

    def health(self) -> Health | None:
        """Returns how it fares; None where the shell says that, or where nothing is shown."""
        return None

    def remark(self, now: float) -> Health | None:
        """Returns what it has to add to what the shell says: a worse state counts, and the detail follows."""
        return None

    def remark_due_at(self, now: float) -> float | None:
        """Returns when there may be something to remark though nothing happens, or None for never."""
        return None

    def described(self, now: float) -> None:
        """What this node says of itself has changed."""

    def moved(self, now: float) -> None:
        """The host has other interfaces or addresses."""

    def clock_set(self, now: float) -> None:
        """The host's clock was set: other hours and windows are open now."""

    def heard(self, key: PublicKey, source: Endpoint, now: float) -> None:
        """A peer has spoken on the exchange socket, from `source`."""

    def answered(self, key: PublicKey, now: float) -> None:
        """A peer has answered a HELLO of ours."""

    def proven(self, records: Sequence[PeerRecord], now: float) -> None:
        """The tunnels to these peers have just begun to work."""

    def leave(self, now: float) -> None:
        """This node says goodbye."""


def clock_time(wall: WallClock, at: float) -> str:
    """Returns a moment as the time of day that the clock, as it stands, gives to it, for a detail."""
    return f"{datetime.fromtimestamp(wall.at(at), UTC):%H:%M:%S} UTC"


def dated(wall: WallClock, **moments: float | None) -> list[str]:
    """Returns the moments that have come, each as its name and its time of day, for a detail."""
    return [f"{name.replace('_', ' ')} {clock_time(wall, at)}" for name, at in moments.items() if at is not None]
