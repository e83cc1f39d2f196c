"""The modules that decide, and the tests that judge each of them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "mutate"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
TABLE = "(table)"  # stands where other mutants have the name of their function
KILLED_PERCENT_MIN = 90  # what each module has to reach; the rest is for judgement

# A test belongs to a module here if a mistake in the module is its business, not if it merely runs through it: a mutant
# that only a distant test kills is found by nobody who works on the module.
JUDGES: dict[str, tuple[str, ...]] = {
    "node/routes": ("tests/node/test_routes.py",),
    "node/status": ("tests/node/test_status.py",),
    "node/composition": ("tests/node/test_composition.py",),
    "node/addresses": ("tests/node/test_addresses.py",),
    "node/handshakes": ("tests/node/test_handshakes.py",),
    "node/liveness": ("tests/node/test_liveness.py",),
    "node/strangers": ("tests/node/test_strangers.py",),
    "wireguard/plan": ("tests/wireguard/test_plan.py",),
    "wireguard/admission": ("tests/wireguard/test_admission.py",),
    "wireguard/limits": ("tests/wireguard/test_limits.py",),
    "wireguard/reconciler": ("tests/wireguard/test_reconciler.py",),
    "supervisor/lifecycle": ("tests/supervisor/test_lifecycle.py", "tests/supervisor/test_supervision.py"),
    "supervisor/supervision": ("tests/supervisor/test_supervision.py",),
    "supervisor/io/capabilities": ("tests/integration/test_capabilities.py",),
    "core/wire/envelope": ("tests/core/wire/test_envelope.py",),
    "core/places": ("tests/core/test_places.py",),
    "core/pauses": ("tests/core/test_pauses.py",),
    "nat/classify": ("tests/nat/test_classify.py",),
    "nat/paths": ("tests/nat/test_paths.py",),
    "nat/portmapping/mapper": ("tests/nat/portmapping/test_mapper.py",),
    "nat/portmapping/pcp": ("tests/nat/portmapping/test_codecs.py",),
    "nat/portmapping/external": ("tests/nat/portmapping/test_rules.py",),
    "discovery/members/evidence": ("tests/discovery/members/test_evidence.py",),
    "discovery/members/table": (
        "tests/discovery/members/test_table.py",
        "tests/discovery/members/test_table_rules.py",
        "tests/discovery/members/test_evidence.py",
    ),
    "discovery/members/membership": (
        "tests/discovery/members/test_membership_news.py",
        "tests/discovery/members/test_membership_hearsay.py",
        "tests/discovery/members/test_membership_departures.py",
    ),
    "discovery/dispatch": ("tests/discovery/test_dispatch.py", "tests/discovery/test_dispatch_rules.py"),
    "discovery/messages/authentication": ("tests/discovery/messages/test_authentication.py",),
    "discovery/members/tombstones": ("tests/discovery/members/test_tombstones.py",),
    "discovery/messages/replay": ("tests/discovery/messages/test_replay.py",),
    "discovery/members/candidates": ("tests/discovery/members/test_candidates.py",),
    "discovery/messages/rate_limits": ("tests/discovery/messages/test_rate_limits.py",),
    "discovery/exchange/answers": ("tests/discovery/exchange/test_answers.py",),
    "discovery/exchange/goodbye": ("tests/discovery/exchange/test_goodbyes.py",),
    "discovery/exchange/hellos": (
        "tests/discovery/exchange/test_hellos_rules.py",
        "tests/discovery/exchange/test_hellos_answered.py",
    ),
    "discovery/exchange/transactions": ("tests/discovery/exchange/test_transactions.py",),
    "discovery/exchange/unanswered": ("tests/discovery/exchange/test_unanswered.py",),
    "discovery/dht_schedule": ("tests/discovery/test_dht_schedule.py",),
    "discovery/own": ("tests/discovery/test_own.py",),
}


def source_of(module: str) -> Path:
    """Where the module lies, below the root of the repository."""
    return Path("services/wgmesh") / f"{module}.py"
