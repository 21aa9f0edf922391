"""Named places in the real code at which a test can let a process die; nothing happens there otherwise."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

VARIABLE = "ONCECART_FAILPOINT"
"""`name`, `name:n` or `name:n:file`: this process is killed when it comes to the place for the nth time.

With a file only one process ever is, the one that makes it; those that follow live. Several with commas between.
"""
POINTS = (
    # tasks/checkout.py
    "settle.begun",  # the doorbell is answered
    "settle.writing",  # all is written, nothing is committed
    "settle.committed",
    "settle.rung",  # for the payments
    "settle.told",  # the inbox
    # tasks/pay.py
    "pay.begun",  # the doorbell is answered
    "pay.writing",  # answers or leases are written, not committed
    "pay.written",
    "pay.leased",  # and nothing was asked yet
    "pay.asking",  # beside the call, before it
    "pay.asked",  # beside the call, after the answer
    "pay.called",  # answers are collected, nothing is written
    "pay.telling",  # an end is committed, the carts' store does not know
    "pay.told",
)
"""Every place there is; tests/tasks/test_failpoints.py holds the list against the source."""
_armed: dict[str, Callable[[], None]] = {}


def failpoint(name: str) -> None:
    """A place with a name. Costs one look at an empty dict."""
    if _armed and name in _armed:
        _armed[name]()


def arm(name: str, action: Callable[[], None]) -> None:
    """Let something happen at a place. Raises ValueError when there is none of that name."""
    if name not in POINTS:
        raise ValueError(f"{VARIABLE}: there is no place {name!r}; there are {', '.join(POINTS)}")
    _armed[name] = action


def disarm() -> None:
    _armed.clear()


def arm_from_environment() -> None:
    """Arm what the environment names; to be called by a process of the shop as it starts."""
    for wanted in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, rest = wanted.partition(":")
        nth, _, once = rest.partition(":")
        arm(name, _death(int(nth or 1), Path(once) if once else None))


def _death(nth: int, once: Path | None) -> Callable[[], None]:
    left = [nth]

    def die() -> None:
        left[0] -= 1
        if left[0] == 0 and (once is None or _made(once)):
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def _made(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
