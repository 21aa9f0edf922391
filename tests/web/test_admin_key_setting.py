"""ADMIN_API_KEY: one that could be guessed is refused at the start, in one line that does not repeat it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shop.errors import BadSettings
from tests.processes import RunningShop
from web.settings import read_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_key_of_fifteen_characters_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_API_KEY", "fifteen-letters")

    with pytest.raises(BadSettings) as caught:
        read_settings()

    assert str(caught.value) == "ADMIN_API_KEY: use at least 16 characters"


def test_a_key_of_sixteen_is_taken_and_none_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().admin_api_key == ""

    monkeypatch.setenv("ADMIN_API_KEY", "sixteen-letters!")

    assert read_settings().admin_api_key == "sixteen-letters!"


@pytest.mark.e2e
def test_the_shop_does_not_start_with_a_short_one(tmp_path: Path) -> None:
    code, said = RunningShop(tmp_path / "var", settings={"ADMIN_API_KEY": "swordfish"}).refused()

    assert (code, said) == (2, "oncecart: ADMIN_API_KEY: use at least 16 characters\n")
