"""Named places in the real code at which a test can let a process die; nothing happens there otherwise."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

VARIABLE = "ONCECART_FAILPOINT"
"""`name`, `name:n` or `name:n:file`: this process is killed when it comes to the place for the nth time.

With a file only one process ever is, the one that makes it; those that follow live. Several with commas between.
"""
FILE_VARIABLE = "ONCECART_FAILPOINT_FILE"
"""A file that need not be there yet; while it is, it says `name:n:marker` to processes that run already.

The first of them that comes to the place for the nth time writes its id into the file `marker` and stands
still, so that whoever waits for the marker can kill it, and others in the same moment.
"""
POINTS = (
    # web/checkout.py
    "accept.accepting",  # the cart is priced, nothing is changed
    "accept.accepted",  # on disk, and nobody was told
    "accept.ringing",
    "accept.rung",  # for the settlement
    # tasks/checkout.py
    "settle.woken",
    "settle.begun",  # the doorbell is answered
    "settle.holding",
    "settle.held",  # the lease
    "settle.looking",
    "settle.looked",  # ahead: the batch before is told, the next asked for, neither answer read
    "settle.writing",  # all is written, nothing is committed
    "settle.committed",
    "settle.ringing",
    "settle.rung",  # for the payments
    "settle.telling",
    "settle.told",  # the inbox
    "settle.counting",  # a checkout could not be settled even alone
    "settle.counted",
    "settle.giving_up",  # its end is written, not committed
    "settle.given_up",
    "settle.leaving",  # a long run ends, and more waits
    "settle.left",
    "settle.releasing",
    "settle.released",  # the lease
    # tasks/pay.py
    "pay.woken",
    "pay.begun",  # the doorbell is answered
    "pay.writing",  # answers or leases are written, not committed
    "pay.written",
    "pay.leased",  # and nothing was asked yet
    "pay.asking",  # beside the call, before it
    "pay.asked",  # beside the call, after the answer
    "pay.called",  # answers are collected, nothing is written
    "pay.telling",  # an end is committed, the carts' store does not know
    "pay.told",
    "pay.setting_aside",  # an answer could not be written even alone
    "pay.set_aside",
    "pay.leaving",  # a long run ends, and more may be due
    "pay.left",
    # tasks/notices.py
    "notices.writing",  # answers are recorded or notices taken, not committed
    "notices.written",
    "notices.claimed",  # and nothing is sent yet
    "notices.sending",  # beside the message, before it
    "notices.sent",  # beside the message, after the answer
    "notices.answered",  # answers are collected, nothing is recorded
    "notices.tidying",
    "notices.tidied",  # what is long over is deleted
    # tasks/upkeep.py
    "upkeep.noting",
    "upkeep.noted",  # whether the carts' store is nearly full
    "upkeep.beating",
    "upkeep.beat",  # the heart
    "upkeep.due",
    "upkeep.ringing",  # a finger is on the doorbell, the job is not enqueued
    "upkeep.rung",
    "upkeep.folding",
    "upkeep.folded",  # SQLite's write-ahead log into its file
    "upkeep.leaving",
    "upkeep.left",
    # web/cancel.py
    "cancel.writing",
    "cancel.committed",
    "cancel.telling",
    "cancel.forgotten",  # the cached products
    "cancel.rung",  # for the payments
    "cancel.told",  # the inbox
    # web/admin/payments.py
    "refund.writing",
    "refund.committed",
    "refund.forgotten",
    "refund.rung",
    # web/admin/orders.py
    "change.writing",
    "change.committed",
    # web/payments.py: a webhook, or a shopper who returns
    "poke.writing",
    "poke.committed",
    "poke.rung",
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
    if watched := os.environ.get(FILE_VARIABLE):
        orders = _Orders(Path(watched))
        for name in POINTS:
            arm(name, partial(orders.follow, name))
    for wanted in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, _, rest = wanted.partition(":")
        nth, _, once = rest.partition(":")
        arm(name, _death(int(nth or 1), Path(once) if once else None))


def _death(nth: int, once: Path | None) -> Callable[[], None]:
    left = [nth]

    def die() -> None:
        left[0] -= 1
        if left[0] == 0 and (once is None or _claimed(once)):
            os.kill(os.getpid(), signal.SIGKILL)

    return die


class _Orders:
    """What the watched file says; a stat at each place while a test runs, and nothing at all otherwise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.Lock()
        self._read: tuple[int, int] | None = None
        self._name, self._left, self._marker = "", 0, path

    def follow(self, name: str) -> None:
        try:
            found = self._path.stat()
            with self._turn:
                if self._read != (found.st_ino, found.st_mtime_ns):
                    self._name, nth, marker = self._path.read_text().split(":", 2)
                    self._left, self._marker = int(nth), Path(marker)
                    self._read = found.st_ino, found.st_mtime_ns
                if name != self._name:
                    return
                self._left -= 1
                comes_first = self._left == 0 and _claimed(self._marker)
        except FileNotFoundError:
            return
        if comes_first:
            _stand_still()


def _claimed(marker: Path) -> bool:
    """Whether this process is the first to make the marker, which holds its id from the start."""
    mine = marker.with_name(f".{marker.name}.{os.getpid()}.{threading.get_ident()}")
    mine.write_text(str(os.getpid()))
    try:
        marker.hardlink_to(mine)
    except FileExistsError:
        return False
    finally:
        mine.unlink()
    return True


def _stand_still() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSTOP)  # All threads, but this one may go on for a moment.
    while True:
        threading.Event().wait()
