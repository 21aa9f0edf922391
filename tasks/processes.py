"""What our processes owe each other: none outlives the one that started it."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def spare_the_collector() -> None:
    """Let the garbage collector look at new objects only, and seldom; to be called when all is imported and set up.

    A settlement makes thousands of objects without cycles, and so does a request; looking through all of them and
    all the modules again and again took a seventh of a worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


def share_memory() -> None:
    """Before forking: keep the children's collectors off what they share with us, which they would copy by looking."""
    gc.collect()
    gc.freeze()


def fail(message: object) -> NoReturn:
    """End with one line on standard error."""
    print(f"oncecart: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)


def die_with_parent(sig: int = signal.SIGTERM, parent: int | None = None) -> None:
    """Ask the kernel to send `sig` to this process when its parent dies, however it dies.

    `parent` is the process that must be alive; a child that was slow to ask may have lost it already,
    and ends at once. Linux only (prctl(2)); elsewhere a process whose parent is killed has to be
    stopped by hand. The request survives an exec.
    """
    if sys.platform != "linux":
        return
    parent = parent or os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, sig) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise SystemExit(1)
