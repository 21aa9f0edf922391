"""What each sandbox token stands for: how a payment ends, and what goes wrong on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shop.payments import DECLINES

Operation = Literal["authorize", "look_up", "capture", "void", "refund", "act"]


@dataclass(frozen=True, slots=True)
class Script:
    """The course of one payment."""

    decline: str | None = None
    """Declined for this reason, one of DECLINES."""
    needs_action: bool = False
    acts: bool | None = None
    """The shopper needs no page: it is approved (True) or refused by itself."""
    acts_after_ms: int = 0
    delay_ms: int = 0
    """The answer to the first call of authorize takes so long."""
    lost_calls: int = 0
    """So many calls of authorize never arrive."""
    unreachable: bool = False
    """Nobody can be in doubt about the lost calls: there was no connection."""
    lost_reply: Operation | None = None
    """This operation happens, but its first reply gets lost."""
    refuses: Operation | None = None
    extra_minor: int = 0
    """Approves so much more than was asked for."""


NOT_SUPPORTED = Script(decline="not_supported")

_PLAIN: dict[str, Script] = {
    "tok_approve": Script(),
    "tok_decline": Script(decline="card_declined"),
    **{f"tok_decline_{reason}": Script(decline=reason) for reason in DECLINES},
    "tok_timeout_before": Script(lost_calls=1),
    "tok_timeout_after": Script(lost_reply="authorize"),
    "tok_action": Script(needs_action=True),
    "tok_action_never": Script(needs_action=True),
    "tok_action_approved": Script(needs_action=True, acts=True),
    "tok_action_refused": Script(needs_action=True, acts=False),
    "tok_wrong_amount": Script(extra_minor=1),
    "tok_capture_refused": Script(refuses="capture"),
    "tok_capture_timeout": Script(lost_reply="capture"),
    "tok_void_timeout": Script(lost_reply="void"),
    "tok_refund_refused": Script(refuses="refund"),
    "tok_refund_timeout": Script(lost_reply="refund"),
}
_COUNTED: dict[str, Callable[[int], Script]] = {
    "tok_slow": lambda ms: Script(delay_ms=ms),
    "tok_fail": lambda n: Script(lost_calls=n),
    "tok_unreachable": lambda n: Script(lost_calls=n, unreachable=True),
    "tok_action_approved": lambda ms: Script(needs_action=True, acts=True, acts_after_ms=ms),
    "tok_action_refused": lambda ms: Script(needs_action=True, acts=False, acts_after_ms=ms),
}
_NUMBERED = re.compile(r"([a-z_]+)_([0-9]{1,7})")


def script(token: str, slow_ms: int) -> Script:
    """What becomes of a payment with this token; `slow_ms` is what plain `tok_slow` takes.

    Whatever is no token of ours is declined as not supported.
    """
    if token == "tok_slow":  # noqa: S105 - that is what it is called
        return Script(delay_ms=slow_ms)
    if token in _PLAIN:
        return _PLAIN[token]
    numbered = _NUMBERED.fullmatch(token)
    if numbered and numbered[1] in _COUNTED:
        return _COUNTED[numbered[1]](int(numbered[2]))
    return NOT_SUPPORTED
