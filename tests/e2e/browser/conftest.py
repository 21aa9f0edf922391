"""A running shop, a browser in front of it, and people who come by."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.e2e.browser.chromium import DESKTOP, chromium, program
from tests.e2e.browser.visitor import KEY, Merchant, Visitor
from tests.processes import RunningShop, running
from web.settings import ROOT

Comes = Callable[..., Visitor]


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *_said: object) -> None:
        """Quietly."""


@pytest.fixture(scope="module")
def frontend() -> Iterator[str]:
    """The origin of a frontend of somebody's own, which has a copy of the client."""
    handler = partial(Files, directory=str(ROOT / "web" / "static"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, frontend: str) -> Iterator[RunningShop]:
    """An open shop; whatever happened in front of it, its audit finds nothing in the end."""
    if program() is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    folder = tmp_path_factory.mktemp("shop") / "var"
    with running(RunningShop(folder, settings={"ADMIN_API_KEY": KEY, "CORS_ORIGINS": frontend})) as found:
        yield found
        command = [sys.executable, "-m", "flask", "--app", "app", "audit"]
        audit = subprocess.run(command, cwd=ROOT, env=found.environment, capture_output=True, text=True)
        assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.fixture(scope="module")
def browser(shop: RunningShop) -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def merchant(shop: RunningShop) -> Merchant:
    return Merchant(shop)


@pytest.fixture
def comes(shop: RunningShop, browser: Browser) -> Iterator[Comes]:
    """A new person with a browser of their own; what the browser complains of fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def come(**options: Any) -> Visitor:
        given = {"viewport": DESKTOP, "reduced_motion": "reduce", **options}
        context = browser.new_context(base_url=shop.address, **given)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: _complains(said.text) and complaints.append(said.text))
        contexts.append(context)
        return Visitor(context)

    yield come
    for context in contexts:
        context.close()
    assert complaints == []


def _complains(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text


@pytest.fixture
def ada(comes: Comes) -> Visitor:
    return comes()
