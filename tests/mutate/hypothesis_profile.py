"""A pytest plugin: the same examples for every mutant, and no time spent on making a failure small."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "mutate", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("mutate")
