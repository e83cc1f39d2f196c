"""What is changed in a module beyond mutmut's own list, and what is left alone.

mutmut swaps operators, numbers and arguments. It never removes a guard or a call, and does not know that the first of
several may be taken for the last: the mistakes that matter most in code that decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m
from mutmut.mutation.mutators import OPERATORS_TYPE, operator_string

_OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}


def extended(given: OPERATORS_TYPE) -> OPERATORS_TYPE:
    """mutmut's operators, without texts for people, with ours."""
    kept = [pair for pair in given if pair[1] is not operator_string]
    return [
        *kept,
        (cst.BaseString, string_that_is_no_prose),
        (cst.If, guard),
        (cst.While, guard),
        (cst.CompIf, guard),
        (cst.BooleanOperation, operand),
        (cst.Call, opposite),
        (cst.Call, order),
        (cst.Expr, omission),
        *((kind, row) for kind in (cst.Dict, cst.Set, cst.List, cst.Tuple)),
    ]


def string_that_is_no_prose(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Words that a program compares. What has a space is read by people, and a test of it would only copy it."""
    if isinstance(node, cst.SimpleString) and " " not in node.value:
        yield from operator_string(node)


def guard(node: cst.If | cst.While | cst.CompIf) -> Iterator[cst.CSTNode]:
    """A condition that always holds, and one that never does. It is still evaluated, so that types stay narrow."""
    condition = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=_joined(condition, cst.And(), "False"))
    if not isinstance(node, cst.While):  # a loop without an end tells nothing that one without a beginning does not
        yield node.with_changes(test=_joined(condition, cst.Or(), "True"))


def operand(node: cst.BooleanOperation) -> Iterator[cst.CSTNode]:
    """One side of `and` and `or` alone."""
    for side in (node.left, node.right):
        yield side.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def opposite(node: cst.Call) -> Iterator[cst.CSTNode]:
    if isinstance(node.func, cst.Name) and node.func.value in _OPPOSITES:
        yield node.with_changes(func=cst.Name(_OPPOSITES[node.func.value]))


def order(node: cst.Call) -> Iterator[cst.CSTNode]:
    """`sorted` that leaves the order as it is."""
    if isinstance(node.func, cst.Name) and node.func.value == "sorted":
        yield node.with_changes(
            func=cst.Name("list"), args=[node.args[0].with_changes(comma=cst.MaybeSentinel.DEFAULT)]
        )


def omission(node: cst.Expr) -> Iterator[cst.CSTNode]:
    """A call for the sake of its effect, left out."""
    if isinstance(node.value, cst.Call | cst.Await):
        yield node.with_changes(value=cst.Name("None"))


def row(node: cst.Dict | cst.Set | cst.List | cst.Tuple) -> Iterator[cst.CSTNode]:
    """A table without one of its rows. A tuple is one only if all its members are of one kind; numbers are none."""
    if len(node.elements) < 2 or (isinstance(node, cst.Tuple) and len(set(map(_kind, node.elements))) > 1):
        return
    for left_out in node.elements:
        if not m.matches(left_out, m.Element(value=m.Integer() | m.Float())):
            yield node.with_changes(elements=[each for each in node.elements if each is not left_out])


def _kind(element: cst.BaseElement) -> str:
    """What a member of a table is: `State.RUNNING` and `State.STOPPED` are of one kind."""
    value = element.value
    owner = value.value if isinstance(value, cst.Attribute) else None
    return f"{type(value).__name__} {owner.value if isinstance(owner, cst.Name) else ''}"


def _joined(condition: Any, operator: cst.BaseBooleanOp, word: str) -> cst.BooleanOperation:
    return cst.BooleanOperation(left=condition, operator=operator, right=cst.Name(word))


def install(operators: Sequence[object]) -> None:
    """Puts the extended list in the place of mutmut's own, which has no setting for it."""
    assert isinstance(operators, list)
    operators[:] = extended(operators)
