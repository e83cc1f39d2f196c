"""Lets `python -m wgmesh.cli` be `wgmesh`."""

from __future__ import annotations

from wgmesh.cli.app import run_and_leave

run_and_leave()
