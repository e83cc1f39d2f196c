"""Tests that need what a machine may not have are skipped with the reason, or fail where all tests have to run."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def cannot_run(reason: str) -> NoReturn:
    """Ends a test that cannot run here: with WGMESH_REQUIRE_LAB=1 as a failure, since a skip would hide a fault."""
    if os.environ.get("WGMESH_REQUIRE_LAB") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
