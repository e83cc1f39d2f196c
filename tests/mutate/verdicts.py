"""What became of the mutants of one module, and how it is told."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from mutate.catalogue import EQUIVALENT, ROOT, TABLE, source_of


class Verdict(StrEnum):
    """What became of one mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"  # survived, and a reviewer has said why no test can tell it apart
    REFUSED = "refused"  # by mypy: it could not be committed
    UNJUDGED = "not judged"  # the time was over


# mutmut's words. A worker beyond its processor time is killed with SIGKILL, which mutmut takes for a crash.
_VERDICTS = {
    "killed": Verdict.KILLED,
    "timeout": Verdict.TIMED_OUT,
    "segfault": Verdict.TIMED_OUT,
    "caught by type check": Verdict.REFUSED,
    "not checked": Verdict.UNJUDGED,
    "check was interrupted by user": Verdict.UNJUDGED,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, as the lines that went and the lines that came."""

    module: str
    function: str
    line: int
    was: str
    becomes: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{source_of(self.module)}:{self.line} {self.function}\n    - {self.was}\n    + {self.becomes}"


@dataclass(frozen=True, slots=True)
class Equivalent:
    """An entry of `equivalent.toml`."""

    module: str
    function: str
    was: str
    becomes: str
    because: str

    def fits(self, mutant: Mutant) -> bool:
        mine = (self.module, self.function, self.was, self.becomes)
        return mine == (mutant.module, mutant.function, mutant.was, mutant.becomes)


@dataclass(frozen=True, slots=True)
class Tally:
    """One row of the table."""

    module: str
    counts: Mapping[Verdict, int]

    @property
    def killed(self) -> int:
        return self.counts[Verdict.KILLED] + self.counts[Verdict.TIMED_OUT]

    @property
    def judged(self) -> int:
        """The mutants that a test could tell apart."""
        return self.killed + self.counts[Verdict.SURVIVED]

    @property
    def percent(self) -> int:
        """Rounded down: 90 means that at least 90 of 100 were killed."""
        return 100 * self.killed // self.judged if self.judged else 0

    @property
    def is_complete(self) -> bool:
        return self.judged > 0 and not self.counts[Verdict.UNJUDGED]

    def row(self) -> str:
        counts = [self.counts[each] for each in (Verdict.KILLED, Verdict.TIMED_OUT, Verdict.SURVIVED)]
        aside = [self.counts[each] for each in (Verdict.EQUIVALENT, Verdict.REFUSED, Verdict.UNJUDGED)]
        rate = f"{self.percent} %" if self.is_complete else "-"
        return f"| {self.module} | {self.judged} | {' | '.join(map(str, (*counts, *aside)))} | {rate} |"


HEADER = (
    "| module | mutants | killed | timed out | survived | equivalent | refused by mypy | not judged | killed of all |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def tally(module: str, mutants: Iterable[Mutant]) -> Tally:
    return Tally(module, Counter(mutant.verdict for mutant in mutants))


def mutants_of(module: str, results: Iterable[Mapping[str, str]], known: Sequence[Equivalent]) -> Iterator[Mutant]:
    """The mutants, with the equivalent ones among the survivors told apart."""
    source = (ROOT / source_of(module)).read_text()
    starts = {TABLE: 1, **_starts(source)}
    for result in results:
        offset, was, becomes = _change(result["diff"])
        verdict = _VERDICTS.get(result["status"], Verdict.SURVIVED)  # also what no test reaches, and what mutmut doubts
        function = result["function"]
        mutant = Mutant(module, function, starts[function] + offset, was, becomes, verdict)
        if verdict is Verdict.SURVIVED and any(each.fits(mutant) for each in known):
            mutant = Mutant(module, function, mutant.line, was, becomes, Verdict.EQUIVALENT)
        yield mutant


def equivalents() -> tuple[Equivalent, ...]:
    entries = tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])
    return tuple(Equivalent(**entry) for entry in entries)


def outdated(known: Iterable[Equivalent], mutants: Sequence[Mutant]) -> Iterator[Equivalent]:
    """The entries that fit no mutant any more, or one that a test kills: then it was not equivalent."""
    for entry in known:
        verdicts = {mutant.verdict for mutant in mutants if entry.fits(mutant)}
        if not verdicts or Verdict.KILLED in verdicts:
            yield entry


def _change(diff: str) -> tuple[int, str, str]:
    """How many lines into the function the change begins, and what it takes away and brings."""
    lines = diff.splitlines()[2:]
    start = int(lines[0].split()[1].lstrip("-").split(",")[0])
    before = sum(1 for _ in takewhile(lambda line: line.startswith(" "), lines[1:]))
    removed, added = (" ".join(line[1:].strip() for line in lines[1:] if line[0] == sign) for sign in "-+")
    return start - 1 + before, removed, added


def _starts(source: str) -> dict[str, int]:
    """The first line of each function and method, comments above it included, because mutmut counts from there."""
    starts: dict[str, int] = {}
    lines = source.splitlines()

    def walk(nodes: Iterable[ast.stmt], owner: str) -> None:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{owner}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                above = takewhile(lambda line: line.lstrip().startswith("#"), reversed(lines[: first - 1]))
                starts[f"{owner}{node.name}"] = first - sum(1 for _ in above)

    walk(ast.parse(source).body, "")
    return starts
