"""What the peer cache keeps."""

from __future__ import annotations

import ipaddress

from wgmesh.core.model import PublicKey
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.discovery.members.cache_merge import REMEMBERED_MAX, remember

NOW = 10_000_000.0


def test_a_start_without_network_does_not_empty_the_cache() -> None:
    earlier = [peer(1, 100), peer(2, 200)]
    assert remember(earlier, [], (), NOW, forgets=True) == (peer(1, 100), peer(2, 200))


def test_what_is_known_today_replaces_what_was_remembered() -> None:
    assert remember([peer(1, 100, "old")], [peer(1, 5, "new")], (), NOW, forgets=True) == (peer(1, 5, "new"),)


def test_who_said_goodbye_is_forgotten_unless_it_is_back() -> None:
    assert remember([peer(1, 100), peer(2, 100)], [peer(2, 5)], {key(1), key(2)}, NOW, forgets=True) == (peer(2, 5),)


def test_a_month_is_enough() -> None:
    assert remember([peer(1, 31 * 86400), peer(2, 29 * 86400)], [], (), NOW, forgets=True) == (peer(2, 29 * 86400),)


def test_the_most_recent_are_kept() -> None:
    kept = remember([peer(number, number) for number in range(REMEMBERED_MAX + 5)], [], (), NOW, forgets=True)
    assert len(kept) == REMEMBERED_MAX and kept[0] == peer(0, 0) and kept[-1] == peer(999, 999)


def test_a_file_whose_times_lie_ahead_does_not_crowd_out_who_is_here() -> None:
    ahead = [peer(number, -(10**9)) for number in range(1, REMEMBERED_MAX + 1)]
    kept = remember(ahead, [peer(5000, 60)], (), NOW, forgets=True)
    assert len(kept) == REMEMBERED_MAX and kept[0] == peer(5000, 60)


def peer(number: int, age_s: int, hostname: str = "") -> CachedPeer:
    return CachedPeer(key(number), ipaddress.IPv4Address("10.1.0.1"), int(NOW) - age_s, hostname=hostname)


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def test_by_a_clock_that_nobody_bears_out_nobody_is_old() -> None:
    earlier = [peer(1, 31 * 86400), peer(2, 3650 * 86400)]
    assert remember(earlier, [], (), NOW, forgets=False) == (peer(1, 31 * 86400), peer(2, 3650 * 86400))
