"""What holds for every page the server sends: its policy, its weight, its files, its refusals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import Shop
from tests.pages.conftest import Reader
from tests.web.answers import take_sql_away
from web.settings import ROOT

ORDER = "01900000-0000-7000-8000-000000000000"
PAGES = ["/", "/?q=nothing", "/products/mug", "/cart", "/checkout", "/orders", f"/orders/{ORDER}", "/nowhere"]
STATIC = ROOT / "web" / "static"
OURS = [*STATIC.glob("shop/*.js"), *STATIC.glob("shop/*.css"), STATIC / "oncecart.js"]
EXCEPT_IMAGES_BYTES = {"/": 62_000, "/checkout": 100_000}
"""HTML, styles and scripts as they are, not compressed: the drawings of a first view come to 30 kB at most."""


@pytest.fixture(autouse=True)
def _stocked(shop: Shop) -> None:
    for number in range(24):
        shop.product(f"p{number}", name=f"A product with a name {number}")
    shop.product("mug", name="Mug")


def status_of(path: str) -> int:
    return 404 if path == "/nowhere" else 200


def directives(policy: str) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_load_nothing_but_its_own_files(reader: Reader, path: str) -> None:
    response = reader.opens(path, status_of(path))

    policy = directives(response.headers["Content-Security-Policy"])
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert set(policy["img-src"].split()) <= {"'self'", "data:", "https:"}
    assert (policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'")
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_nothing_that_its_policy_forbids(reader: Reader, path: str) -> None:
    page = reader.reads(path, status_of(path))

    assert not re.search(r"<script(?![^>]* src=)", page)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert re.findall(r'(?:src|href|action)="(?!/|#)([^"]*)"', page) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_whole_for_who_does_not_see_it(reader: Reader, path: str) -> None:
    page = reader.reads(path, status_of(path))

    assert '<html lang="en">' in page
    assert len(re.findall("<h1", page)) == 1
    assert re.search(r"<title>[^<]+</title>", page)
    assert page.count("<main") == 1
    for image in re.findall(r"<img [^>]*>", page):
        assert " alt=" in image
        assert " width=" in image, "a page that knows the size does not jump"
        assert " height=" in image


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_no_file_names_another_place(file: Path) -> None:
    text = file.read_text()
    code = re.sub(r"/\*.*?\*/|^\s*//.*$", "", text, flags=re.DOTALL | re.MULTILINE)

    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", code) == []
    assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", code)


def files_of(reader: Reader, path: str) -> dict[str, int]:
    """The sizes of a page and all that it loads with it, but for images: modules with what they import."""
    page = reader.opens(path)
    found = {path: len(page.data)}
    wanted = re.findall(
        r'(?:<script[^>]* src|<link[^>]*rel="stylesheet"[^>]* href|modulepreload" href)="([^"]*)"', page.text
    )
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        file = reader.opens(name)
        found[name] = len(file.data)
        folder = name.rsplit("/", 1)[0]
        for relative in re.findall(r'^(?:import|export) .*?from "([^"]+)"', file.text, re.MULTILINE):
            up, base = relative.startswith("../"), relative.rsplit("/", 1)[1]
            wanted.append(f"{folder.rsplit('/', 1)[0] if up else folder}/{base}")
    return found


@pytest.mark.parametrize("path", EXCEPT_IMAGES_BYTES)
def test_a_page_and_its_scripts_are_light(reader: Reader, path: str) -> None:
    found = files_of(reader, path)

    assert sum(found.values()) < EXCEPT_IMAGES_BYTES[path], found


def test_what_a_page_preloads_is_what_its_modules_import(reader: Reader) -> None:
    """A module that is imported and not preloaded costs one more journey to the server."""
    for path in ("/products/mug", "/cart", "/checkout", "/orders", f"/orders/{ORDER}"):
        page = reader.reads(path)
        named = set(re.findall(r'(?:src|href)="([^"]*\.js)"', page))
        assert (
            set(files_of(reader, path)) - {path} - {name for name in files_of(reader, path) if name.endswith(".css")}
            == named
        )


def test_files_are_kept_for_good_under_an_address_that_changes_with_them(reader: Reader) -> None:
    name = re.search(r'href="(/assets/[0-9a-f]{12}/shop/shop.css)"', reader.reads("/"))
    assert name

    now, before = reader.opens(name[1]), reader.opens("/assets/000000000000/shop/shop.css")

    assert now.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert before.headers["Cache-Control"] == "no-cache"
    assert now.data == before.data


@pytest.mark.parametrize("name", ["../app.py", "%2e%2e/%2e%2e/app.py", "shop/nothing.js"])
def test_no_file_from_elsewhere_is_served(reader: Reader, name: str) -> None:
    reader.opens(f"/assets/000000000000/{name}", 404)


def test_a_page_that_is_unchanged_is_not_sent_again(reader: Reader) -> None:
    first = reader.opens("/products/mug")

    assert first.headers["Cache-Control"] == "no-cache"
    assert reader.opens("/products/mug", 304, If_None_Match=first.headers["ETag"]).data == b""


@pytest.mark.parametrize("path", PAGES)
def test_looking_starts_no_session(reader: Reader, path: str) -> None:
    assert "Set-Cookie" not in reader.opens(path, status_of(path)).headers


@pytest.mark.parametrize("path", ["/nowhere", "/products/none", "/products/..%00", "/orders/none", "/problems/none"])
def test_a_bad_link_leads_people_to_a_page_and_programs_to_a_problem(shop: Shop, reader: Reader, path: str) -> None:
    page = reader.opens(path, 404)
    told = shop.app.test_client().get(path, headers={"Accept": "application/json"})

    assert page.mimetype == "text/html"
    assert "Look at everything we have" in page.text
    if not path.startswith("/products"):
        assert told.get_json()["code"] == "not_found"


def test_an_api_address_answers_as_an_api_whoever_asks(reader: Reader) -> None:
    assert reader.opens("/api/nowhere", 404).mimetype == "application/problem+json"


def test_without_a_database_a_page_says_so_and_when_to_come_back(shop: Shop, reader: Reader) -> None:
    take_sql_away(shop)

    page = reader.opens("/", 503)

    assert page.headers["Retry-After"] == "1"
    assert "Please try again in a moment." in page.text
    assert "/nowhere" not in page.text
    assert reader.opens("/cart").status_code == 200


def test_the_example_runs_its_one_script_by_its_hash(reader: Reader) -> None:
    response = reader.opens("/examples/minimal")

    scripts = directives(response.headers["Content-Security-Policy"])["script-src"]
    assert re.fullmatch(r"'self' 'sha256-[A-Za-z0-9+/]{43}='", scripts)
    assert len(response.text.splitlines()) <= 20


def test_the_icon_is_found_where_browsers_look(reader: Reader) -> None:
    assert reader.opens(reader.opens("/favicon.ico", 302).headers["Location"]).mimetype == "image/svg+xml"
