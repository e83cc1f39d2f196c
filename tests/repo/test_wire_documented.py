"""docs/reference/wire.md names every reason for which a datagram is dropped."""

from __future__ import annotations

import re

from support.repository import ROOT
from wgmesh.discovery.messages.inbox import Rejection

PAGE = ROOT / "docs" / "reference" / "wire.md"


def test_every_reason_for_dropping_a_datagram_is_on_the_page() -> None:
    section = PAGE.read_text().partition("## What is dropped")[2].partition("\n## ")[0]
    reasons = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert sorted(reasons) == sorted(Rejection)
