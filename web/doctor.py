"""`flask doctor`: is this shop set up as it should be, and if not, what is to be done?

Looks at everything a shop stands on and changes nothing. A store that is away is one finding among
the others, and so are bad settings.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
import msgspec
from flask import current_app
from flask.cli import with_appcontext
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue

from carts import vitals as redis_vitals
from carts.connection import connect
from carts.durability import MUST_BE
from carts.inbox import Inbox
from carts.workers import Heartbeats
from db import api_keys, endpoints, notice_list, payments
from db import vitals as sql_vitals
from db.session import Database, sqlite_warning
from shop.errors import BadSettings, Unavailable
from shop.rules import Rules
from tasks.queues import connect_queue, open_queue, queues_of
from web.commands import REFUSED, Command, cause
from web.postage import open_smtp
from web.providers import check_providers, wanted
from web.services import Services
from web.settings import ROOT, Settings, prepare_var_dir, read_rules, read_settings, secret_key
from web.stores import now_ms

OK: Final = "ok"
WARNING: Final = "warning"
WRONG: Final = "wrong"
MIB = 1024 * 1024
SPARE_BYTES, LEAST_BYTES, SPARE_PART = 1024 * MIB, 200 * MIB, 0.10
"""Of the disk: less than the first, or than this part of it, is a warning; less than the second is wrong."""
MEMORY_FULLISH = 0.80
OLDEST_SECONDS = 30
SILENT_SECONDS = 10
APART_SECONDS, FAR_APART_SECONDS = 1.0, 10.0
LARGE_WAL_BYTES = 1024 * MIB
MANY_JOBS = 100
OLDEST_REDIS, OLDEST_POSTGRESQL = (6, 2), (13,)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^;\s]+)\s*(;.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what it is like, and what to do where it is not as it should be."""

    check: str
    verdict: str
    found: str
    advice: str = ""


Findings = Iterator[Finding]


@dataclass(frozen=True, slots=True)
class Stores:
    """What the shop keeps its things in. `database` is None where the settings name none that could be."""

    redis: Redis
    queues: list[Queue]
    database: Database | None
    now: Callable[[], int]
    settle_shards: int = 1


def examine(at: Services | None) -> Findings:
    """Look at everything; at the stores of these services, or else of the settings."""
    yield from packages(ROOT / "requirements.txt")
    try:
        settings = read_settings()
    except BadSettings as error:
        yield Finding("settings", WRONG, str(error), "correct it in the environment or in .env; see the README")
        return
    yield from _settings(settings)
    try:
        stores = _stores(settings, at)
    except BadSettings as error:
        yield Finding("settings", WRONG, str(error), "correct it in the environment or in .env; see the README")
        stores = Stores(connect(settings.redis_url), [], None, now_ms)
    yield from _redis(settings, stores)
    yield from _sql(settings, stores)
    yield from _mail(settings)
    for place in _places(settings, stores):
        yield space(place)


def _stores(settings: Settings, at: Services | None) -> Stores:
    if at is not None:
        rung = at.bell.connection
        queues = [open_queue(name, rung) for name in queues_of(at.settle_shards)]
        return Stores(at.redis, queues, at.database, at.now, at.settle_shards)
    rung = connect_queue(settings.redis_url)
    queues = [open_queue(name, rung) for name in queues_of(settings.settle_shards)]
    database = Database(settings.database_url)
    return Stores(connect(settings.redis_url), queues, database, now_ms, settings.settle_shards)


# ---------------------------------------------------------------- versions and settings


def packages(pins: Path) -> Findings:
    """Whether Python and the packages are those that the tests ran on."""
    ours = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    yield Finding("python", WRONG if old else OK, f"Python {ours}", "use 3.11 or newer" if old else "")
    if not pins.exists():
        yield Finding("packages", WARNING, f"{pins.name} is not here", "nothing says which versions are tested")
        return
    missing, others, pinned = [], [], _PIN.findall(pins.read_text(encoding="utf-8"))
    for name, expected, marker in pinned:
        try:
            found = version(name)
        except PackageNotFoundError:
            if not marker:  # With one it may not be meant for this machine.
                missing.append(name)
            continue
        if found != expected:
            others.append(f"{name} {found} instead of {expected}")
    install = f"pip install -r {pins.name}"
    if missing:
        yield Finding("packages", WRONG, f"missing: {', '.join(missing)}", install)
    if others:
        yield Finding("packages", WARNING, ", ".join(others), f"{install}: only those versions are tested")
    if not missing and not others:
        yield Finding("packages", OK, f"{len(pinned)} as they are pinned")


