"""What the jobs of this process work with. RQ calls a job without arguments, so they find it here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from carts.inbox import Inbox
from db.session import Database
from shop.payments import Provider
from shop.rules import Rules
from tasks.queues import Bell
from tasks.tracing import Traces


@dataclass(frozen=True, slots=True)
class Runtime:
    """The stores, the rules and the clock (ms since the epoch) of one worker process."""

    inbox: Inbox
    database: Database
    rules: Rules
    bell: Bell
    """Of this process's own queue."""
    payments_bell: Bell
    now: Callable[[], int]
    worker: str
    """Unique among all workers: it holds the lease and shows in the heartbeats."""
    settle_batch: int = 256
    awake_seconds: float = 0.0
    """How long a settlement that has found nothing more looks again before it ends."""
    providers: Mapping[str, Provider] = field(default_factory=dict)
    """By the names that shop.toml calls them."""
    public_url: str = ""
    """Where shoppers reach the shop, for the way back from a provider."""
    traces: Traces | None = None


_current: list[Runtime] = []


def start(runtime: Runtime) -> None:
    """Set up this process for jobs; to be called after any fork, before the first job."""
    _current[:] = [runtime]


def current() -> Runtime:
    if not _current:
        raise RuntimeError("this process was not set up for jobs: worker.py calls tasks.runtime.start first")
    return _current[0]
