"""Judges the tests of the deciding modules: `make mutate`, or `PYTHONPATH=tests .venv/bin/python -m mutate MODULE ...`.

Every small change of a module should make one of its tests fail. Those that none notices are shown. Works on copies in
build/mutate; a run that ends early is continued by the next. Exits with 1 if a module has too many survivors.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

from mutate.catalogue import JUDGES, KILLED_PERCENT_MIN, WORK
from mutate.verdicts import HEADER, Mutant, Tally, Verdict, equivalents, mutants_of, outdated, tally
from mutate.workspace import Workspace

MINUTES = 10.0


def main() -> int:
    arguments = _arguments()
    unknown = sorted(set(arguments.modules) - JUDGES.keys())
    if unknown:
        print(f"not in tests/mutate/catalogue.py: {', '.join(unknown)}", file=sys.stderr)
        return 2
    until = time.monotonic() + arguments.minutes * 60
    known = equivalents()
    rows: list[Tally] = []
    stale = 0
    for module in arguments.modules or JUDGES:
        mutants = _judged(module, until)
        rows.append(tally(module, mutants))
        _show(rows[-1], mutants)
        if rows[-1].is_complete:
            for entry in outdated([each for each in known if each.module == module], mutants):
                stale += 1
                print(f"  not equivalent any more, or gone: {entry.function}: {entry.was} -> {entry.becomes}")
    table = "\n".join((HEADER, *(row.row() for row in rows)))
    (WORK / "kill-rates.md").write_text(f"{table}\n")
    print(f"\n{table}")
    if not all(row.is_complete for row in rows):
        print("\nThe time was over; another run goes on from here.")
    return 1 if stale or any(row.is_complete and row.percent < KILLED_PERCENT_MIN for row in rows) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mutate", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(JUDGES)}; all by default")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all together (default %(default)s)")
    return parser.parse_args()


def _judged(module: str, until: float) -> list[Mutant]:
    workspace = Workspace(module)
    workspace.prepare()
    known = [each for each in equivalents() if each.module == module]
    mutants = list(mutants_of(module, workspace.results(), known))
    if not tally(module, mutants).is_complete and time.monotonic() < until:
        workspace.run(until - time.monotonic())
        mutants = list(mutants_of(module, workspace.results(), known))
    return mutants


def _show(row: Tally, mutants: list[Mutant]) -> None:
    counts = ", ".join(f"{row.counts[verdict]} {verdict}" for verdict in Verdict if row.counts[verdict])
    print(f"{row.module}: {counts or 'not judged'}", flush=True)
    for mutant in mutants:
        if mutant.verdict in (Verdict.SURVIVED, Verdict.TIMED_OUT):
            print(f"  {mutant.verdict}: " + str(mutant).replace("\n", "\n  "))


if __name__ == "__main__":
    # In either case what runs in the workspace is ended first. A shell makes its background jobs deaf for SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; another run goes on from here")