def _settings(settings: Settings) -> Findings:
    yield Finding("settings", OK, "can be read")
    try:
        rules = read_rules(settings.shop_file)
        yield Finding("SHOP_FILE", OK, f"{settings.shop_file}: {rules.name}, {rules.currency}")
        yield from _providers(settings, rules)
    except BadSettings as error:
        yield _bad("SHOP_FILE", error, "correct it there")
    yield from _var_dir(settings)
    for origin in settings.cors_origins:
        parts = urlsplit(origin)
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            advice = "serve the frontend by https: browsers keep no cookie of another site's otherwise"
            yield Finding("CORS_ORIGINS", WARNING, origin, advice)
    listed = ", ".join(settings.cors_origins) or "none: only pages of this very address may call the API"
    yield Finding("CORS_ORIGINS", OK, listed)


def _providers(settings: Settings, rules: Rules) -> Findings:
    """Whether the payment methods can be used, and take real money."""
    try:
        check_providers(settings, rules)
    except BadSettings as error:
        yield Finding("payment providers", WRONG, str(error), "correct it in the environment or in shop.toml")
        return
    names = wanted(rules)
    if "sandbox" in names:
        advice = 'before you open: name another provider in shop.toml, such as "stripe"'
        yield Finding("payment providers", WARNING, "the sandbox takes no real money", advice)
    else:
        yield Finding("payment providers", OK, ", ".join(names) or "none: orders are paid outside the shop")


def _var_dir(settings: Settings) -> Findings:
    kept = settings.var_dir / "secret_key"
    if not settings.var_dir.exists():
        yield Finding("VAR_DIR", WARNING, f"{settings.var_dir} is not there yet", "the first start makes it")
    else:
        try:
            prepare_var_dir(settings)
            yield Finding("VAR_DIR", OK, f"{settings.var_dir} can be written")
        except BadSettings as error:
            yield _bad("VAR_DIR", error, "let the shop's user write there")
    if not settings.secret_key and not kept.exists():
        yield Finding("SECRET_KEY", WARNING, "not set, and none was made yet", "the first start makes one")
        return
    try:
        secret_key(settings)
        yield Finding("SECRET_KEY", OK, "set" if settings.secret_key else f"in {kept}")
    except (BadSettings, OSError) as error:
        yield _bad("SECRET_KEY", error, "without it no session can be signed")


def _bad(setting: str, error: Exception, advice: str) -> Finding:
    return Finding(setting, WRONG, str(error).removeprefix(f"{setting}: "), advice)


def _away(error: Exception) -> str:
    """What a store that is away says to who runs the shop; its own message is for shoppers."""
    return f"does not answer: {cause(error) or error}"


# ---------------------------------------------------------------- Redis


def _redis(settings: Settings, stores: Stores) -> Findings:
    try:
        seen = redis_vitals.look(stores.redis)
        old = bool(seen.version) and seen.version < OLDEST_REDIS
        yield Finding("redis", WARNING if old else OK, seen.server, "use 6.2 or newer" if old else "")
        yield from _durability(settings, seen)
        yield from _memory(seen)
        yield clock("clock of redis", stores.now(), seen.clock_ms)
        yield from _inbox(settings, stores)
        yield from _workers(stores)
        yield from _queues(stores)
    except (Unavailable, RedisError) as error:
        yield Finding("redis", WRONG, _away(error), "start the server, or correct REDIS_URL")


def _durability(settings: Settings, seen: redis_vitals.Vitals) -> Findings:
    if seen.settings is None:
        must = ", ".join(f"{name} {value}" for name, value in MUST_BE.items())
        verdict = WARNING if settings.redis_check == "off" else WRONG
        yield Finding("redis settings", verdict, "cannot be read", f"see that it has {must}, and set REDIS_CHECK=off")
        return
    for name, value in MUST_BE.items():
        found = seen.settings[name] or "(empty)"
        if found == value:
            yield Finding(f"redis {name}", OK, found)
        else:
            advice = f"CONFIG SET {name} {value}, and the same in the server's file: an accepted checkout could be lost"
            yield Finding(f"redis {name}", WRONG, found, advice)
    if seen.appends is not None:
        good = seen.appends == "ok"
        advice = "" if good else "nothing it accepts is on disk: look at the server's log and its disk"
        yield Finding("redis last write to disk", OK if good else WRONG, seen.appends, advice)


def _memory(seen: redis_vitals.Vitals) -> Findings:
    used = f"{seen.used_bytes // MIB} MiB in use"
    if not seen.most_bytes:
        yield Finding("redis memory", OK, f"{used}, no limit")
        return
    part = seen.used_bytes / seen.most_bytes
    verdict = WRONG if part > redis_vitals.NEARLY_FULL else WARNING if part > MEMORY_FULLISH else OK
    advice = "" if verdict == OK else "raise maxmemory: above 90 % it takes no checkouts, and full no carts"
    yield Finding("redis memory", verdict, f"{used}, {part:.0%} of {seen.most_bytes // MIB} MiB", advice)


