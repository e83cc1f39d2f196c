from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.hostname import LONGEST_HOSTNAME, normalised_hostname, same_hostname


@pytest.mark.parametrize(
    ("given_name", "told"),
    [
        ("alice", "alice"),
        ("Alice-2.example.org", "Alice-2.example.org"),
        ("my_host", "my_host"),
        ("büro", "buro"),
        ("Straße", "Strasse"),
        ("Éric’s Laptop", "Eric-s-Laptop"),
        ("  living   room ", "living-room"),
        ("a\tb\x1b[2J", "a-b-2J"),
        ("東京", "xn--1lqs71d"),
        ("смартфон.lan", "xn--80axedjdkq.lan"),
        ("-a-", "a"),
        ("a..b", "a.b"),
        ("a.-.b", "a.b"),
        ("💻", ""),
        ("", ""),
        ("...", ""),
        ("x" * 70, "x" * 63),
        ("y" * 62 + "-z", "y" * 62),
    ],
)
def test_a_name_becomes_what_every_node_can_carry(given_name: str, told: str) -> None:
    assert normalised_hostname(given_name) == told


@given(st.text(max_size=300))
def test_whatever_the_name_is_what_is_told_is_plain_short_and_stays_what_it_is(text: str) -> None:
    told = normalised_hostname(text)

    assert re.fullmatch(r"([A-Za-z0-9_]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?)?", told)
    assert len(told) <= LONGEST_HOSTNAME
    assert normalised_hostname(told) == told


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Alice", "aLICE", True),
        ("büro", "BURO", True),
        ("a b", "a-b", True),
        ("a", "b", False),
        ("", "", False),
        ("💻", "", False),
    ],
)
def test_names_are_compared_without_case_and_in_the_form_that_is_told(one: str, other: str, same: bool) -> None:
    assert same_hostname(one, other) is same
    assert same_hostname(other, one) is same
