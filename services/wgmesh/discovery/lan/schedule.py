"""When to announce on which LAN, and whether a multicast datagram may be believed.

A node announces at once, twice more within a second (the others may just be starting), then every 5 s. Hearing somebody
new brings the next announcement forward, so that the newcomer need not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wgmesh.discovery.host_interfaces import LanInterface

INTERVAL_S = 5.0  # upstream's; its peers count on it (protocol notes, section 10)
OPENING_S = (0.25, 1.0)  # repeats after the first: one lost datagram must not cost 5 s
HURRY_JITTER_S = 0.02  # spreads the answers of a LAN full of nodes to one newcomer
HURRY_GAP_S = 1.0  # between two answers to newcomers: each gets a HELLO as well, and every answer is heard by all
DATAGRAM_MAX = 4095  # upstream reads at most 4096 bytes and truncates (section 10)


@dataclass(slots=True)
class _Schedule:
    next_at: float
    opening: list[float]
    announced_at: float = float("-inf")


class LanSchedule:
    """The schedule of announcements, one line an interface."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._interfaces: dict[str, LanInterface] = {}
        self._schedules: dict[str, _Schedule] = {}

    def set_interfaces(self, interfaces: Iterable[LanInterface], now: float) -> None:
        """Starts announcing on new interfaces, and starts again on those whose addresses changed."""
        previous, self._interfaces = self._interfaces, {each.channel: each for each in interfaces if each.announces}
        self._schedules = {
            channel: self._schedules[channel] if previous.get(channel) == interface else self._opening(now)
            for channel, interface in self._interfaces.items()
        }

    def interface(self, channel: str) -> LanInterface | None:
        return self._interfaces.get(channel)

    @property
    def interfaces(self) -> tuple[LanInterface, ...]:
        return tuple(self._interfaces.values())

    def restart(self, now: float) -> None:
        """Announces everywhere at once: what we say of ourselves has changed."""
        for schedule in self._schedules.values():
            schedule.next_at = now

    def hurry(self, channel: str, now: float) -> None:
        """Brings the next announcement forward: somebody new was heard there."""
        schedule = self._schedules.get(channel)
        if schedule is not None:
            soon = max(now + self._random_unit() * HURRY_JITTER_S, schedule.announced_at + HURRY_GAP_S)
            schedule.next_at = min(schedule.next_at, soon)

    def due(self, now: float) -> list[LanInterface]:
        """Returns the interfaces to announce on at once, and schedules their next turn."""
        due = []
        for channel, schedule in self._schedules.items():
            if now >= schedule.next_at:
                due.append(self._interfaces[channel])
                schedule.announced_at = now
                schedule.next_at = schedule.opening.pop(0) if schedule.opening else now + INTERVAL_S
        return due

    def poll_timeout(self) -> float | None:
        return min((schedule.next_at for schedule in self._schedules.values()), default=None)

    def _opening(self, now: float) -> _Schedule:
        return _Schedule(now, [now + after for after in OPENING_S])
