"""Limits: how they are written, and the windows they count in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.limits import Limit, parse_limit, step, window

DAY_MS = 24 * 3600 * 1000


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("30/minute", Limit(30, 60)),
        ("5/second", Limit(5, 1)),
        ("1000 / hour", Limit(1000, 3600)),
        ("1/day", Limit(1, 86400)),
        ("off", None),
    ],
)
def test_a_limit_is_a_number_and_a_unit(text: str, limit: Limit | None) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize("text", ["", "30", "0/minute", "-1/minute", "30/fortnight", "a/minute", "30 per minute", "on"])
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30/minute"):
        parse_limit(text)


@given(st.text(max_size=20), st.sampled_from([1, 60, 3600, 86400]), st.integers(0, 10**13))
def test_an_instant_is_in_one_window_of_the_right_length(key: str, seconds: int, now: int) -> None:
    number, ends_at = window(key, seconds, now)

    assert now < ends_at <= now + seconds * 1000
    assert window(key, seconds, ends_at - 1)[0] == number
    assert window(key, seconds, ends_at) == (number + 1, ends_at + seconds * 1000)


def test_the_windows_of_two_keys_end_at_different_times() -> None:
    ends = {window(f"session-{number}", 60, DAY_MS)[1] for number in range(100)}

    assert len(ends) > 90


@pytest.mark.parametrize(("quota", "requests"), [(1, 1), (5, 1), (19, 1), (30, 3), (600, 60)])
def test_a_tenth_of_a_limit_is_counted_before_it_is_told(quota: int, requests: int) -> None:
    assert step(quota) == requests
