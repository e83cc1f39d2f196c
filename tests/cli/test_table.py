from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.cli.table import Column, Table

TABLE = Table(
    (Column("NAME", 8), Column("B", rank=3), Column("CITY", rank=2)), (("x", "yy", "z"), ("xx", "", "zzzzzz"))
)


def test_plain_columns_keep_their_least_width_and_end_without_blanks() -> None:
    assert TABLE.plain().splitlines() == ["NAME     B  CITY", "-" * 18, "x        yy z", "xx          zzzzzz"]


def test_a_table_without_rows_is_its_header() -> None:
    assert Table((Column("A"), Column("B", 3)), ()).plain() == "A B\n-----"


def test_what_does_not_fit_is_left_out_by_rank_and_keeps_its_order() -> None:
    assert TABLE.fitted(16, gap=2) == TABLE
    assert [column.title for column in TABLE.fitted(15, gap=2).columns] == ["NAME", "CITY"]
    assert [column.title for column in TABLE.fitted(5, gap=2).columns] == ["NAME"]
    assert TABLE.fitted(15, gap=2).rows == (("x", "z"), ("xx", "zzzzzz"))


def test_cells_that_may_be_cut_are_cut_before_a_column_is_left_out() -> None:
    table = Table((Column("NAME", rank=1, least=6), Column("CITY", rank=2)), (("abcdefghijkl", "Ulm"),))

    assert table.fitted(18, gap=2) == table
    assert table.fitted(15, gap=2).rows == (("abcdef...", "Ulm"),)
    assert table.fitted(12, gap=2).rows == (("abc...", "Ulm"),)
    assert table.fitted(11, gap=2).rows == (("abcdefgh...",),)
    assert table.fitted(8, gap=2).rows == (("abcde...",),)


@given(st.integers(min_value=0, max_value=40))
def test_a_fitted_table_fits_or_has_one_column(width: int) -> None:
    fitted = TABLE.fitted(width, gap=2)

    assert len(fitted.columns) == 1 or len(_widest_line(fitted)) <= width


def _widest_line(table: Table) -> str:
    bare = Table(tuple(Column(column.title) for column in table.columns), table.rows)
    # plain() parts columns by one blank, `fitted` counted two
    return max(bare.plain().splitlines(), key=len) + " " * (len(table.columns) - 1)
