"""Web processes that die again and again take no other with them."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.processes import RunningShop, running
from tests.servers import until
from web.serve import CRASH_LOOP_SECONDS

pytestmark = pytest.mark.e2e


def test_a_web_process_that_dies_twice_in_a_few_seconds_leaves_the_others_serving(tmp_path: Path) -> None:
    with running(RunningShop(tmp_path / "var")) as shop:
        listener, first, other = shop.pids()["web"]
        for _ in range(2):
            victim = next(pid for pid in shop.pids()["web"] if pid not in (listener, other))
            os.kill(victim, signal.SIGKILL)
            until(partial(_replaced, shop, victim), what="the process to be replaced")
            until(partial(_is_past, time.monotonic() + CRASH_LOOP_SECONDS), what="it to have served")

        assert first not in shop.pids()["web"]
        assert {listener, other} <= set(shop.pids()["web"])
        assert shop.shopper().ask("GET", "/readyz").status == 200


def _is_past(instant: float) -> bool:
    return time.monotonic() > instant


def _replaced(shop: RunningShop, gone: int) -> bool:
    running_now = shop.pids()["web"]
    return gone not in running_now and len(running_now) == 3
