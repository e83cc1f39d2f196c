"""Every input that fuzzing has kept, without the fuzzer: no rule is broken, and what was mended stays mended."""

from __future__ import annotations

import pytest
from fuzz.catalogue import CORPUS, CRASHES, inputs, load, target_names

CORPUS_BYTES_MAX = 1024 * 1024  # it travels with every clone
_CRASHES = [(name, path.name) for name in target_names() for path in inputs(CRASHES / name)]


@pytest.mark.parametrize("name", target_names())
def test_no_rule_is_broken_by_the_kept_inputs(name: str) -> None:
    target = load(name)
    kept = [path.read_bytes() for path in inputs(target.corpus)]
    assert kept, f"nothing is kept: python -m fuzz --keep {name}"
    for data in (*target.seeds(), *kept):
        target.check(data)


@pytest.mark.parametrize(("name", "crash"), _CRASHES, ids=[f"{name}-{crash}" for name, crash in _CRASHES])
def test_what_once_broke_a_rule_does_so_no_more(name: str, crash: str) -> None:
    target = load(name)
    target.check((target.crashes / crash).read_bytes())


def test_every_kept_input_belongs_to_a_target_and_all_are_small() -> None:
    for directory in (CORPUS, CRASHES):
        assert {path.name for path in directory.iterdir() if path.is_dir()} <= set(target_names())
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < CORPUS_BYTES_MAX
