#!/usr/bin/env python3
"""One target under atheris, in a process of its own: `python -m fuzz.process [libFuzzer's own arguments]`.

The code must be instrumented while it is imported, so everything of the project is imported after atheris. libFuzzer
starts this file again by itself when it merges, with arguments of its own; so the name of the target comes in the
environment.
"""

from __future__ import annotations

import os
import sys

import atheris

# what is fuzzed, and the rules themselves, since their branches lead to findings too
INSTRUMENTED = ["wgmesh", "fuzz.targets", "fuzz.conversation", "ipaddress", "tomllib"]


def main() -> None:
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz.catalogue import TARGET_VARIABLE, load

        target = load(os.environ[TARGET_VARIABLE])
    atheris.Setup(sys.argv, target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
