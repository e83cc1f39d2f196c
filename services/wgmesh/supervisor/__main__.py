"""The supervisor's entry for those who compose a node: see `wgmesh.supervisor.supervisor.run`."""

from __future__ import annotations

from wgmesh.supervisor.supervisor import run

__all__ = ["run"]
