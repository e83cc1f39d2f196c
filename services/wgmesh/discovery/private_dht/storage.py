"""The values that this node keeps for the private DHT: bounded in number, size, age and by who wrote them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from kademlia.storage import ForgetfulStorage
from wgmesh.core.places import Places
from wgmesh.core.wire.dht_message import KEY_BYTES, MAX_VALUE_BYTES

MAX_VALUES = 4096  # 4 MB at most; a mesh of 1000 members keeps few values each
LIFETIME_S = 7200  # who publishes every hour survives one lost round; what nobody publishes goes
# One host can fill an eighth. A member hands over at most what it is closest to, which is far less.
MAX_VALUES_OF_HOST = 512
MAX_VALUES_OF_KEY = 8  # of as many hosts: one that has fewer addresses cannot drive out who renews its own

Judge = Callable[[bytes, bytes | None, bytes], bool]  # key, old, new: may the new one take the place? Never raises


class JudgedStorage(ForgetfulStorage):  # type: ignore[misc]  # the package has no types
    """The package's storage, oldest write first, with a judge at its door. Nothing is published again.

    A host that writes under a key has a place of its own there. Every member can seal a value in the name of any other,
    with any revision, so a value never takes the place of one that came from another host: a liar stands beside the
    honest ones, who are read as well. Where there is no room the oldest of the host that has most goes.
    """

    def __init__(self, judge: Judge) -> None:
        super().__init__(LIFETIME_S)
        self.judge = judge
        self._values: dict[bytes, dict[Hashable, bytes]] = {}  # of each key and host, the one whose turn it is first
        self._places: Places[tuple[bytes, Hashable], Hashable] = Places(MAX_VALUES, MAX_VALUES_OF_HOST)

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:
        """Returns one of the values under a key: an answer has room for one. They take turns."""
        self.cull()
        if (held := self._values.get(key)) is None:
            return default
        host = next(iter(held))
        held[host] = value = held.pop(host)
        return value

    def values(self, key: bytes) -> list[bytes]:
        """Returns all values under a key."""
        self.cull()
        return list(self._values.get(key, {}).values())

    def write(self, key: bytes, value: bytes, host: Hashable) -> bool:
        """Keeps a value for one that writes from `host`, if it may replace what is there; says whether it is kept.

        The same value again is as good as new, and stays with its first writer.
        """
        if len(key) != KEY_BYTES or not 0 < len(value) <= MAX_VALUE_BYTES:
            return False
        self.cull()
        held = self._values.get(key, {})
        writer = next((each for each, old in held.items() if old == value), host)
        if held.get(writer) != value and not self.judge(key, held.get(writer), value):
            return False
        if writer in held:
            self._drop(key, writer)
        elif len(held) >= MAX_VALUES_OF_KEY:
            self._drop(key, min(held, key=lambda each: self.data[key, each]))  # the time comes first
        if (leaving := self._places.admit((key, writer), writer)) is not None:
            self._drop(*leaving)
        self._values.setdefault(key, {})[writer] = value
        self[key, writer] = value
        return True

    def cull(self) -> None:
        for (key, host), _ in self.iter_older_than(self.ttl):
            self._drop(key, host)

    def _drop(self, key: bytes, host: Hashable) -> None:
        del self.data[key, host]
        self._places.leave((key, host))
        del self._values[key][host]
        if not self._values[key]:
            del self._values[key]
