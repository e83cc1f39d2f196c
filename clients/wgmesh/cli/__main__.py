"""Lets `python -m wgmesh.cli` be `wgmesh`."""

from __future__ import annotations

from wgmesh.cli.app import main

raise SystemExit(main())
