"""What an audit of a page looks for, on every page there is: words about it, its frame, its headers, its fields."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from shop.errors import CODES
from tests.harness import Shop
from tests.pages.conftest import Reader
from web.requests import HEADERS

ORDER = "01900000-0000-7000-8000-000000000000"
PAGES = {
    "/": 200,
    "/?q=nothing": 200,
    "/products/mug": 200,
    "/cart": 200,
    "/checkout": 200,
    "/orders": 200,
    f"/orders/{ORDER}": 200,
    "/nowhere": 404,
    "/problems/": 200,
    "/problems/rate_limited": 200,
}
NAMED_BY_THEMSELVES = {"hidden", "submit", "button"}


class Outline(HTMLParser):
    """The elements of a page that an audit asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[dict[str, str]]] = {}
        self._labels = 0
        self.unlabelled: list[dict[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found.setdefault(tag, []).append(given)
        self._labels += tag == "label"
        is_field = tag in ("input", "select", "textarea") and given.get("type") not in NAMED_BY_THEMSELVES
        if is_field and not (self._labels or given.keys() & {"aria-label", "aria-labelledby", "id"}):
            self.unlabelled.append(given)

    def handle_endtag(self, tag: str) -> None:
        self._labels -= tag == "label"

    def meta(self, name: str) -> str:
        return next((each["content"] for each in self.found["meta"] if each.get("name") == name), "")


@pytest.fixture(autouse=True)
def _stocked(shop: Shop) -> None:
    shop.product("mug", name="Mug", description="A mug of enamelled steel.")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_what_it_is(reader: Reader, path: str) -> None:
    text = reader.opens(path, PAGES[path]).text
    outline = Outline(text)

    assert outline.found["html"][0]["lang"] == "en"
    assert len(outline.found["h1"]) == len(outline.found["title"]) == len(outline.found["main"]) == 1
    assert 10 <= len(outline.meta("description")) <= 200
    assert outline.meta("viewport") == "width=device-width, initial-scale=1"
    assert re.search(r"<title>[^<]{3,70}</title>", text)


@pytest.mark.parametrize("path", PAGES)
def test_every_field_has_a_name(reader: Reader, path: str) -> None:
    text = reader.opens(path, PAGES[path]).text
    outline = Outline(text)

    labelled = {label.get("for") for label in outline.found.get("label", [])}
    fields = [*outline.found.get("input", []), *outline.found.get("select", [])]
    by_id = [field for field in fields if "id" in field and "aria-label" not in field and field["id"] not in labelled]

    assert outline.unlabelled == []
    assert [field for field in by_id if f'id="{field["id"]}"' not in _inside_labels(text)] == []


def _inside_labels(text: str) -> str:
    return "".join(re.findall(r"<label.*?</label>", text, re.DOTALL))


@pytest.mark.parametrize("path", PAGES)
def test_every_picture_has_a_size_and_words(reader: Reader, path: str) -> None:
    outline = Outline(reader.opens(path, PAGES[path]).text)

    for image in outline.found.get("img", []):
        assert {"alt", "width", "height"} <= image.keys()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_comes_with_every_security_header(reader: Reader, path: str) -> None:
    headers = reader.opens(path, PAGES[path]).headers

    assert {name: headers.get(name) for name, _ in HEADERS} == dict(HEADERS)
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize("code", CODES)
def test_a_problem_page_has_no_backtick_left_over(reader: Reader, code: str) -> None:
    assert "`" not in reader.opens(f"/problems/{code}").text
