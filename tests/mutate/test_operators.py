"""The mistakes that are made beyond mutmut's own."""

from __future__ import annotations

import libcst as cst
import pytest
from mutate.operators import extended
from mutmut.mutation.mutators import mutation_operators


def mistakes(code: str) -> set[str]:
    """All versions of one statement with one mistake of ours in it."""
    ours = [pair for pair in extended(mutation_operators) if pair not in mutation_operators]
    module = cst.parse_module(code)
    found = set()

    class Every(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            for kind, operator in ours:
                if isinstance(node, kind):
                    for mutated in operator(node):
                        changed = module.deep_replace(node, mutated)
                        assert isinstance(changed, cst.Module)
                        found.add(changed.code.strip())
            return True

    module.visit(Every())
    return found


@pytest.mark.parametrize(
    ("code", "mutants"),
    [
        ("if old:\n    pass", {"if (old) and False:\n    pass", "if (old) or True:\n    pass"}),
        ("while old:\n    pass", {"while (old) and False:\n    pass"}),
        ("x = [n for n in y if n]", {"x = [n for n in y if (n) and False]", "x = [n for n in y if (n) or True]"}),
        ("x = a and b", {"x = (a)", "x = (b)"}),
        ("x = a or b", {"x = (a)", "x = (b)"}),
        ("x = min(y)", {"x = max(y)"}),
        ("x = any(y)", {"x = all(y)"}),
        ("x = sorted(y, key=z)", {"x = list(y)"}),
        ("tell(x)", {"None"}),
        ("await tell(x)", {"None"}),
        ("x = tell(y)", set()),
        ('x = "A sentence."', set()),
        ('x = "Word"', {'x = "XXWordXX"', 'x = "word"', 'x = "WORD"'}),
    ],
)
def test_guards_operands_calls_and_orders_are_removed_one_at_a_time(code: str, mutants: set[str]) -> None:
    assert mistakes(code) == mutants
