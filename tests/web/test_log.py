"""The log: one JSON object a line, ours and everybody else's."""

from __future__ import annotations

import json
import subprocess
import sys

from web.settings import ROOT

PROGRAM = """
import logging, structlog
from web.log import configure_logging
configure_logging("info", "web")
log = structlog.get_logger()
log.debug("unheard")
log.info("request", path="/api/caf\\u00e9", status=200)
logging.getLogger("library").info("unheard")
logging.getLogger("library").warning("from a library")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("threw")
"""


def test_every_line_is_a_json_object_with_its_process_and_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("request", "info"),
        ("from a library", "warning"),
        ("threw", "error"),
    ]
    assert all(line["process"] == "web" and line["timestamp"].endswith("Z") for line in lines)
    assert lines[0]["path"] == "/api/café"
    assert lines[2]["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert done.stdout == ""
