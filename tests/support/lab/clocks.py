"""A wrong clock for one machine: libfaketime, which moves the time of day of a program and of its children.

Only the time of day: what counts from the start of the host goes on, as when somebody sets the clock.
"""

from __future__ import annotations

from pathlib import Path

LOOKS_EVERY_S = 1  # how often a process looks whether its clock was set: each by itself, as a real one would not


def clock_off_by(offset_s: float) -> dict[str, str]:
    """The environment of a program whose clock is `offset_s` ahead. Raises RuntimeError without libfaketime."""
    return {**_faketime(), "FAKETIME": f"{offset_s:+.3f}s"}


class Clock:
    """The clock of one machine, which can be set while its programs run."""

    def __init__(self, path: Path, offset_s: float = 0.0) -> None:
        """`path` is where the programs read it: a new file, in a directory that all users may enter."""
        self._path = path
        self.set(offset_s)
        path.chmod(0o644)

    def set(self, offset_s: float) -> None:
        """Makes it `offset_s` ahead of the true time: within a second or two, each process at its own moment."""
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{offset_s:+.0f}s\n")
        beside.chmod(0o644)
        beside.rename(self._path)

    @property
    def environment(self) -> dict[str, str]:
        """For the programs of the machine. Raises RuntimeError without libfaketime."""
        return {
            **_faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": str(LOOKS_EVERY_S),
        }


def _faketime() -> dict[str, str]:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise RuntimeError("a wrong clock needs libfaketime; `make lab-tools` installs what is missing")
    return {"LD_PRELOAD": str(library), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
