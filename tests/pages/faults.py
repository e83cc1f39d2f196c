"""docs/reference/faults.md: faults and situations of a host, what they cost, and what was shown, in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from pages.cases import Page

PLACES = (
    "Processes of the node",
    "The clock",
    "The device",
    "Networks of the host",
    "Files of the host",
    "Paths to peers",
    "The LAN",
)

INTRODUCTION = """\
# Faults, and what they cost

Each row is a test that makes it happen on real nodes with real tunnels, while pings go through them. The time is from
the fault until everything is as it should be, of the slowest form. It includes what the test itself takes to look: some
tenths of a second. `make faults` runs them all and writes this page; {run}.
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a fault did. `lost` counts pings, `recovered_s` is in seconds; None for what was not observed."""

    lost: int | None = None
    recovered_s: float | None = None
    shown: str = ""


Observe = Callable[[Observed], None]


def note(seen: Observed) -> dict[str, object]:
    """What a test notes, in a form that goes from one process of pytest to another."""
    return asdict(seen)


def cells(notes: Sequence[object]) -> tuple[str, ...]:
    seen = [Observed(**each) for each in notes if isinstance(each, dict)]
    lost = [each.lost for each in seen if each.lost is not None]
    recovered = [each.recovered_s for each in seen if each.recovered_s is not None]
    shown = "; ".join(dict.fromkeys(each.shown for each in seen if each.shown))
    return (str(max(lost)) if lost else "-", f"{max(recovered):.1f} s" if recovered else "-", shown or "-")


COLUMNS = ("what happens", "pings lost", "as before after", "what was shown")
FAULTS = Page("fault", PLACES, "{}", INTRODUCTION, COLUMNS, cells)
