"""`python -m web.prepare`: what has to be done once before web and worker start, in containers.

Waits for the stores, migrates, fills a new shop with the demo catalogue (not with SEED_DEMO=off),
makes the secret key. Harmless when all that was done before. Under docker-compose.yml it also
decides which database the stack is on.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import structlog

from carts.connection import connect, redis_errors
from carts.workers import Heartbeats
from db import seed
from db.migrate import upgrade
from db.session import Database, sqlite_warning
from shop.errors import BadSettings, Unavailable
from tasks.processes import fail
from tasks.queues import QUEUES
from web.health import FRESH_SECONDS
from web.log import configure_logging
from web.providers import check_providers
from web.settings import Settings, prepare_var_dir, read_rules, read_settings, secret_key
from web.stores import check_redis

PATIENCE_SECONDS = 60.0
TRY_AGAIN_SECONDS = 0.5

log = structlog.get_logger()


def choose_stores(environ: Mapping[str, str], working_directory: Path) -> None:
    """Decide where a compose stack keeps its data, and write that to the .env that web and worker read.

    PostgreSQL when its container is on the network, as with `--profile postgres`; else SQLite. Each
    has a database of Valkey's to itself: carts and unfinished checkouts belong to the shop they were
    begun in. What is set in the environment wins over the file. Raises BadSettings, also for a change
    under a running shop: its processes would read the file at different times.
    """
    host, valkey = environ["COMPOSE_POSTGRES_HOST"], environ["COMPOSE_VALKEY_HOST"]
    number, lines = 0, []
    if not environ.get("DATABASE_URL") and _is_on_the_network(host):
        password = quote(environ["COMPOSE_POSTGRES_PASSWORD"], safe="")
        number, lines = 1, [f"DATABASE_URL='postgresql://oncecart:{password}@{host}/oncecart'"]
    lines.append(f"REDIS_URL='redis://{valkey}:6379/{number}'")
    path, text = working_directory / ".env", "".join(f"{line}\n" for line in lines)
    if path.exists() and path.read_text() != text and _is_running():
        raise BadSettings(
            "the shop is running on another database than it would get now; "
            "end it first: docker compose --profile postgres down"
        )
    _replace(path, text)


def _is_running() -> bool:
    """Whether a worker is alive in the stores of the last start."""
    with suppress(Unavailable), connect(read_settings().redis_url) as redis:
        last = [Heartbeats(redis).last(queue) for queue in QUEUES]
        return any(at is not None and time.time() - at < FRESH_SECONDS for at in last)
    return False


def _is_on_the_network(host: str) -> bool:
    """Whether a container of that name is up. Its service is healthy before we start, so one look is enough."""
    try:
        # The final dot: not a namesake in a search domain of the machine's.
        found = socket.getaddrinfo(f"{host}.", None)
    except socket.gaierror:
        return False
    # Private: some providers answer for names that do not exist with a page of their own.
    return any(ip_address(address[0]).is_private for *_, address in found)


def _replace(path: Path, text: str) -> None:
    """Write a file for this user only, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        raise BadSettings(f"cannot write {path}: {error.strerror}") from error


def patiently(what: str, attempt: Callable[[], None], patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Try until the store is there. Raises Unavailable when patience ends, anything else at once."""
    until = time.monotonic() + patience_seconds
    told = False
    while True:
        try:
            return attempt()
        except Unavailable as error:
            if time.monotonic() > until:
                raise Unavailable(f"{what}: no answer in {patience_seconds:.0f} s ({_reason(error)})") from error
            if not told:
                log.info("prepare.waits", what=what, because=_reason(error))
                told = True
            time.sleep(TRY_AGAIN_SECONDS)


def _reason(error: Exception) -> str:
    """The first line of what the store's driver said."""
    cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
    return str(cause).strip().partition("\n")[0]


def prepare(settings: Settings) -> None:
    """Make the stores ready for web and worker. Raises BadSettings or Unavailable."""
    rules = read_rules(settings.shop_file)
    check_providers(settings, rules)
    secret_key(settings)
    database = Database(settings.database_url)
    patiently("REDIS_URL", lambda: _check_redis(settings))
    patiently("DATABASE_URL", lambda: upgrade(database))
    products = 0
    if settings.seed_demo == "on":
        with database.writing() as session:
            products = seed.seed(session, rules.digits)
    database.close()
    kind = "SQLite" if database.is_sqlite() else "PostgreSQL"
    log.info("prepare.done", database=kind, demo_products=products)
    if database.is_sqlite() and (warning := sqlite_warning()):
        log.warning("sqlite.unsafe", detail=warning)


def _check_redis(settings: Settings) -> None:
    with connect(settings.redis_url) as redis:
        with redis_errors():
            redis.ping()
        check_redis(settings, redis)


def _stop(_signal: int, _frame: object) -> None:
    raise SystemExit(143)


def main() -> None:
    signal.signal(signal.SIGTERM, _stop)
    try:
        if "COMPOSE_POSTGRES_HOST" in os.environ:
            choose_stores(os.environ, Path.cwd())
        settings = read_settings()
        configure_logging(settings.log_level, "prepare")
        prepare_var_dir(settings)
        prepare(settings)
    except (BadSettings, Unavailable) as error:
        fail(error)


if __name__ == "__main__":
    main()
