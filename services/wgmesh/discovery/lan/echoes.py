"""What comes back of our announcements: what others say to them, and their own echo.

The kernel hands us each datagram that we send to the group, by the same way through its firewall as those of others. So
an echo that is missing shows what no answer could: it is this host that keeps them out.
"""

from __future__ import annotations

from collections.abc import Iterable

from wgmesh.core.clock import WallClock
from wgmesh.core.model import LayerState
from wgmesh.discovery.lan.channels import LanChannel
from wgmesh.discovery.layer import Health, clock_time
from wgmesh.discovery.silence import Silence


class Echoes:
    """Watches the channels as they are at present."""

    def __init__(self, wall: WallClock, port: int) -> None:
        """`port` is the one that everybody announces to."""
        self._wall = wall
        self._port = port
        self._channels: dict[str, LanChannel] = {}
        self._own: dict[str, Silence] = {}
        self._others = Silence()

    def follow(self, channels: Iterable[LanChannel]) -> None:
        """Begins again: who is silent elsewhere may be heard here."""
        self._channels = {channel.name: channel for channel in channels}
        self._own = {name: Silence() for name in self._channels}
        self._others.begin_again()

    def sent(self, channel: LanChannel, now: float) -> None:
        self._others.sent(now)
        self._own[channel.name].sent(now)

    def returned(self, name: str) -> None:
        """Something has come in by a channel, be it our own."""
        silence = self._own.get(name)
        if silence is not None:
            silence.begin_again()

    def heard(self, name: str) -> None:
        """Another member has spoken on a channel."""
        self._others.heard()
        self.returned(name)

    def remark(self, now: float) -> Health | None:
        """What the operator should know, None where all is as it should be."""
        kept_out = [each for name, each in self._channels.items() if self._own[name].since(now) is not None]
        if kept_out:
            named = ", ".join(f"{each.interface.name} (IPv{each.source.version})" for each in kept_out)
            detail = f"own announcements do not come back on {named}: a firewall on this host drops UDP {self._port}"
            return Health(LayerState.DEGRADED, detail)
        since = self._others.since(now)
        if since is None:
            return None
        why = f"no other node is there, or a firewall drops UDP {self._port}"
        return Health(LayerState.RUNNING, f"nothing heard since {clock_time(self._wall, since)}: {why}")

    def due_at(self, now: float) -> float | None:
        """When there may be something to remark for the first time."""
        due = (each.due_at(now) for each in (self._others, *self._own.values()))
        return min((at for at in due if at is not None), default=None)
