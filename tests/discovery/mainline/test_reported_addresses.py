"""Which addresses of the DHT are asked first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint
from wgmesh.discovery.mainline.reported_addresses import RUMOURS_MAX, ReportedAddresses


def address(number: int) -> Endpoint:
    return Endpoint.of(f"44.{number >> 16}.{number >> 8 & 255}.{number & 255}", 7)


def test_what_the_most_replies_name_comes_first_and_each_comes_once() -> None:
    rumours = ReportedAddresses()
    rumours.note([address(1), address(2), address(2)])
    rumours.note([address(3), address(2)])
    rumours.note([address(3)])
    rumours.note([address(3)])
    assert [rumours.take() for _ in range(4)] == [address(3), address(2), address(1), None]


def test_what_several_name_outlives_any_flood() -> None:
    rumours = ReportedAddresses()
    for _ in range(2):
        rumours.note([address(0)])
    for start in range(1, 10_001, 100):
        rumours.note(address(number) for number in range(start, start + 100))
    assert rumours.take() == address(0)


@given(st.lists(st.lists(st.integers(0, 3 * RUMOURS_MAX), max_size=400), max_size=20))
def test_what_waits_is_bounded(replies: list[list[int]]) -> None:
    rumours = ReportedAddresses()
    for reply in replies:
        rumours.note(map(address, reply))
        assert len(rumours) <= RUMOURS_MAX
