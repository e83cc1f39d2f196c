"""The values that this node keeps for the private DHT: bounded in number, size, age and by who wrote them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from kademlia.storage import ForgetfulStorage
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
    honest ones, who are read as well.
    """

    def __init__(self, judge: Judge) -> None:
        super().__init__(LIFETIME_S)
        self.judge = judge
        self._hosts: dict[bytes, dict[Hashable, None]] = {}  # of each key, the one whose turn it is first
        self._counts: Counter[Hashable] = Counter()

    def get(self, key: bytes, default: bytes | None = None) -> bytes | None:
        """Returns one of the values under a key: an answer has room for one. They take turns."""
        self.cull()
        hosts = self._hosts.get(key)
        if hosts is None:
            return default
        host = next(iter(hosts))
        hosts[host] = hosts.pop(host)
        return self._value(key, host)

    def values(self, key: bytes) -> list[bytes]:
        """Returns all values under a key."""
        self.cull()
        return [self._value(key, host) for host in self._hosts.get(key, ())]

    def write(self, key: bytes, value: bytes, host: Hashable) -> bool:
        """Keeps a value for one that writes from `host`, if it may replace what is there; says whether it is kept.

        The same value again is as good as new, and stays with its first writer. Where there is no room the oldest goes.
        """
        if len(key) != KEY_BYTES or not 0 < len(value) <= MAX_VALUE_BYTES:
            return False
        self.cull()
        held = {each: self._value(key, each) for each in self._hosts.get(key, ())}
        first = next((each for each, old in held.items() if old == value), None)
        if value in held.values():
            host = first
        elif (host not in held and self._counts[host] >= MAX_VALUES_OF_HOST) or not self.judge(
            key, held.get(host), value
        ):
            return False
        elif host not in held and len(held) >= MAX_VALUES_OF_KEY:
            self._drop(key, min(held, key=lambda each: self._written_at(key, each)))
        self._drop(key, host)
        self._hosts.setdefault(key, {})[host] = None
        self._counts[host] += 1
        self[key, host] = value
        if len(self.data) > MAX_VALUES:
            self._drop(*next(iter(self.data)))
        return True

    def cull(self) -> None:
        for (key, host), _ in self.iter_older_than(self.ttl):
            self._drop(key, host)

    def _value(self, key: bytes, host: Hashable) -> bytes:
        value: bytes = self.data[key, host][1]
        return value

    def _written_at(self, key: bytes, host: Hashable) -> float:
        written_at: float = self.data[key, host][0]
        return written_at

    def _drop(self, key: bytes, host: Hashable) -> None:
        if self.data.pop((key, host), None) is None:
            return
        del self._hosts[key][host]
        if not self._hosts[key]:
            del self._hosts[key]
        self._counts[host] -= 1
        if not self._counts[host]:
            del self._counts[host]