def _inbox(settings: Settings, stores: Stores) -> Findings:
    inbox = Inbox(stores.redis, 0)
    waiting, age = inbox.size(), inbox.oldest_age_seconds()
    if waiting == 0:
        yield Finding("inbox", OK, "no checkout waits")
        return
    stuck = age > OLDEST_SECONDS
    found = f"{waiting} checkouts wait, the oldest for {age:.0f} s"
    if age > settings.inbox_max_seconds:
        found += "; new ones are refused"
    yield Finding("inbox", WRONG if stuck else OK, found, "see that a worker runs, and its log" if stuck else "")


def _workers(stores: Stores) -> Findings:
    hearts = Heartbeats(stores.redis)
    for queue in queues_of(stores.settle_shards):
        last = hearts.last(queue)
        silent = None if last is None else max(0.0, stores.now() / 1000 - last)
        if silent is not None and silent <= SILENT_SECONDS:
            yield Finding(f"worker of {queue}", OK, f"alive {silent:.1f} s ago")
        else:
            found = "none was seen for a minute" if silent is None else f"silent for {silent:.0f} s"
            yield Finding(f"worker of {queue}", WRONG, found, f"start one: python worker.py {queue}")


def _queues(stores: Stores) -> Findings:
    for queue in stores.queues:
        # Without a clean-up: to count must not move jobs.
        failed = queue.failed_job_registry.get_job_count(cleanup=False)
        waiting = queue.count
        found = f"{waiting} jobs wait, {failed} failed within the hour"
        if failed:
            yield Finding(f"queue {queue.name}", WARNING, found, "look for errors in the worker's log")
        elif waiting > MANY_JOBS:
            yield Finding(f"queue {queue.name}", WARNING, found, "a job is only a doorbell: one is enough")
        else:
            yield Finding(f"queue {queue.name}", OK, found)


# ---------------------------------------------------------------- SQL


def _sql(settings: Settings, stores: Stores) -> Findings:
    database = stores.database
    if database is None:
        return
    path = sql_vitals.file(database)
    if path is not None and not path.exists():  # To open it would make it.
        yield Finding("database", WRONG, f"{path} is not there", "make run makes it, or python -m db.migrate")
        return
    try:
        seen = sql_vitals.look(database)
        yield from _database(seen)
        if not seen.migrated:
            yield Finding("migrations", WRONG, "not those of this code", "python -m db.migrate (make run does it too)")
            return
        yield Finding("migrations", OK, "current")
        if database.is_sqlite():
            yield from _sqlite(seen, database.wal_bytes())
            if stores.settle_shards > 1:
                found = f"{stores.settle_shards}, and SQLite has one writer"
                yield Finding("SETTLE_SHARDS", WARNING, found, "1 is as fast and takes less memory, or use PostgreSQL")
        if seen.clock_ms is not None:
            yield clock("clock of the database", stores.now(), seen.clock_ms)
        yield from _api_keys(settings, database)
        yield from _payments(database)
        yield from _notices(database, stores.now())
    except Unavailable as error:
        yield Finding("database", WRONG, _away(error), "start the server, or correct DATABASE_URL")


def _database(seen: sql_vitals.Vitals) -> Findings:
    warning = sqlite_warning() if seen.journal_mode else None
    if warning:
        yield Finding("database", WARNING, seen.server, warning)
    elif not seen.journal_mode and seen.version < OLDEST_POSTGRESQL:
        yield Finding("database", WARNING, seen.server, "use PostgreSQL 13 or newer")
    else:
        yield Finding("database", OK, seen.server)


def _sqlite(seen: sql_vitals.Vitals, wal_bytes: int) -> Findings:
    for name, found, must in (("journal_mode", seen.journal_mode, ("wal",)), ("synchronous", seen.synchronous, _FULL)):
        good = found in must
        advice = "" if good else f"must be {must[0]}: is the file on a network disk?"
        yield Finding(f"sqlite {name}", OK if good else WRONG, str(found), advice)
    large = wal_bytes > LARGE_WAL_BYTES
    advice = "something reads for a long time; the log shrinks when it ends" if large else ""
    yield Finding("sqlite write-ahead log", WARNING if large else OK, f"{wal_bytes / MIB:.1f} MiB", advice)


_FULL = ("full", "extra")


def _payments(database: Database) -> Findings:
    """Whether payments stand for a person."""
    with database.reading() as session:
        stuck = payments.stuck(session)
    if stuck:
        yield Finding("payments", WRONG, f"{stuck} that nobody can know the end of", "flask payments unresolved")
    else:
        yield Finding("payments", OK, "none stands for a person")


