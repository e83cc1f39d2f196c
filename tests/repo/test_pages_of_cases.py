"""Each page of cases has a row for every test that is marked as one, and for nothing else."""

from pathlib import Path

import pytest
from pages.attacks import ATTACKS
from pages.cases import Case, Outcome, Page, has_row, marked
from pages.faults import FAULTS, Observed, note

ROOT = Path(__file__).parents[2]
each_page = pytest.mark.parametrize("page", [ATTACKS, FAULTS], ids=lambda page: page.mark)


@each_page
def test_every_case_has_its_row_and_every_row_its_case(page: Page) -> None:
    text = (ROOT / "docs" / "reference" / page.file_name).read_text()
    cases = list(marked(ROOT / "tests", page.mark))

    assert [case for case in cases if not has_row(case, text)] == []
    assert sum(line.endswith("` |") for line in text.splitlines()) == len(cases)


@each_page
def test_every_case_is_in_one_of_the_known_groups(page: Page) -> None:
    assert {case.group for case in marked(ROOT / "tests", page.mark)} <= set(page.groups)


def test_a_row_of_faults_tells_the_worst_of_its_forms() -> None:
    outcome = Outcome(Case("The clock", "it jumps", "tests/a.py::test_b"), forms=2)
    seen = (Observed(0, 1.25, "a warning"), Observed(3, 0.5, "a warning"), Observed(shown="nothing"))
    outcome.note(map(note, seen))
    row = "| it jumps, in 2 forms | 3 | 1.2 s | a warning; nothing | `tests/a.py::test_b` |"
    assert row in FAULTS.text([outcome], "today")
    assert has_row(outcome.case, row)
