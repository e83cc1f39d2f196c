"""docs/reference/attacks.md: the table of attacks, as one run has seen them."""

from __future__ import annotations

from collections.abc import Iterable

from attacks.rows import ATTACKERS, Attack, Outcome

INTRODUCTION = """\
# Attacks, and what came of each

Each row is a test that carries the attack out. Those under `tests/lab` do it on real nodes with real tunnels.
`make attacks` runs them all and writes this page; {run}.
[security.md](../explanation/security.md) says what prevents each, and what is not prevented.
"""


def page(outcomes: Iterable[Outcome], run: str) -> str:
    """`run` says when and on what this was seen."""
    by_attacker: dict[str, list[Outcome]] = {who: [] for who in ATTACKERS}
    for outcome in outcomes:
        by_attacker[outcome.attack.who].append(outcome)
    parts = [INTRODUCTION.format(run=run)]
    for who, rows in by_attacker.items():
        if rows:
            lines = "\n".join(row(each) for each in sorted(rows, key=lambda each: each.attack.test))
            parts.append(f"## By {who}\n\n| tries to | what came of it | shown by |\n| --- | --- | --- |\n{lines}\n")
    return "\n".join(parts)


def row(outcome: Outcome) -> str:
    forms = f", in {outcome.forms} forms" if outcome.forms > 1 else ""
    came_of = "; ".join(outcome.notes) or "nothing that it was after"
    return f"| {outcome.attack.tries}{forms} | {came_of} | `{outcome.attack.test}` |"


def names(attack: Attack, text: str) -> bool:
    """Whether a page has the row of this attack."""
    return any(
        line.startswith(f"| {attack.tries}") and line.endswith(f"| `{attack.test}` |") for line in text.splitlines()
    )