def _notices(database: Database, now: int) -> Findings:
    """Whether somebody is to be told of orders and cannot be."""
    with database.reading() as session:
        rows = endpoints.every(session)
        counts = notice_list.counts(session, now - 24 * 3600_000)
    off = [row.id for row in rows if row.switched_off]
    if off:
        advice = "see to the server, then switch it on: is_active, by PATCH /api/admin/webhooks/<id>"
        yield Finding("webhooks", WARNING, f"switched off after failures: {', '.join(off)}", advice)
    else:
        yield Finding("webhooks", OK, f"{sum(row.is_active for row in rows) or 'no'} endpoints are told of orders")
    found = f"{counts['waiting']} wait, {counts['failed']} of the last day were given up"
    advice = "flask notices failed says why; flask notices redeliver sends them again" if counts["failed"] else ""
    yield Finding("notices", WARNING if counts["failed"] else OK, found, advice)


def _mail(settings: Settings) -> Findings:
    """Whether shoppers get mail. Says hello to the server, and sends nothing."""
    if not settings.smtp_url:
        advice = "set SMTP_URL and MAIL_FROM, or send mail yourself on the webhook order.confirmed"
        yield Finding("mail", WARNING, "SMTP_URL is not set: nobody is told by mail of their order", advice)
        return
    host = urlsplit(settings.smtp_url).hostname
    try:
        open_smtp(settings).check()
        yield Finding("mail", OK, f"{host} answers")
    except OSError as error:  # As smtplib's own errors are.
        said = " ".join(str(error).split()) or type(error).__name__
        yield Finding("mail", WRONG, f"{host}: {said}", "correct SMTP_URL: mail waits, and is given up after a day")


def _api_keys(settings: Settings, database: Database) -> Findings:
    with database.reading() as session:
        good = [row.name for row in api_keys.every(session) if row.revoked_at is None]
    make = "flask keys create NAME --scope catalogue,stock,orders"
    if settings.admin_api_key:
        advice = f"it has every scope and no name: {make}, then unset it"
        yield Finding("API keys", WARNING, f"{len(good)} and ADMIN_API_KEY", advice)
    elif not good:
        yield Finding("API keys", WARNING, "none: nobody can use the admin API", make)
    else:
        yield Finding("API keys", OK, ", ".join(good))


# ---------------------------------------------------------------- the machine


def clock(check: str, here_ms: int, there_ms: int) -> Finding:
    """Whether two clocks agree."""
    apart = abs(here_ms - there_ms) / 1000
    verdict = WRONG if apart > FAR_APART_SECONDS else WARNING if apart > APART_SECONDS else OK
    advice = "" if verdict == OK else "let NTP set the clock of every host: workers look dead and sessions old"
    return Finding(check, verdict, f"{apart:.1f} s from ours", advice)


def _places(settings: Settings, stores: Stores) -> list[Path]:
    """The folders of VAR_DIR and of the database, each disk once."""
    path = sql_vitals.file(stores.database) if stores.database else None
    folders = [folder for folder in (settings.var_dir, path.parent if path else None) if folder and folder.exists()]
    return list({folder.stat().st_dev: folder for folder in reversed(folders)}.values())


def space(place: Path) -> Finding:
    usage = shutil.disk_usage(place)
    return judge_space(str(place), usage.free, usage.total)


def judge_space(place: str, free: int, total: int) -> Finding:
    """Whether so many bytes are enough."""
    verdict = OK if free >= SPARE_BYTES and free >= SPARE_PART * total else WARNING
    if free < LEAST_BYTES:
        verdict = WRONG
    advice = "" if verdict == OK else "make room: with a full disk nothing can be accepted or settled"
    return Finding("disk", verdict, f"{free // MIB} of {total // MIB} MiB are free for {place}", advice)


# ---------------------------------------------------------------- the command


@click.command("doctor", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of lines for people.")
@with_appcontext
def doctor_command(as_json: bool) -> None:
    """Check all that this shop stands on, and say what to do. Exit 1 if anything is wrong.

    Changes nothing, and goes on with the rest when a store is away.
    """
    refused: BadSettings | None = current_app.extensions.get(REFUSED)
    findings = list(examine(None if refused else current_app.extensions["oncecart"]))
    verdicts = [finding.verdict for finding in findings]
    wrong, warnings = verdicts.count(WRONG), verdicts.count(WARNING)
    if as_json:
        checks = [asdict(finding) for finding in findings]
        click.echo(msgspec.json.encode({"ok": not wrong, "wrong": wrong, "warnings": warnings, "checks": checks}))
    else:
        for finding in findings:
            advice = f" → {finding.advice}" if finding.advice else ""
            click.echo(f"{finding.verdict:8} {finding.check}: {finding.found}{advice}")
        click.echo(f"{len(findings)} looked at; wrong: {wrong}, warnings: {warnings}")
    raise SystemExit(1 if wrong else 0)
