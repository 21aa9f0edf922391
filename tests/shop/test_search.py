"""The words by which products are found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.search import Search, possible_skus, product_words, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Enamel mug, blue", ["enamel", "mug", "blue"]),
        ("TEE-BL/M", ["tee", "bl", "m"]),
        ("Éclair À LA crème", ["eclair", "a", "la", "creme"]),
        ("e\u0301clair", ["eclair"]),
        ("Größe Ærø Łódź Œuvre", ["grosse", "aero", "lodz", "oeuvre"]),
        ("ΟΔΥΣΣΕΥΣ ὀδυσσεύς", ["οδυσσευσ", "οδυσσευσ"]),
        ("ЁЛКА", ["елка"]),
        ("İstanbul ılık", ["istanbul", "ilik"]),
        ("Ｆｕｌｌ ﬁne ²", ["full", "fine", "2"]),
        ("it's 100% wool", ["it", "s", "100", "wool"]),
        ("日本語", ["日本語"]),
        ("🔥 mug\u200d🔥", ["mug"]),
        ("a\x00b\nc\u2028d", ["a", "b", "c", "d"]),
        ("%_'\"*()^:-", []),
        ("x" * 300, ["x" * 64]),
        ("", []),
    ],
)
def test_a_text_is_small_letters_without_accents_and_digits(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_a_product_has_the_words_of_its_sku_name_and_description() -> None:
    assert product_words("MUG-1", "Enamel mug", "For tea.") == " mug 1 enamel mug for tea "


def test_the_last_word_may_be_unfinished() -> None:
    assert Search.of("Mug mug Bl") == Search(("mug",), "bl")
    assert Search.of("%") is None


def test_what_has_a_digit_may_be_a_sku() -> None:
    assert possible_skus(" Mug-1 ") == {"Mug-1", "MUG-1", "mug-1"}
    assert possible_skus("mug") == frozenset()


@given(st.text())
def test_words_are_their_own_words_and_hold_no_syntax(text: str) -> None:
    found = words(text)

    assert words(" ".join(found)) == found
    assert not set("".join(found)) & set(" \x00\"'\\*&|!():^+-")
