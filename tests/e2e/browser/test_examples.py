"""The examples for frontend teams, as somebody has them who copied a folder: the plain one is bought from."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.browser.conftest import Comes, Files
from tests.processes import RunningShop
from web.settings import ROOT

pytestmark = pytest.mark.e2e

EXAMPLES = ("plain", "react", "vue")
PATIENCE_MS = 15_000


def copied(example: str, folder: Path) -> Path:
    """A frontend as docs/quickstart.md makes it: an example, the styles, the client."""
    shutil.copytree(ROOT / "examples" / example, folder / example)
    for file in ("examples/shop.css", "web/static/oncecart.js"):
        shutil.copy(ROOT / file, folder / example)
    return folder / example


@pytest.fixture(scope="module")
def frontend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("frontend")
    copied("plain", folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_somebody_buys_from_the_plain_example(comes: Comes, frontend: str, shop: RunningShop) -> None:
    page = comes().page
    page.goto(f"{frontend}/plain/?shop={shop.address}")
    page.get_by_role("button", name="Add ").first.click()
    page.get_by_role("button", name="One more of").click()

    for label, text in {
        "Email": "ada@example.com",
        "Name": "Ada Lovelace",
        "Street": "1 Main Street",
        "Postal code": "94601",
        "City": "Oakland",
        "State (US)": "ca",
    }.items():
        page.get_by_label(label).fill(text)
    page.get_by_label("Delivery").focus()
    expect(page.locator("#total")).to_have_text(re.compile(r"^Total \d+\.\d\d USD, with \d+\.\d\d tax$"))
    page.get_by_label("Delivery").select_option("express")
    page.get_by_role("button", name="Buy").click()

    expect(page.get_by_role("status")).to_have_text(re.compile(r"^Your order \d+ is confirmed$"), timeout=PATIENCE_MS)
    expect(page.get_by_text("It is empty.")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()


def test_the_plain_example_says_what_went_wrong(comes: Comes, frontend: str, shop: RunningShop) -> None:
    page = comes().page
    page.goto(f"{frontend}/plain/?shop={shop.address}")
    add = page.get_by_role("button", name="Add ").first
    expect(add).to_be_visible()

    page.context.set_offline(True)
    add.click()

    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    page.context.set_offline(False)
    add.click()
    expect(page.get_by_role("alert")).to_be_empty()
    expect(page.get_by_text("1 × ")).to_be_visible()


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_what_javascript_reads(example: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node is installed")

    script = ROOT / "examples" / example / "main.js"

    checked = subprocess.run([node, "--check", str(script)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_loads_only_what_it_has_or_names_exactly(example: str, tmp_path: Path) -> None:
    folder = copied(example, tmp_path)
    text = (folder / "index.html").read_text()

    imports = re.findall(r'from "([^"]+)"', (folder / "main.js").read_text())

    mapped = dict(re.findall(r'"([^"]+)": "(https://[^"]+)"', text))
    assert all((folder / name).exists() for name in re.findall(r'(?:src|href)="([^"]+)"', text))
    assert all((folder / name).exists() if name.startswith("./") else name in mapped for name in imports)
    assert all(re.search(r"@\d+\.\d+\.\d+", address) for address in mapped.values())
