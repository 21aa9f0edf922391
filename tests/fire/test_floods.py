"""The floods in small, and proof that their accounting of one cart sees what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fire.client import Cart
from tests.fire.floods import SHORT, run, unaccounted


@pytest.mark.e2e
def test_exactly_as_much_is_sold_as_there_was_however_many_want_it(tmp_path: Path) -> None:
    floods = run(tmp_path, SHORT, seed=1)

    assert floods.violations == []
    assert floods.figures["few_units_sold"] == SHORT.units
    assert floods.figures["burst_answers_202"] == SHORT.burst
    assert floods.figures["one_cart_orders"] > 0


ONE, TWO, EMPTY = Cart("a", 1, {"MUG": 1}), Cart("a", 2, {"MUG": 3}), Cart()


def test_a_cart_that_is_there_or_ordered_or_was_emptied_is_accounted_for() -> None:
    assert list(unaccounted([TWO, ONE], TWO, {})) == []
    assert list(unaccounted([TWO, ONE], EMPTY, {"a": TWO})) == []
    assert list(unaccounted([TWO, ONE, EMPTY], EMPTY, {})) == []
    assert list(unaccounted([ONE, ONE], ONE, {})) == []


@pytest.mark.parametrize(
    ("seen", "now", "ordered", "fault"),
    [
        ([ONE, Cart("a", 1, {"MUG": 2})], ONE, {}, "version 1 of cart a was told as {'MUG': 1} and as {'MUG': 2}"),
        ([TWO], TWO, {}, "cart a was told in versions [2]; [1] were nobody's"),
        ([ONE, TWO], ONE, {}, "cart a was Cart(id='a', version=2, lines={'MUG': 3}) in the end"),
        ([ONE, TWO], EMPTY, {"a": ONE}, "cart a was Cart(id='a', version=2, lines={'MUG': 3}) in the end"),
        ([ONE, TWO], EMPTY, {}, "0 carts were emptied, and 1 are gone"),
        ([ONE, EMPTY], ONE, {}, "1 carts were emptied, and 0 are gone"),
        ([Cart("a", 1, {"MUG": 1, "BOOK": 1}), EMPTY], EMPTY, {}, "cart a is gone with {'MUG': 1, 'BOOK': 1}"),
        ([], EMPTY, {"a": ONE}, "cart a was ordered, and nobody had put anything into it"),
    ],
)
def test_a_cart_that_is_lost_doubled_or_changed_by_nobody_is_named(
    seen: list[Cart], now: Cart, ordered: dict[str, Cart], fault: str
) -> None:
    found = list(unaccounted(seen, now, ordered))

    assert any(fault in each for each in found), found
