"""What the routes work with, put together once for each process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flask import current_app
from redis import Redis

from carts.connection import connect
from carts.figures import Figures
from carts.inbox import Inbox
from carts.outcomes import Outcomes
from carts.products import ProductCache
from carts.store import Carts
from carts.workers import Heartbeats
from db.session import Database
from shop.payments import Provider, Webhooks
from shop.rules import Rules
from tasks.order_tokens import OrderTokens
from tasks.queues import PAYMENTS, Bell, checkout_queues, connect_queue, open_queue
from web.catalogue import Catalogue
from web.cursors import Cursors
from web.providers import connect_providers, readers
from web.sessions import Sessions
from web.settings import Settings, all_secrets, read_rules
from web.stores import check_redis, now_ms


@dataclass(frozen=True, slots=True)
class Services:
    """The stores and rules of one web process."""

    rules: Rules
    redis: Redis
    database: Database
    carts: Carts
    inbox: Inbox
    catalogue: Catalogue
    outcomes: Outcomes
    heartbeats: Heartbeats
    bell: Bell
    """Of the settle workers, one a shard."""
    payments_bell: Bell
    sessions: Sessions
    cursors: Cursors
    order_tokens: OrderTokens
    figures: Figures
    secrets: Sequence[str] = field(repr=False)
    """Oldest first; the last one signs."""
    rules_fingerprint: str
    admin_api_key: str = ""
    providers: Mapping[str, Provider] = field(default_factory=dict)
    webhooks: Mapping[str, Webhooks] = field(default_factory=dict)
    order_url: str = "/orders/{id}"
    settle_shards: int = 1
    now: Callable[[], int] = now_ms


def assemble(
    settings: Settings,
    rules: Rules,
    redis: Redis,
    queue_redis: Redis,
    database: Database,
    secrets: list[str],
    now: Callable[[], int] = now_ms,
    providers: Mapping[str, Provider] | None = None,
) -> Services:
    """Services on given connections; `secrets` are oldest first, the last one signs."""
    return Services(
        rules=rules,
        redis=redis,
        database=database,
        carts=Carts(redis, rules.cart.lifetime_seconds, rules.cart.max_lines),
        inbox=Inbox(
            redis,
            rules.cart.lifetime_seconds,
            shards=settings.settle_shards,
            max_seconds=settings.inbox_max_seconds,
        ),
        catalogue=Catalogue(ProductCache(redis), database, now),
        # Half the threads at most may wait; the others go on serving.
        outcomes=Outcomes(redis, settings.web_threads // 2),
        heartbeats=Heartbeats(redis),
        bell=Bell(*(open_queue(name, queue_redis) for name in checkout_queues(settings.settle_shards))),
        payments_bell=Bell(open_queue(PAYMENTS, queue_redis)),
        sessions=Sessions(secrets, settings.session_days),
        cursors=Cursors(secrets),
        order_tokens=OrderTokens(secrets),
        figures=Figures(redis),
        secrets=tuple(secrets),
        rules_fingerprint=rules.fingerprint(),
        admin_api_key=settings.admin_api_key,
        providers=providers or {},
        webhooks=readers(providers or {}),
        order_url=settings.order_url,
        settle_shards=settings.settle_shards,
        now=now,
    )


def connect_services(settings: Settings) -> Services:
    """Services on the stores that the settings name. Raises BadSettings.

    A Redis that is away is no reason not to start: the catalogue and past orders need none.
    """
    rules = read_rules(settings.shop_file)
    secrets = all_secrets(settings)
    database = Database(settings.database_url, pool_size=16, mails=bool(settings.smtp_url))
    redis = connect(settings.redis_url)
    check_redis(settings, redis)
    queue_redis = connect_queue(settings.redis_url)
    return assemble(
        settings, rules, redis, queue_redis, database, secrets, providers=connect_providers(settings, rules)
    )


def services() -> Services:
    found: Services = current_app.extensions["oncecart"]
    return found
