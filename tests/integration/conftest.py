from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.directories import public_directory


@pytest.fixture
def base() -> Iterator[Path]:
    """Where a node of a test lies that gives privileges away."""
    with public_directory() as directory:
        yield directory
