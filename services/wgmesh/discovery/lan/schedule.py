"""When to announce on which LAN.

A node announces at once, twice more within a second (the others may just be starting), then every 5 s. Hearing somebody
new brings the next announcement forward, so that the newcomer need not wait for it. By IPv6 beside IPv4 it announces
later and seldom, unless somebody is heard there whom IPv4 does not bring; so it does on all but the first ten
interfaces of a host that has hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from math import inf

from wgmesh.discovery.lan.channels import LanChannel

INTERVAL_S = 5.0  # upstream's; its peers count on it (protocol notes, section 10)
OPENING_S = (0.0, 0.25, 1.0)  # the repeats: one lost datagram must not cost 5 s
HURRY_JITTER_S = 0.02  # spreads the answers of a LAN full of nodes to one newcomer
HURRY_GAP_S = 1.0  # between two answers to newcomers: each gets a HELLO as well, and every answer is heard by all
DATAGRAM_MAX = 4095  # upstream reads at most 4096 bytes and truncates (section 10)

LANS_AT_FULL_RATE = 10
# On further ones the first goes out some at a time: each is sealed by itself, and messages that come meanwhile wait.
AT_A_TIME = 10
A_TIME_S = 0.1

# Beside IPv4 the first comes when IPv4 has done its work. A neighbour that hears us in no other way is heard every 5 s
# itself, and answered at once.
OPENING_BESIDE_S = (0.5, 2.0)
SELDOM_S = 60.0  # a twelfth of the usual cost
SELDOM_PER_S = 2.0  # of all channels together: what ten interfaces cost at the usual rate
NEEDED_S = 20.0  # four announcements of that neighbour missed: it has left


@dataclass(slots=True)
class _Schedule:
    next_at: float
    opening: list[float]
    announced_at: float = -inf
    needed_until: float = inf
    """Until when somebody counts on announcements every 5 s."""


class LanSchedule:
    """The schedule of announcements, one line a channel."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._channels: dict[str, LanChannel] = {}
        self._schedules: dict[str, _Schedule] = {}

    def set_channels(self, channels: Iterable[LanChannel], now: float) -> bool:
        """Starts announcing on new ones, and again on those whose addresses changed. Whether anything is new."""
        previous, self._channels = self._channels, {each.name: each for each in channels}
        places = accumulate(not channel.is_beside_ipv4 for channel in self._channels.values())
        self._schedules = {
            name: self._schedules[name] if previous.get(name) == channel else _opening(channel, place - 1, now)
            for (name, channel), place in zip(self._channels.items(), places, strict=True)
        }
        return previous != self._channels

    def channel(self, name: str) -> LanChannel | None:
        return self._channels.get(name)

    @property
    def channels(self) -> tuple[LanChannel, ...]:
        return tuple(self._channels.values())

    def restart(self, now: float) -> None:
        """Announces at once wherever somebody counts on it: what we say of ourselves has changed."""
        for schedule in self._schedules.values():
            if now < schedule.needed_until:
                schedule.next_at = now

    def hurry(self, name: str, now: float) -> None:
        """Brings the next announcement forward: somebody new was heard there."""
        schedule = self._schedules.get(name)
        if schedule is not None:
            soon = max(now + self._random_unit() * HURRY_JITTER_S, schedule.announced_at + HURRY_GAP_S)
            schedule.next_at = min(schedule.next_at, soon)

    def heard(self, name: str, now: float) -> None:
        """Notes that a member is heard there, and in no other way, and so hears us in no other way."""
        schedule = self._schedules.get(name)
        if schedule is not None:
            schedule.needed_until = max(schedule.needed_until, now + NEEDED_S)
            schedule.next_at = min(schedule.next_at, max(now, schedule.announced_at + INTERVAL_S))

    def due(self, now: float) -> list[LanChannel]:
        """Returns the channels to announce on at once, and schedules their next turn."""
        due = []
        for name, schedule in self._schedules.items():
            if now >= schedule.next_at:
                due.append(self._channels[name])
                schedule.announced_at = now
                schedule.next_at = (
                    schedule.opening.pop(0) if schedule.opening else now + self._interval_s(schedule, now)
                )
        return due

    def poll_timeout(self) -> float | None:
        return min((schedule.next_at for schedule in self._schedules.values()), default=None)

    def _interval_s(self, schedule: _Schedule, now: float) -> float:
        return INTERVAL_S if now < schedule.needed_until else max(SELDOM_S, len(self._schedules) / SELDOM_PER_S)


def _opening(channel: LanChannel, place: int, now: float) -> _Schedule:
    """`place` counts the interfaces before it."""
    if place >= LANS_AT_FULL_RATE:
        return _Schedule(now + A_TIME_S * (place // AT_A_TIME), [], needed_until=-inf)
    first, *repeats = (now + after_s for after_s in (OPENING_BESIDE_S if channel.is_beside_ipv4 else OPENING_S))
    return _Schedule(first, repeats, needed_until=-inf if channel.is_beside_ipv4 else inf)
