from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import Outcome, Run
from support.doubles.fake_node import FakeNode, served


@pytest.fixture
def completed(wgmesh: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What bash is told for a line whose last word is not complete."""

    def run(*words: object) -> Outcome:
        monkeypatch.setenv("_WGMESH_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(["wgmesh", *map(str, words)]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        return wgmesh()

    return run


def test_peers_are_completed_with_what_the_node_knows_in_any_case(completed: Run, tmp_path: Path) -> None:
    with served(FakeNode(), tmp_path / "run" / "wg7" / "node.sock"):
        outcomes = [completed(*words, "AL") for words in (("peers", "get"), ("peers", "ban"), ("ping",))]

    assert {(outcome.out, outcome.err) for outcome in outcomes} == {("plain,alice\n", "")}


def test_without_a_node_no_peer_is_completed_and_nothing_is_said(completed: Run) -> None:
    outcome = completed("ping", "al")

    assert (outcome.code, outcome.out.strip(), outcome.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("join", "--log-level", "d"), "plain,debug\n"),
        (("join", "--log-format", "j"), "plain,json\n"),
        (("join", "--state-dir", "/v"), "file,/v\n"),
        (("join", "--secret-file", "/e"), "file,/e\n"),
        (("join", "--config", "x"), "file,x\n"),
        (("qr", "--png", "x"), "file,x\n"),
        (("init", "--out", "x"), "file,x\n"),
        (("completion", "f"), "plain,fish\n"),
        (("help", "sta"), "plain,status\n"),
        (("nonsense", "x"), ""),
        (("nonsense", "more", "x"), ""),
    ],
)
def test_files_words_and_commands_are_completed_and_nonsense_is_not(
    completed: Run, words: tuple[str, ...], told: str
) -> None:
    outcome = completed(*words)

    assert (outcome.code, outcome.out, outcome.err) == (0, told, "")
