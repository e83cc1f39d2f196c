from __future__ import annotations

from mutate.catalogue import JUDGES, ROOT, source_of
from mutate.verdicts import equivalents


def test_every_module_that_is_mutated_and_every_test_that_judges_it_exists() -> None:
    listed = [source_of(module) for module in JUDGES] + [judge for judges in JUDGES.values() for judge in judges]

    assert [str(path) for path in listed if not (ROOT / path).is_file()] == []


def test_every_equivalent_mutant_is_one_of_a_line_that_is_still_there_and_has_its_reason() -> None:
    gone = []
    for entry in equivalents():
        lines = (ROOT / source_of(entry.module)).read_text().splitlines()
        if entry.was not in " ".join(line.strip() for line in lines) or len(entry.because.split()) < 3:
            gone.append(entry)

    assert gone == []
