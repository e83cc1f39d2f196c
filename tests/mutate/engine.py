"""What runs inside a workspace: `python -m mutate.engine MODULE run`, or `report` for what was found."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from mutate import operators, tables
from mutate.catalogue import JUDGES
from mutmut.__main__ import cli
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.mutators import mutation_operators
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key


def main() -> None:
    operators.install(mutation_operators)
    module, command = sys.argv[1:]
    if command == "report":
        json.dump(
            [
                *_results(),
                *({"status": each.status, "function": each.function, "diff": each.diff} for each in tables.stored()),
            ],
            sys.stdout,
        )
    else:
        tables.judge(module, JUDGES[module])
        cli(["run", "--max-children", "1"])


def _results() -> Iterator[dict[str, str]]:
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, exit_code in data.exit_code_by_key.items():
            function, owner = orig_function_and_class_names_from_key(name)
            status = status_by_exit_code[exit_code]
            yield {
                "status": status,
                "function": f"{owner}.{function}" if owner else function,
                "diff": get_diff_for_mutant(name, path=path),
                "types": data.type_check_error_by_key.get(name) or "",
            }


if __name__ == "__main__":
    main()
