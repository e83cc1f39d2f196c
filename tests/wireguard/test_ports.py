"""The listen port stays across restarts, moves when it must, and follows the operator's wish."""

from __future__ import annotations

import itertools

import pytest
from wgmesh.core.errors import DeviceUnavailable
from wgmesh.wireguard.ports import candidate_ports, parse_udp_table

NONE: frozenset[int] = frozenset()


def first(
    desired: int, current: int, stored: int | None, busy: frozenset[int] = NONE, reserved: frozenset[int] = NONE
) -> int:
    return next(candidate_ports(desired, current, stored, busy, reserved))


def test_the_current_port_of_an_adopted_device_stays() -> None:
    assert first(51820, 51823, 51821, busy=frozenset({51823})) == 51823


def test_the_stored_port_comes_before_the_desired_one() -> None:
    assert first(51820, 0, 51822) == 51822


def insisted(desired: int, current: int, stored: int | None, busy: frozenset[int] = NONE) -> int:
    return next(candidate_ports(desired, current, stored, busy, NONE, insists=True))


def test_a_port_that_was_asked_for_comes_before_those_of_before() -> None:
    assert insisted(51820, 0, 51822) == 51820
    assert insisted(51810, 51820, 51820, busy=frozenset({51820})) == 51810
    assert insisted(51820, 51820, 51822, busy=frozenset({51820})) == 51820


def test_a_port_that_was_asked_for_and_is_taken_gives_way_to_those_of_before() -> None:
    assert insisted(51820, 0, 51822, busy=frozenset({51820})) == 51822
    assert insisted(51820, 51823, 51822, busy=frozenset({51820, 51823})) == 51823


def test_no_port_is_tried_twice() -> None:
    ports = list(itertools.islice(candidate_ports(51820, 51822, 51823, NONE, NONE, insists=True), 100))

    assert ports[:4] == [51820, 51822, 51823, 51821]
    assert len(set(ports)) == len(ports)


def test_a_busy_port_gives_way_to_the_next_free_one() -> None:
    assert first(51820, 0, None, busy=frozenset({51820, 51821}), reserved=frozenset({51822})) == 51823


def test_a_busy_stored_port_gives_way_to_the_desired_one() -> None:
    assert first(51820, 0, 51822, busy=frozenset({51822})) == 51820


def test_another_wish_of_the_operator_moves_the_port() -> None:
    assert first(40000, 51820, 51820, busy=frozenset({51820})) == 40000


def test_a_reserved_current_port_is_left() -> None:
    assert first(51820, 51821, 51821, reserved=frozenset({51821})) == 51820


def test_without_a_wish_the_port_of_before_is_kept_or_left_to_wireguard() -> None:
    assert first(0, 40123, None) == 40123
    assert first(0, 0, 40123) == 40123
    assert first(0, 0, None) == 0


def test_a_hundred_busy_ports_are_enough() -> None:
    with pytest.raises(DeviceUnavailable, match=r"51820\.\.51920"):
        first(51820, 0, None, busy=frozenset(range(51820, 51921)))


def test_the_search_ends_at_the_last_port() -> None:
    assert list_until_error(65534) == [65534, 65535]


def list_until_error(desired: int) -> list[int]:
    ports = candidate_ports(desired, 0, None, NONE, NONE)
    found = []
    with pytest.raises(DeviceUnavailable):
        while True:
            found.append(next(ports))
    return found


UDP_TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1234: 0100007F:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 0
 1235: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 1 2 0 0
"""


def test_the_kernels_table_of_sockets_gives_the_ports() -> None:
    assert parse_udp_table(UDP_TABLE) == {51820, 53}


@pytest.mark.parametrize("line", ["garbage", " 1: nothing here"])
def test_an_unknown_table_is_not_read_as_nothing_busy(line: str) -> None:
    with pytest.raises(DeviceUnavailable):
        parse_udp_table("header\n" + line)
