"""The table of path measurements, and which of its changes are worth telling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wgmesh.core.model import NatReport, Path, PathsSnapshot, PublicKey

RTT_CHANGE_RATIO = 0.1  # below this a change of a long path is noise
RTT_CHANGE_S = 0.0002  # below this a change of a short path is noise: process scheduling alone moves it so much
SILENT_COUNT = 3  # so many unanswered probes in a row are no longer a lost packet
ANSWER_AGE_MAX_S = 60.0  # a published answer is never much older than the latest, so that its age stays an honest one


class PathTable:
    """The path to each peer as last measured, and as last published."""

    def __init__(self) -> None:
        self._paths: dict[PublicKey, Path] = {}
        self._told: dict[PublicKey, Path] = {}  # what the published snapshot holds
        self._published = PathsSnapshot()

    @property
    def published(self) -> PathsSnapshot:
        """The snapshot that was published last."""
        return self._published

    def set_peers(self, keys: Iterable[PublicKey]) -> PathsSnapshot | None:
        """Keeps exactly these peers. Returns the snapshot to publish, or None, like every method below."""
        self._paths = {key: self._paths.get(key) or Path(key) for key in keys}
        if self._paths.keys() == self._told.keys():
            return None
        return self._publish(self._published.report)

    def answered(self, key: PublicKey, rtt_s: float, at: float) -> PathsSnapshot | None:
        return self._measured(Path(key, rtt_s, at))

    def unanswered(self, key: PublicKey) -> PathsSnapshot | None:
        before = self._paths.get(key) or Path(key)
        return self._measured(replace(before, unanswered_count=before.unanswered_count + 1))

    def set_report(self, report: NatReport) -> PathsSnapshot | None:
        return None if report == self._published.report else self._publish(report)

    def _measured(self, path: Path) -> PathsSnapshot | None:
        if path.public_key not in self._paths:  # removed while its probe was in flight
            return None
        self._paths[path.public_key] = path
        return self._publish(self._published.report) if is_news(self._told[path.public_key], path) else None

    def _publish(self, report: NatReport) -> PathsSnapshot:
        self._told = dict(self._paths)
        paths = tuple(self._paths[key] for key in sorted(self._paths))
        self._published = PathsSnapshot(self._published.revision + 1, paths, report)
        return self._published


def is_news(published: Path, measured: Path) -> bool:
    """Returns whether a watcher wants to know: the state changed, the RTT moved visibly, or the answer grew old."""
    if _state(published) != _state(measured):
        return True
    if published.rtt_s is None or measured.rtt_s is None:
        return published.rtt_s is not measured.rtt_s
    change_s = abs(measured.rtt_s - published.rtt_s)
    if change_s > RTT_CHANGE_S and change_s > RTT_CHANGE_RATIO * published.rtt_s:
        return True
    return (measured.answered_at or 0.0) - (published.answered_at or 0.0) >= ANSWER_AGE_MAX_S


def _state(path: Path) -> tuple[bool, bool]:
    return path.unanswered_count > 0, path.unanswered_count >= SILENT_COUNT
