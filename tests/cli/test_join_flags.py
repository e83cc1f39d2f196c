"""The short way of reading the flags of `join`: it says what click says, or leaves the words to click."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.command_line import GOOD_SECRET
from wgmesh.cli.commands.join import command, flags_of
from wgmesh.cli.join_flags import JoinFlags, read_flags
from wgmesh.cli.join_settings import REFUSED, SETTINGS

VALUES = [row.flag for row in SETTINGS if not row.is_switch] + ["--secret", "--secret-file", "--config"]
SWITCHES = [row.flag for row in SETTINGS if row.is_switch] + ["--json"]

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
values = texts.filter(lambda text: not text.startswith("-"))
mistakes = st.sampled_from(
    [*VALUES, *SWITCHES, *(f"--{name}" for name in REFUSED), "-h", "--help", "--", "-", "-ix", "x"]
)

Words = tuple[str, ...]
well_formed: st.SearchStrategy[Words] = st.one_of(
    st.sampled_from(SWITCHES).map(lambda flag: (flag,)),
    st.tuples(st.sampled_from([*VALUES, "-i"]), values),
    st.builds(lambda flag, value: (f"{flag}={value}",), st.sampled_from(VALUES), texts),
)
anything: st.SearchStrategy[Words] = st.one_of(
    well_formed,
    mistakes.map(lambda word: (word,)),
    texts.map(lambda word: (word,)),
    st.builds(lambda flag, value: (f"{flag}={value}",), st.sampled_from([*SWITCHES, "-i"]), texts),
)
variables = st.dictionaries(st.just("WGMESH_CONFIG"), values)


def joined(parts: list[Words]) -> list[str]:
    return [word for part in parts for word in part]


def by_click(words: list[str], environ: dict[str, str]) -> JoinFlags:
    """What click reads in these words. Raises click's errors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WGMESH_CONFIG", raising=False)
        for name, value in environ.items():
            patch.setenv(name, value)
        context = click.Context(command)
        command.parse_args(context, list(words))
        return flags_of(context.params)


def comparable(flags: JoinFlags | None) -> object:
    return flags and (
        {name: tuple(texts) for name, texts in flags.settings.items()},
        flags.secret,
        flags.secret_file,
        flags.config,
        flags.as_json,
    )


@given(st.lists(well_formed, max_size=6).map(joined), variables)
def test_flags_without_a_mistake_are_read_as_click_reads_them(words: list[str], environ: dict[str, str]) -> None:
    assert comparable(read_flags(words, environ)) == comparable(by_click(words, environ))


@given(st.lists(anything, max_size=6).map(joined), variables)
@example(["--hostname", "--json"], {})
@example(["--secret", "-"], {})
@example(["--json=1"], {})
@example(["--config="], {})
@example(["--peer"], {})
def test_words_that_click_would_refuse_or_read_differently_are_left_to_click(
    words: list[str], environ: dict[str, str]
) -> None:
    flags = read_flags(words, environ)

    if flags is not None:
        assert comparable(flags) == comparable(by_click(words, environ))


@pytest.mark.parametrize("words", [["--help"], ["--listen-prot", "1"], ["extra"], ["--privacy"], ["--mtu"]])
def test_help_and_mistakes_are_left_to_click(words: list[str]) -> None:
    assert read_flags(words, {}) is None


def test_the_secret_is_not_in_the_text_of_the_flags() -> None:
    assert GOOD_SECRET not in repr(read_flags(["--secret", GOOD_SECRET], {}))


def test_a_join_that_reaches_its_settings_has_loaded_neither_click_nor_rich(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from wgmesh.cli.app import main\n"
        "print(main(sys.argv[1:]), [name for name in ('click', 'rich') if name in sys.modules])"
    )
    (tmp_path / "node.sock").touch()  # no socket: the last thing that is checked before the node would start
    words = ["join", "--socket-path", str(tmp_path / "node.sock"), "--state-dir", str(tmp_path), "--no-stun"]

    outcome = subprocess.run(
        [sys.executable, "-c", script, *words],
        env={"WGMESH_SECRET": GOOD_SECRET, "WGMESH_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert "wgmesh: " in outcome.stderr
    assert outcome.stdout.splitlines()[-1] in ("1 []", "5 []")  # 5: without root it ends one check earlier
