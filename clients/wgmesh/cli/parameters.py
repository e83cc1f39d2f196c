"""Types of arguments, whose errors are sentences and whose values the shells complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    Span = click.ParamType[float]
    Whole = click.ParamType[int]
    Words = click.ParamType[str]
else:  # generic since click 8.3 only
    Span = Whole = Words = click.ParamType


class Text(Words):
    """A text that other programs can read."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:  # bytes that the shell has passed on as they were
                self.fail(f"{text!r} is not text in UTF-8", param, ctx)
        return text


class Seconds(Span):
    """A span in seconds, within limits."""

    name = "seconds"

    def __init__(self, lowest: float, highest: float) -> None:
        self._lowest = lowest
        self._highest = highest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            span_s = float(value)
        except ValueError:
            self._refuse(value, param, ctx)
        if not self._lowest <= span_s <= self._highest:  # nan is not within them either
            self._refuse(value, param, ctx)
        return span_s

    def _refuse(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        self.fail(f"{value!r} is not a number of seconds from {self._lowest:g} to {self._highest:g}", param, ctx)


class WholeNumber(Whole):
    """A whole number within limits."""

    name = "number"

    def __init__(self, lowest: int, highest: int) -> None:
        self._lowest = lowest
        self._highest = highest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from wgmesh.cli.values import parse_whole_number

        try:
            return parse_whole_number(str(value), self._lowest, self._highest)
        except ValueError as error:
            self.fail(str(error), param, ctx)
