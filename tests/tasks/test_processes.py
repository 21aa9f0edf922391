"""No process of ours outlives the one that started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import until
from web.settings import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's word for it is Linux's own")
CHILD = """
import os, time
from tasks.processes import die_with_parent
die_with_parent({})
print(os.getpid(), flush=True)
time.sleep(60)
"""


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_child_ends_when_its_parent_is_killed() -> None:
    parent = python(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD.format('parent=os.getppid()')!r}])"
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    parent.send_signal(signal.SIGKILL)

    until(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child), what="the child to end")
    parent.communicate()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_child_that_has_lost_its_parent_already_ends_at_once() -> None:
    orphan = python(CHILD.format(f"parent={os.getpid() + 1_000_000}"))

    said, _ = orphan.communicate(timeout=10)

    assert orphan.returncode == 1
    assert said == ""
