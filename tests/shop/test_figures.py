"""What can be read from figures that are kept by how large they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.figures import BATCH_BOUNDS, CONFIRM_BOUNDS_MS, quantile

BOUNDS = (10, 20, 50)


@pytest.mark.parametrize("bounds", [CONFIRM_BOUNDS_MS, BATCH_BOUNDS])
def test_bounds_rise(bounds: tuple[int, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))


def test_without_anything_there_is_no_quantile() -> None:
    assert quantile(0.5, (0, 0, 0, 0), BOUNDS) is None


@pytest.mark.parametrize(
    ("part", "counts", "expected"),
    [
        (0.5, (4, 0, 0, 0), 5.0),
        (0.5, (0, 4, 0, 0), 15.0),
        (1.0, (1, 0, 3, 0), 50.0),
        (0.99, (0, 0, 0, 7), 50.0),
        (0.25, (1, 3, 0, 0), 10.0),
    ],
)
def test_a_quantile_lies_within_the_bounds_of_its_values(part: float, counts: tuple[int, ...], expected: float) -> None:
    assert quantile(part, counts, BOUNDS) == pytest.approx(expected)


@given(values=st.lists(st.integers(0, 50), min_size=1), part=st.floats(0.01, 1.0))
def test_a_quantile_is_no_farther_off_than_the_bounds_are_apart(values: list[int], part: float) -> None:
    counts = [sum((BOUNDS[n - 1] if n else -1) < value <= bound for value in values) for n, bound in enumerate(BOUNDS)]
    exact = sorted(values)[max(0, -(-int(part * len(values) * 1000) // 1000) - 1)]

    found = quantile(part, [*counts, 0], BOUNDS)

    assert found is not None
    assert abs(found - exact) <= 30
