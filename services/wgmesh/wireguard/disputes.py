"""Steps that do not last: the kernel refuses them, or another program undoes them.

Some repetitions come at once, since most often somebody has made a mistake, or tries something. Who undoes the same
thing again and again is a program that wants something else: then every repetition waits twice as long as the last, so
that the two do not keep a machine busy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from wgmesh.core.errors import DeviceUnavailable, MeshError, NotSupported
from wgmesh.core.pauses import Pauses
from wgmesh.core.ratelimit import TokenBucket
from wgmesh.core.recent import Recent
from wgmesh.wireguard.plan import (
    Action,
    AddAddress,
    AddMeshRoute,
    AddRoute,
    RemoveAddress,
    RemoveMeshRoute,
    RemovePeer,
    RemoveRoute,
    SetPeer,
)

AT_ONCE = 10  # repetitions: more than a person undoes in a row
ONE_MORE_AFTER_S = 15.0
FIRST_PAUSE_S = 1.0
LAST_PAUSE_S = 60.0
LAST_RETRY_S = 5.0  # of what the kernel refuses: somebody waits for it to work again, and a try costs little
CALM_S = 2 * LAST_PAUSE_S  # what has lasted this long is not in dispute any more
STEPS_MAX = 4096  # more than a device has addresses, routes and peers

UNDONE = "Another program undoes it again and again, so it is repeated ever more rarely."


class Undone(DeviceUnavailable):
    """A step was taken, and another program undid it."""

    def __init__(self) -> None:
        super().__init__(UNDONE)


class Disputes:
    """Remembers what was done to one device, and what came of it. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._pauses: Pauses[Hashable] = Pauses(FIRST_PAUSE_S, LAST_PAUSE_S, STEPS_MAX)
        self._retries: Pauses[Hashable] = Pauses(FIRST_PAUSE_S, LAST_RETRY_S, STEPS_MAX)
        self._lacking: Pauses[Hashable] = Pauses(LAST_PAUSE_S, LAST_PAUSE_S, STEPS_MAX)  # what this host cannot do
        self._done: Recent[Hashable, tuple[float, TokenBucket]] = Recent(STEPS_MAX)  # when last; how often again
        self._errors: Recent[Hashable, MeshError] = Recent(STEPS_MAX)

    def objection(self, step: Action, now: float) -> MeshError | None:
        """Why the step is not taken now; None where it may be."""
        subject = _subject(step)
        if subject is None:
            return None
        if not (self._retries.is_over(subject, now) and self._lacking.is_over(subject, now)):
            return self._errors.get(subject)
        return None if self._pauses.is_over(subject, now) else Undone()

    def failed(self, step: Action, error: MeshError, now: float) -> None:
        """The step was tried in vain."""
        subject = _subject(step)
        if subject is not None:
            self._errors.note(subject, error)
            pauses = self._lacking if isinstance(error, NotSupported) else self._retries
            pauses.begin(subject, now)

    def done(self, step: Action, now: float) -> MeshError | None:
        """The step was taken. Returns why it may not last, where that was seen before."""
        for opposite in _opposites(step):
            self._done.forget(opposite)
            self._pauses.forget(opposite)
        subject = _subject(step)
        if subject is None:
            return None
        self._errors.forget(subject)
        self._retries.forget(subject)
        self._lacking.forget(subject)
        done_at, patience = self._done.get(subject) or (-math.inf, TokenBucket(1 / ONE_MORE_AFTER_S, AT_ONCE, now))
        self._done.note(subject, (now, patience))
        if now - done_at >= CALM_S:
            self._pauses.forget(subject)
        elif not patience.take(now):
            self._pauses.begin(subject, now)
        return Undone() if self._pauses.until(subject) is not None else None

    def until(self, step: Action) -> float | None:
        """When the pause of the step is over; None where it has none."""
        subject = _subject(step)
        if subject is None:
            return None
        return self._retries.until(subject) or self._lacking.until(subject) or self._pauses.until(subject)


def _subject(step: Action) -> Hashable | None:
    """What a step is about. None is never in dispute: the node itself tries one endpoint of a peer after the other."""
    match step:
        case SetPeer(key, new=True):
            return SetPeer, key
        case SetPeer(key, allowed_ips=None, persistent_keepalive_s=None, preshared_key=None):
            return None
        case SetPeer(key):
            return SetPeer, key, step.allowed_ips, step.persistent_keepalive_s
        case AddRoute(network):
            return AddRoute, network
        case _:
            return step


def _opposites(step: Action) -> tuple[Hashable, ...]:
    """What is no longer so because we wanted it: setting it again later is no repetition."""
    match step:
        case RemoveRoute(network):
            return ((AddRoute, network),)
        case AddRoute(network):
            return (RemoveRoute(network),)
        case RemoveMeshRoute(network):
            return (AddMeshRoute(network),)
        case AddMeshRoute(network):
            return (RemoveMeshRoute(network),)
        case RemoveAddress(address):
            return (AddAddress(address),)
        case AddAddress(address):
            return (RemoveAddress(address),)
        case RemovePeer(key):
            return ((SetPeer, key),)
        case SetPeer(key, new=True):
            return (RemovePeer(key),)
        case _:
            return ()
