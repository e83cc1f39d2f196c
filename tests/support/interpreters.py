"""A Python for processes of other users."""

from __future__ import annotations

import subprocess
import sys

from support.prerequisites import cannot_run

STRANGER = 65534  # nobody, who owns nothing


def public_interpreter() -> str:
    """A Python of this version that every user may execute: the one of the tests can lie in somebody's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run([candidate, "-c", "import asyncio"], user=STRANGER, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    cannot_run(f"there is no {version} that an ordinary user may execute")
