from __future__ import annotations

import pytest
from wgmesh.core.model import Mapping, NatReport, Path, PublicKey
from wgmesh.nat.paths import ANSWER_AGE_MAX_S, RTT_CHANGE_S, SILENT_COUNT, PathTable, is_news

KEY = PublicKey(bytes(32))
OTHER = PublicKey(bytes([1] * 32))


def test_peers_that_come_and_go_are_published_unmeasured() -> None:
    table = PathTable()

    came = table.set_peers([OTHER, KEY])
    stayed = table.set_peers([KEY, OTHER])
    went = table.set_peers([KEY])

    assert came is not None
    assert came.paths == (Path(KEY), Path(OTHER))
    assert stayed is None
    assert went is not None
    assert (went.revision, went.paths) == (2, (Path(KEY),))


def test_the_first_answer_is_published() -> None:
    table = PathTable()
    table.set_peers([KEY])

    snapshot = table.answered(KEY, 0.0123, 100.0)

    assert snapshot is not None
    assert snapshot.paths == (Path(KEY, 0.0123, 100.0, 0),)


@pytest.mark.parametrize(
    ("rtt_s", "is_published"), [(0.0201, False), (0.0219, False), (0.0221, True), (0.0179, True), (0.0181, False)]
)
def test_a_changed_rtt_is_published_when_it_moved_by_more_than_a_tenth(rtt_s: float, is_published: bool) -> None:
    table = PathTable()
    table.set_peers([KEY])
    table.answered(KEY, 0.02, 100.0)

    assert (table.answered(KEY, rtt_s, 101.0) is not None) is is_published


@pytest.mark.parametrize(("before_s", "after_s"), [(0.625, 0.6875), (0.0, RTT_CHANGE_S)])
def test_a_change_that_only_reaches_the_limit_is_no_news(before_s: float, after_s: float) -> None:
    assert not is_news(Path(KEY, before_s, 1.0), Path(KEY, after_s, 2.0))


def test_what_was_measured_stays_when_another_peer_comes() -> None:
    table = PathTable()
    table.set_peers([KEY])
    table.answered(KEY, 0.0123, 100.0)

    snapshot = table.set_peers([KEY, OTHER])

    assert snapshot is not None
    assert snapshot.paths == (Path(KEY, 0.0123, 100.0), Path(OTHER))


def test_a_short_path_is_not_published_for_a_few_microseconds() -> None:
    assert not is_news(Path(KEY, 0.0003, 1.0), Path(KEY, 0.00045, 2.0))
    assert is_news(Path(KEY, 0.0003, 1.0), Path(KEY, 0.00051, 2.0))


def test_unanswered_probes_are_published_at_the_first_and_when_they_are_no_longer_a_lost_packet() -> None:
    table = PathTable()
    table.set_peers([KEY])
    table.answered(KEY, 0.02, 100.0)

    published = [table.unanswered(KEY) is not None for _ in range(6)]

    assert [number for number, was in enumerate(published, start=1) if was] == [1, SILENT_COUNT]
    assert table.answered(KEY, 0.02, 110.0) is not None


def test_the_last_rtt_survives_silence() -> None:
    table = PathTable()
    table.set_peers([KEY])
    table.answered(KEY, 0.02, 100.0)

    snapshot = table.unanswered(KEY)

    assert snapshot is not None
    assert snapshot.paths == (Path(KEY, 0.02, 100.0, 1),)


def test_a_steady_path_is_published_once_a_minute_so_that_its_age_is_honest() -> None:
    table = PathTable()
    table.set_peers([KEY])
    table.answered(KEY, 0.02, 100.0)

    assert table.answered(KEY, 0.02, 100.0 + ANSWER_AGE_MAX_S - 1) is None
    assert table.answered(KEY, 0.02, 100.0 + ANSWER_AGE_MAX_S) is not None


def test_a_probe_of_a_peer_removed_meanwhile_changes_nothing() -> None:
    table = PathTable()

    assert table.answered(KEY, 0.02, 100.0) is None
    assert table.unanswered(KEY) is None


def test_a_new_report_is_published_with_the_paths() -> None:
    table = PathTable()
    table.set_peers([KEY])
    report = NatReport(enabled=True, mapping=Mapping.NONE)

    snapshot = table.set_report(report)

    assert snapshot is not None
    assert (snapshot.report, snapshot.paths) == (report, (Path(KEY),))
    assert table.set_report(report) is None
