"""The page of attacks has a row for every test that is marked as one, and for nothing else."""

from pathlib import Path

from attacks.page import names
from attacks.rows import ATTACKERS, marked

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "attacks.md"


def test_every_attack_has_its_row_and_every_row_its_attack() -> None:
    text = PAGE.read_text()
    attacks = list(marked(ROOT / "tests"))

    assert [attack for attack in attacks if not names(attack, text)] == []
    assert sum(line.endswith("` |") for line in text.splitlines()) == len(attacks)


def test_every_attack_is_by_one_of_the_known_attackers() -> None:
    assert {attack.who for attack in marked(ROOT / "tests")} <= set(ATTACKERS)
