"""What mutmut says becomes a verdict, a place in the file, and a rate."""

from __future__ import annotations

import pytest
from mutate.catalogue import ROOT, source_of
from mutate.verdicts import Equivalent, Mutant, Verdict, mutants_of, outdated, tally

MODULE = "node/liveness"
DIFF = """\
--- src/wgmesh/node/liveness.py
+++ src/wgmesh/node/liveness.py
@@ -1,3 +1,3 @@
 def judge(peer: ObservedPeer | None, grew_at: float | None, now: float) -> Verdict:
     \"\"\"Judges a peer.\"\"\"
-    if peer is None or peer.handshake_at is None:
+    if (peer is None):
"""
ENTRY = Equivalent(
    MODULE, "judge", "if peer is None or peer.handshake_at is None:", "if (peer is None):", "an example, not a reason"
)


def judged(status: str, *known: Equivalent, diff: str = DIFF) -> Mutant:
    (mutant,) = mutants_of(MODULE, [{"status": status, "function": "judge", "diff": diff}], known)
    return mutant


def test_a_survivor_is_shown_with_its_place_and_both_lines() -> None:
    mutant = judged("survived")
    source = (ROOT / source_of(MODULE)).read_text().splitlines()

    assert source[mutant.line - 1].strip() == mutant.was
    assert str(mutant).splitlines() == [
        f"services/wgmesh/node/liveness.py:{mutant.line} judge",
        "    - if peer is None or peer.handshake_at is None:",
        "    + if (peer is None):",
    ]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("killed", Verdict.KILLED),
        ("timeout", Verdict.TIMED_OUT),
        ("segfault", Verdict.TIMED_OUT),
        ("caught by type check", Verdict.REFUSED),
        ("not checked", Verdict.UNJUDGED),
        ("survived", Verdict.SURVIVED),
        ("no tests", Verdict.SURVIVED),
        ("suspicious", Verdict.SURVIVED),
    ],
)
def test_only_what_a_test_has_noticed_counts_as_killed(status: str, verdict: Verdict) -> None:
    assert judged(status).verdict is verdict


def test_a_survivor_that_a_reviewer_has_explained_is_equivalent() -> None:
    assert judged("survived", ENTRY).verdict is Verdict.EQUIVALENT
    assert judged("survived", ENTRY, diff=DIFF.replace("(peer is None)", "(peer)")).verdict is Verdict.SURVIVED


def test_an_explanation_is_outdated_when_its_mutant_is_killed_or_gone() -> None:
    assert list(outdated([ENTRY], [judged("survived", ENTRY)])) == []
    assert list(outdated([ENTRY], [judged("killed", ENTRY)])) == [ENTRY]
    assert list(outdated([ENTRY], [])) == [ENTRY]


def test_the_rate_is_that_of_the_mutants_that_a_test_could_notice_rounded_down() -> None:
    statuses = ["killed"] * 8 + ["timeout"] + ["survived"] * 2 + ["caught by type check"] * 5
    row = tally(MODULE, [*map(judged, statuses), judged("survived", ENTRY)])

    assert (row.killed, row.judged, row.percent, row.is_complete) == (9, 11, 81, True)


def test_a_module_that_is_not_judged_to_the_end_has_no_rate() -> None:
    assert not tally(MODULE, []).is_complete
    assert tally(MODULE, [judged("killed"), judged("not checked")]).row().endswith("| 1 | - |")
