"""Every fail point: which course of a checkout comes to it, with which outcomes, and why not with the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.failpoints import POINTS

OUTCOMES: dict[str, str | None] = {
    "invoice": None,
    "approve": "tok_approve",
    "decline": "tok_decline",
    "timeout": "tok_timeout_after",
    "action": "tok_action_approved",
}
"""How a payment ends, by the token that makes it so. `timeout`: charged, but the answer is lost."""
VICTIMS = ("process", "valkey", "all")
"""Who is killed: the process at the place; it and Valkey; everything that belongs to the shop."""

NO_PROVIDER = "an invoice needs no provider, so nobody is told to pay"
NOTHING_LEFT = "a declined order has failed: there is nothing to cancel or to give back"
NOT_OPEN = "it is paid before anybody can cancel it, so its cart is not given back"
NOT_WAITING = "its payment is over with its first call: nobody waits to be poked"
LONG = "only a run of 30 seconds leaves while more is due; tests/tasks/test_long_runs.py brings it there"
UNWRITABLE = "only an answer that SQL does not take comes here; tests/tasks/test_long_runs.py makes one"
OLD = "only what is a month old is tidied away; tests/tasks/test_notices.py dies there"
NO_LOG = "PostgreSQL has no write-ahead log of ours to fold"


@dataclass(frozen=True, slots=True)
class Place:
    """A fail point and the course that comes to it."""

    point: str
    course: str
    never: dict[str, str] = field(default_factory=dict)
    """Outcomes that do not come here, and why not."""


@dataclass(frozen=True, slots=True)
class Case:
    """One death."""

    point: str
    outcome: str
    victim: str
    course: str

    @property
    def name(self) -> str:
        return f"{self.point}/{self.outcome}/{self.victim}"


def _all(reason: str) -> dict[str, str]:
    return dict.fromkeys(OUTCOMES, reason)


def _never(reason: str, *outcomes: str) -> dict[str, str]:
    return dict.fromkeys(outcomes, reason)


_NO_CANCEL = _never(NOTHING_LEFT, "decline")
_PAID_AT_ONCE = _never(NOT_WAITING, "invoice", "approve", "decline")
COURSES: dict[str, tuple[str, dict[str, str]]] = {
    "accept.": ("checkout", {}),
    "settle.": ("checkout", {}),
    "settle.looking": ("crowd", {}),
    "settle.looked": ("crowd", {}),
    "settle.ringing": ("checkout", _never(NO_PROVIDER, "invoice")),
    "settle.rung": ("checkout", _never(NO_PROVIDER, "invoice")),
    "settle.counting": ("poisoned", {}),
    "settle.counted": ("poisoned", {}),
    "settle.giving_up": ("hopeless", {}),
    "settle.given_up": ("hopeless", {}),
    "settle.leaving": ("checkout", _all(LONG)),
    "settle.left": ("checkout", _all(LONG)),
    "pay.": ("checkout", _never(NO_PROVIDER, "invoice")),
    "pay.leaving": ("checkout", _all(LONG)),
    "pay.left": ("checkout", _all(LONG)),
    "pay.setting_aside": ("checkout", _all(UNWRITABLE)),
    "pay.set_aside": ("checkout", _all(UNWRITABLE)),
    "notices.": ("checkout", {}),
    "notices.tidying": ("checkout", _all(OLD)),
    "notices.tidied": ("checkout", _all(OLD)),
    "upkeep.": ("upkeep", {}),
    "upkeep.due": ("unheard", {}),
    "upkeep.ringing": ("unheard", {}),
    "upkeep.rung": ("unheard", {}),
    "upkeep.leaving": ("leaving", {}),
    "upkeep.left": ("leaving", {}),
    "cancel.": ("cancel", _NO_CANCEL),
    "cancel.told": ("cancel", {**_NO_CANCEL, **_never(NOT_OPEN, "invoice", "approve")}),
    "refund.": ("refund", _NO_CANCEL),
    "change.": ("change", _NO_CANCEL),
    "poke.": ("poke", _PAID_AT_ONCE),
}
"""By the point, or by what it begins with: the course, and the outcomes that do not come there."""


def places(postgres: bool = False) -> Iterator[Place]:
    """All of them, in their order. Raises KeyError for a point that nobody has given a course."""
    for point in POINTS:
        course, never = COURSES[point if point in COURSES else point.split(".")[0] + "."]
        if postgres and point in ("upkeep.folding", "upkeep.folded"):
            never = _all(NO_LOG)
        yield Place(point, course, never)


def cases(postgres: bool = False) -> list[Case]:
    """Every point with every outcome that comes to it and every victim."""
    return [
        Case(place.point, outcome, victim, place.course)
        for place in places(postgres)
        for outcome in OUTCOMES
        if outcome not in place.never
        for victim in VICTIMS
    ]


def short_cases(postgres: bool = False) -> list[Case]:
    """Every point that can be reached once; the outcomes take turns."""
    chosen = []
    for n, place in enumerate(places(postgres)):
        there = [outcome for outcome in OUTCOMES if outcome not in place.never]
        if there:
            chosen.append(Case(place.point, there[n % len(there)], "process", place.course))
    return chosen


def not_applicable(postgres: bool = False) -> list[tuple[str, str, str]]:
    """Point, outcome and reason of every combination that there is not."""
    return [(place.point, outcome, place.never[outcome]) for place in places(postgres) for outcome in place.never]
