"""A wrong clock for one machine: libfaketime, which moves the time of day of a program and of its children."""

from __future__ import annotations

from pathlib import Path


def clock_off_by(offset_s: float) -> dict[str, str]:
    """The environment of a program whose clock is `offset_s` ahead. Raises RuntimeError without libfaketime."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise RuntimeError("a wrong clock needs libfaketime; `make lab-tools` installs what is missing")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{offset_s:+.3f}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
