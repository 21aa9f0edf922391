"""Descriptions written as HTML: safe to show, and readable without it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shop.descriptions import plain_text, sanitize


@pytest.mark.parametrize(
    ("source", "safe"),
    [
        ("<p>Holds <b>tea</b>.</p>", "<p>Holds <b>tea</b>.</p>"),
        ("<script>alert(1)</script>Tea", "Tea"),
        ('<p onclick="alert(1)" style="color:red" class="x">Tea</p>', "<p>Tea</p>"),
        ('<a href="javascript:alert(1)">Tea</a>', '<a rel="noopener noreferrer">Tea</a>'),
        ("<iframe src=/x></iframe><form><input></form>Tea", "Tea"),
        ("  <p>Tea</p>\n", "<p>Tea</p>"),
        ("a &#127;b&#1;c", "a bc"),
        ("fish & chips", "fish &amp; chips"),
    ],
)
def test_what_could_run_or_restyle_is_taken_out(source: str, safe: str) -> None:
    assert sanitize(source) == safe


def test_an_address_cannot_hide_its_scheme_behind_a_control_character() -> None:
    assert "javascript" not in sanitize('<a href="java&#127;script:alert(1)">Tea</a>')


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Holds <b>tea</b>.</p><p>And&nbsp;coffee.</p>", "Holds tea.\nAnd coffee."),
        ("Care:<ul><li>wash</li><li>dry</li></ul>", "Care:\nwash\ndry"),
        ("one<br>two<hr>three", "one\ntwo\nthree"),
        (
            "<table><tr><td>Height</td><td>9 cm</td></tr><tr><td>Width</td><td>12 cm</td></tr></table>",
            "Height 9 cm\nWidth 12 cm",
        ),
        ("5 &lt; 6 &amp;amp; <i>so</i>", "5 < 6 &amp; so"),
        ('<img src="https://a.example/b.png" alt="x">', ""),
        ("<pre>a</pre><picture>b</picture>", "a\nb"),
    ],
)
def test_plain_text_says_the_same_without_markup(source: str, text: str) -> None:
    assert plain_text(sanitize(source)) == text


PIECES = """
<p> </p> <b> <table> <td> <li> </ul> <a__href=' https://x javascript: '> <!-- --> <svg> <math> <style> </style>
<noscript> & &lt; &#127; &#8232; &nbsp; < > " text é <br/> <img__src=x> <pre> <textarea> ]]> <![CDATA[ <title>
"""
_pieces = st.sampled_from(["\n", " ", *(piece.replace("__", " ") for piece in PIECES.split())])
soup = st.one_of(st.lists(_pieces, max_size=15).map("".join), st.text(max_size=60))


@given(soup)
@example("<pre>\n\n")
@example("<pre title=x>\n\n\n text\n</pre>")
def test_sanitizing_twice_changes_nothing(source: str) -> None:
    once = sanitize(source)

    assert sanitize(once) == once
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", once)


@given(soup)
def test_plain_text_is_trimmed_lines_without_control_characters(source: str) -> None:
    text = plain_text(sanitize(source))

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", text)
    assert all(line == line.strip() and line for line in text.split("\n") if text)
