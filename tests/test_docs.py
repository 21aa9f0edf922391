"""The README says what is so."""

import re

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
