"""How often a session, and a client's address, may check out, ask for quotes and look at orders.

Every web process counts for itself, which costs no round trip, and tells Redis of each tenth of a limit that
somebody uses up, which answers with what the others have counted. So a shopper never costs Redis anything,
whoever hurries is seen by all, and who is over the limit is refused without asking anybody. With Redis away
each process goes on counting for itself. docs/decisions/0007-counting-requests.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from operator import attrgetter
from threading import Lock
from typing import NamedTuple

import structlog
from flask import Flask, Request, Response, g, request

from carts.tallies import Tallies
from shop.errors import RateLimited, Unavailable
from shop.limits import Limit, parse_limit, step, window
from web.sessions import session_id
from web.settings import Settings

MOST_KEYS = 20_000
"""Counted at once by one process for one limit; the oldest are forgotten first."""
SILENT_MS = 5000
"""So long a process counts for itself alone when Redis did not answer: the next would wait in vain too."""
SHORTEST_PREFIX = 64
"""An IPv6 client has at least so much of the network to itself, and could use an address a request."""
Now = Callable[[], int]

log = structlog.get_logger()


@dataclass(slots=True)
class Count:
    """A key's requests in one window: all we know of, and those of them that nobody else does."""

    window: int
    ends_at: int
    total: int = 0
    untold: int = 0


class Standing(NamedTuple):
    """What is left of a limit, and for how many seconds it will not be more. Less than none: refused."""

    name: str
    left: int
    seconds: int


class Counter:
    """Counts the requests of each key against one limit."""

    def __init__(self, name: str, limit: Limit, tallies: Tallies, now: Now) -> None:
        self.name, self.limit = name, limit
        self.policy = f'"{name}";q={limit.quota};w={limit.seconds}'
        self._tallies, self._now = tallies, now
        self._step = step(limit.quota)
        self._counts: dict[str, Count] = {}
        self._lock = Lock()
        self._silent_until = 0

    def count(self, key: str) -> Standing:
        """One request more."""
        now, quota = self._now(), self.limit.quota
        with self._lock:
            count = self._counts.get(key)
            if count is None or now >= count.ends_at:
                count = self._begin(key, now)
            count.total += 1
            count.untold += 1
            due = count.untold >= self._step and count.total <= quota and now >= self._silent_until
            told = count.untold if due else 0
            count.untold -= told
        if told:
            self._tell(key, count, told)
        return Standing(self.name, quota - count.total, -(-(count.ends_at - now) // 1000))

    def _begin(self, key: str, now: int) -> Count:
        self._counts.pop(key, None)
        if len(self._counts) >= MOST_KEYS:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = count = Count(*window(key, self.limit.seconds, now))
        return count

    def _tell(self, key: str, count: Count, told: int) -> None:
        try:
            known = self._tallies.add(f"{self.name}:{key}", count.window, told, self.limit.seconds)
        except Unavailable:  # Better a limit for each process than no shop, or a slow one.
            self._silent_until = self._now() + SILENT_MS
            return
        with self._lock:
            count.total = max(count.total, known + count.untold)


@dataclass(frozen=True, slots=True)
class Group:
    """The counters of some routes: of the session and of the address, each if there is one."""

    session: Counter | None
    address: Counter | None

    @property
    def policy(self) -> str:
        return ", ".join(counter.policy for counter in (self.session, self.address) if counter)


ROUTES = {
    "shop.check_out": "checkout",
    "shop.quote_checkout": "quote",
    "shop.list_orders": "orders",
    "shop.show_order": "orders",
    "shop.cancel_order": "orders",
}
NEW_CARTS = "shop.add_to_cart"


def groups(settings: Settings, tallies: Tallies, now: Now) -> dict[str, Group]:
    """What is counted at each endpoint; nothing where a limit is off."""
    limits = {
        "checkout": parse_limit(settings.rate_limit_checkout),
        "quote": parse_limit(settings.rate_limit_quote),
        "orders": parse_limit(settings.rate_limit_orders),
    }
    made = {name: _group(name, limit, settings, tallies, now) for name, limit in limits.items() if limit}
    found = {endpoint: made[name] for endpoint, name in ROUTES.items() if name in made}
    if sessions := parse_limit(settings.rate_limit_sessions):
        found[NEW_CARTS] = Group(None, Counter("sessions", sessions, tallies, now))
    return found


def _group(name: str, limit: Limit, settings: Settings, tallies: Tallies, now: Now) -> Group:
    factor = settings.rate_limit_address
    everybody = Counter(f"{name}-address", limit.times(factor), tallies, now) if factor else None
    return Group(Counter(name, limit, tallies, now), everybody)


@dataclass(frozen=True, slots=True)
class Gate:
    """Counts the requests of some endpoints, and refuses those that are too many."""

    groups: dict[str, Group]
    policies: dict[str, str]
    is_everybodys: Callable[[Request], bool]

    def count(self) -> None:
        """Before anything else is done for a request. Raises RateLimited."""
        asked = request._get_current_object()  # type: ignore[attr-defined] # a look through the proxy costs each time
        endpoint = asked.endpoint
        group = self.groups.get(endpoint)
        if group is None or asked.method == "OPTIONS":
            return
        standings = self._standings(group, asked)
        if not standings:
            return
        least = min(standings, key=_LEFT)
        g.rate_limit = self.policies[endpoint], f'"{least.name}";r={max(0, least.left)};t={least.seconds}'
        if least.left < 0:
            raise RateLimited(f"Too many requests; try again in {least.seconds} seconds.", least.seconds)

    def _standings(self, group: Group, asked: Request) -> list[Standing]:
        who, found = session_id(), []
        # A new session is nobody yet: it would have all of its limit left each time.
        new = "session_new" in g
        if group.session and not new:
            found.append(group.session.count(who))
        if group.address and (new or group.session) and not self.is_everybodys(asked):
            found.append(group.address.count(network(asked.remote_addr or "")))
        return found


_LEFT = attrgetter("left")


def register_limits(app: Flask, settings: Settings, tallies: Tallies, now: Now) -> None:
    """Count where there is a limit, and say in the answer what is left."""
    found = groups(settings, tallies, now)
    if not found:
        return
    policies = {endpoint: group.policy for endpoint, group in found.items()}
    app.before_request(Gate(found, policies, _unknown_proxies(settings.trusted_proxies)).count)

    @app.after_request
    def _say(response: Response) -> Response:
        if said := g.get("rate_limit"):
            response.headers.add("RateLimit-Policy", said[0])
            response.headers.add("RateLimit", said[1])
        return response


@lru_cache(4096)
def network(address: str) -> str:
    """Whom an address belongs to: itself, or in IPv6 the network around it."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or ip_network((found, SHORTEST_PREFIX), strict=False).network_address)


def _unknown_proxies(trusted: int) -> Callable[[Request], bool]:
    """Whether a request came by a proxy that TRUSTED_PROXIES does not know of: then its address is everybody's."""
    warned: list[str] = []

    def behind(asked: Request) -> bool:
        if trusted or "X-Forwarded-For" not in asked.headers or not _is_private(asked.remote_addr or ""):
            return False
        if not warned:
            warned.append("once")
            log.warning("limits.unknown_proxy", address=asked.remote_addr, detail="set TRUSTED_PROXIES")
        return True

    return behind


@lru_cache(4096)
def _is_private(address: str) -> bool:
    try:
        return ip_address(address).is_private
    except ValueError:
        return False
