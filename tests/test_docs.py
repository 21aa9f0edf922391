"""The README says what is so."""

import re
from pathlib import Path

import pytest

from carts.durability import MUST_BE
from shop.orders import TRANSITIONS
from web.settings import ROOT, Settings

README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The README's table of settings, as the code has them."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, tuple) or default == "":
            shown = ""
        else:
            shown = f"`{default.name if hasattr(default, 'name') else default}`"
        rows.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_readme_lists_every_setting_as_it_is() -> None:
    assert settings_table() in README


def test_the_readme_draws_the_states_as_the_table_has_them() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)", README, re.MULTILINE))

    assert drawn == {(now, to) for now, ways in TRANSITIONS["status"].items() for to in ways}


def test_the_readme_names_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE)) <= targets


COMPOSE = (ROOT / "docker-compose.yml").read_text()


def test_the_valkey_of_compose_keeps_what_the_shop_promises() -> None:
    for name, value in MUST_BE.items():
        assert re.search(rf'- --{name}\n\s+- "?{value}"?\n', COMPOSE), f"{name} {value}"


def test_compose_hands_every_setting_on() -> None:
    own = {"host", "port", "var_dir", "shop_file"}  # The image's own.
    handed_on = set(re.findall(r"^    ([A-Z_]+):$", COMPOSE, re.MULTILINE))

    assert handed_on == {name.upper() for name in Settings.model_fields if name not in own}


# ---------------------------------------------------------------- the pages

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def prose(page: Path) -> str:
    """A page without its code, in which brackets are not links."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What a link may name after a `#`, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"(https?|mailto):", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()

    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")} - {"README.md"}

    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_pages_name_only_settings_that_exist() -> None:
    known = {name.upper() for name in Settings.model_fields} | {"VALKEY_MAXMEMORY", "POSTGRES_PASSWORD"}
    families = ("RATE_LIMIT_", "WEB_", "SETTLE_", "REDIS_", "SESSION_")

    named = {
        name
        for page in PAGES
        for name in re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b(?!\*|_)", page.read_text())
        if name.startswith(families)
    }

    assert named <= known
