"""The flags of `join`, as they stand on the command line.

`read_flags` reads them without click, which would cost every node 40 ms at its start and 3 MB as long as it runs. It
knows nothing but flags that are there and have their value. Whatever else it meets it leaves to click, which has the
help and a sentence for each mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wgmesh.cli.join_settings import SETTINGS

CONFIG_VARIABLE = "WGMESH_CONFIG"


@dataclass(frozen=True, slots=True)
class JoinFlags:
    """What was given. `settings` has the texts by the name of the setting; a switch that was given has "true"."""

    settings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    secret_file: str | None = None
    config: Path | None = None
    as_json: bool = False


_OTHERS = ("--secret", "--secret-file", "--config")
_ROWS = {word: row for row in SETTINGS for word in (row.flag, row.short) if word}


def read_flags(words: Sequence[str], environ: Mapping[str, str]) -> JoinFlags | None:
    """Returns the flags in `words`, or None where click has to look at them."""
    settings: dict[str, list[str]] = {}
    others: dict[str, str] = {}
    as_json = False
    rest = iter(words)
    for word in rest:
        flag, has_value, value = word.partition("=") if word.startswith("--") else (word, "", "")
        row = _ROWS.get(flag)
        if flag == "--json" and not has_value:
            as_json = True
        elif row is not None and row.is_switch and not has_value:
            settings[row.name] = ["true"]
        elif flag in _OTHERS or (row is not None and not row.is_switch):
            text = value if has_value else next(rest, None)
            if text is None:
                return None
            if row is None:
                others[flag] = text
            elif row.repeatable:
                settings.setdefault(row.name, []).append(text)
            else:
                settings[row.name] = [text]
        else:
            return None
    config = others.get("--config", environ.get(CONFIG_VARIABLE) or None)
    return JoinFlags(
        settings=settings,
        secret=others.get("--secret"),
        secret_file=others.get("--secret-file"),
        config=None if config is None else Path(config),
        as_json=as_json,
    )
