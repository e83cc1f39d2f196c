"""Runs `wgmesh` inside the test's process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from wgmesh.cli.app import main

GOOD_SECRET = "wgmesh://v1/9LZJPbVha7yPdFmIB4tup5DApcyKvjrvjb_TXB4JrFs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


def runner(capture: pytest.CaptureFixture[str]) -> Run:
    """Returns a function that takes the words of a command line and returns its outcome."""

    def run(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        out, err = capture.readouterr()
        return Outcome(code, out, err)

    return run
