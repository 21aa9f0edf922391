"""flask doctor: what is good is ok, what is not is named with what to do, and nothing stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import event, update

from carts.connection import connect
from carts.workers import Heartbeats
from db import api_keys
from db.models import PaymentRow
from db.session import SAFE_SQLITE, SQLITE, Database
from shop.rules import Rules
from tasks.queues import QUEUES, connect_queue
from tests.harness import Clock, Shop
from tests.servers import valkey
from web import doctor
from web.doctor import Finding, clock, judge_space, packages
from web.settings import ROOT, Settings
from web.stores import now_ms

GIB = 1024**3
Found = dict[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def _settings_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    monkeypatch.setenv("SECRET_KEY", "a-secret-key-for-the-tests")


def look(shop: Shop) -> tuple[int, Found]:
    """The exit code, and each finding by the name of its check."""
    result = shop.app.test_cli_runner().invoke(args=["doctor", "--json"])
    document = json.loads(result.output)
    assert document["ok"] is (document["wrong"] == 0) is (result.exit_code == 0)
    return result.exit_code, {finding["check"]: finding for finding in document["checks"]}


def healthy(shop: Shop) -> Shop:
    """What is running where a shop is open: the clock, a worker of each queue, a key."""
    shop.clock.at = now_ms()
    for queue in QUEUES:
        Heartbeats(shop.redis).beat(queue, "host:1", shop.clock() / 1000)
    with shop.database.writing() as session:
        api_keys.add(session, "abcdefgh", "Ada's key", "hash", ["orders"], shop.clock())
    return shop


@pytest.fixture
def own_valkey() -> Iterator[tuple[Redis, Redis]]:
    """A server of this test's own, to set up badly."""
    with valkey() as url, connect(url) as redis, connect_queue(url) as queue_redis:
        yield redis, queue_redis


@pytest.fixture
def well(rules: Rules, own_valkey: tuple[Redis, Redis], sqlite: Database, clock: Clock, settings: Settings) -> Shop:
    return healthy(Shop(rules, *own_valkey, sqlite, clock, settings))


def test_an_open_shop_has_nothing_wrong(well: Shop) -> None:
    code, found = look(well)

    assert code == 0
    named = {check for check, finding in found.items() if finding["verdict"] != "ok"}
    assert named <= {"disk", "database", "packages", "payment providers", "mail"}  # The machine's, and the demo's.
    assert {"python", "SHOP_FILE", "redis appendfsync", "migrations", "inbox", "queue checkout", "disk"} <= set(found)
    assert found["redis"]["found"].startswith("Valkey ")
    assert found["redis last write to disk"]["found"] == "ok"
    assert found["API keys"]["found"] == "Ada's key"
    assert found["sqlite journal_mode"]["found"] == "wal"


def test_people_read_a_line_for_each_check_and_what_to_do(well: Shop) -> None:
    well.redis.config_set("appendfsync", "everysec")

    result = well.app.test_cli_runner().invoke(args=["doctor"])

    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert (
        "wrong    redis appendfsync: everysec → CONFIG SET appendfsync always, and the same in the server's file: "
        "an accepted checkout could be lost"
    ) in lines
    assert lines[-1].startswith(f"{len(lines) - 1} looked at; wrong: 1, warnings: ")


@pytest.mark.parametrize(
    ("setting", "bad", "must"),
    [
        ("appendonly", "no", "yes"),
        ("appendfsync", "everysec", "always"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ],
)
def test_each_setting_of_redis_that_could_lose_something_is_named(
    well: Shop, setting: str, bad: str, must: str
) -> None:
    well.redis.config_set(setting, bad)

    code, found = look(well)

    assert code == 1
    assert (found[f"redis {setting}"]["verdict"], found[f"redis {setting}"]["found"]) == ("wrong", bad)
    assert f"CONFIG SET {setting} {must}" in found[f"redis {setting}"]["advice"]


@pytest.mark.parametrize(("part", "verdict"), [(0.85, "warning"), (0.93, "wrong")])
def test_a_redis_that_is_running_full_is_named(well: Shop, part: float, verdict: str) -> None:
    well.redis.setrange("ballast", 30_000_000, "x")  # So much that what its clients need does not count.
    used = int(well.redis.info("memory")["used_memory"])
    well.redis.config_set("maxmemory", int(used / part))

    _, found = look(well)

    assert found["redis memory"]["verdict"] == verdict
    assert "raise maxmemory" in found["redis memory"]["advice"]


def test_a_redis_without_a_limit_is_fine(well: Shop) -> None:
    well.redis.config_set("maxmemory", 0)

    assert look(well)[1]["redis memory"]["verdict"] == "ok"


def test_a_checkout_that_waits_long_is_named(well: Shop) -> None:
    well.stocked(MUG=3)
    order_id = well.checkout(MUG=1)
    young = look(well)[1]["inbox"]
    well.redis.zincrby("accepted", -60, order_id)

    code, found = look(well)

    assert (young["verdict"], young["found"]) == ("ok", "1 checkouts wait, the oldest for 0 s")
    assert (code, found["inbox"]["verdict"]) == (1, "wrong")
    assert found["inbox"]["found"] == "1 checkouts wait, the oldest for 60 s"


def test_a_worker_that_is_silent_or_away_is_named(well: Shop) -> None:
    well.clock.forward(30)
    silent = look(well)[1]["worker of checkout"]
    for queue in QUEUES:
        Heartbeats(well.redis).leave(queue, "host:1")

    code, found = look(well)

    assert (silent["verdict"], silent["found"]) == ("wrong", "silent for 30 s")
    assert code == 1
    assert found["worker of checkout"]["found"] == "none was seen for a minute"
    assert found["worker of checkout"]["advice"] == "start one: python worker.py checkout"


def test_a_failed_job_is_named_and_stays_where_it_is(well: Shop) -> None:
    well.queue.enqueue("tasks.checkout.nothing_of_this_name")
    well.work_until_idle()

    _, found = look(well)

    assert found["queue checkout"]["verdict"] == "warning"
    assert found["queue checkout"]["found"] == "0 jobs wait, 1 failed within the hour"
    assert well.queue.failed_job_registry.get_job_count(cleanup=False) == 1


def test_a_redis_that_is_away_is_one_finding_and_the_rest_is_looked_at(shop: Shop, fake_pair: Any) -> None:
    healthy(shop)
    fake_pair[0].connection_pool.connection_kwargs["server"].connected = False

    code, found = look(shop)

    assert code == 1
    assert (found["redis"]["verdict"], found["redis"]["advice"]) == ("wrong", "start the server, or correct REDIS_URL")
    assert found["redis"]["found"].startswith("does not answer: ")
    assert found["migrations"]["verdict"] == "ok"


def test_a_redis_that_tells_nothing_of_itself_must_be_looked_at_by_hand(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy(shop)  # fakeredis: no INFO, no CONFIG.
    strict = look(shop)[1]["redis settings"]
    monkeypatch.setenv("REDIS_CHECK", "off")

    code, found = look(shop)

    assert strict["verdict"] == "wrong"
    assert (code, found["redis settings"]["verdict"]) == (0, "warning")
    assert "appendfsync always" in found["redis settings"]["advice"]


# ---------------------------------------------------------------- SQL


def test_a_database_that_is_not_there_is_named_and_not_made(shop: Shop, tmp_path: Path) -> None:
    shop.database.close()
    (tmp_path / "shop.db").unlink()

    code, found = look(shop)

    assert code == 1
    assert (found["database"]["verdict"], found["database"]["found"]) == ("wrong", f"{tmp_path}/shop.db is not there")
    assert not (tmp_path / "shop.db").exists()


def test_a_database_that_is_damaged_is_named(shop: Shop, tmp_path: Path) -> None:
    shop.database.close()
    (tmp_path / "shop.db").write_text("no database at all, but a text that is long enough to be read as a page" * 100)

    code, found = look(shop)

    assert (code, found["database"]["verdict"]) == (1, "wrong")
    assert found["database"]["found"] == "does not answer: file is not a database"


def test_a_database_that_needs_a_migration_is_named(any_shop: Shop) -> None:
    with any_shop.database.writing() as session:
        session.connection().exec_driver_sql("CREATE TABLE kept AS SELECT version_num FROM alembic_version")
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    try:
        code, found = look(any_shop)
    finally:
        with any_shop.database.writing() as session:
            session.connection().exec_driver_sql(
                "UPDATE alembic_version SET version_num = (SELECT version_num FROM kept)"
            )
            session.connection().exec_driver_sql("DROP TABLE kept")

    assert (code, found["migrations"]["verdict"]) == (1, "wrong")
    assert found["migrations"]["advice"].startswith("python -m db.migrate")
    assert look(any_shop)[1]["migrations"]["verdict"] == "ok"


def test_postgresql_is_named_with_its_version_and_its_clock_is_held_against_ours(
    rules: Rules, fake_pair: tuple[Redis, Redis], postgresql: Database, clock: Clock, settings: Settings
) -> None:
    shop = healthy(Shop(rules, *fake_pair, postgresql, clock, settings))
    together = look(shop)[1]
    shop.clock.forward(3)

    apart = look(shop)[1]

    assert together["database"]["found"].startswith("PostgreSQL 1")
    assert together["clock of the database"]["verdict"] == "ok"
    assert apart["clock of the database"]["verdict"] == "warning"
    assert apart["clock of redis"]["verdict"] == "warning"
    assert "sqlite journal_mode" not in apart


@pytest.mark.parametrize(
    ("pragma", "check", "found"),
    [("journal_mode=DELETE", "sqlite journal_mode", "delete"), ("synchronous=NORMAL", "sqlite synchronous", "normal")],
)
def test_an_sqlite_that_does_not_keep_what_it_was_given_is_named(
    shop: Shop, pragma: str, check: str, found: str
) -> None:
    shop.database.close()
    event.listen(shop.database.engine, "connect", lambda connection, _: connection.execute(f"PRAGMA {pragma}"))

    code, seen = look(shop)

    assert code == 1
    assert (seen[check]["verdict"], seen[check]["found"]) == ("wrong", found)


def test_an_sqlite_that_can_corrupt_its_file_is_a_warning(shop: Shop) -> None:
    found = look(shop)[1]["database"]

    assert found["verdict"] == ("ok" if SQLITE.sqlite_version_info >= SAFE_SQLITE else "warning")


def test_a_shop_without_keys_and_one_with_the_first_key_are_told_what_to_make(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = look(shop)[1]["API keys"]
    monkeypatch.setenv("ADMIN_API_KEY", "a-key-of-sixteen-letters")

    first = look(shop)[1]["API keys"]

    assert (none["verdict"], none["found"]) == ("warning", "none: nobody can use the admin API")
    assert (first["verdict"], first["found"]) == ("warning", "0 and ADMIN_API_KEY")
    assert "a-key-of-sixteen-letters" not in json.dumps(first)


# ---------------------------------------------------------------- payments


def test_the_sandbox_is_named_before_anybody_sells_for_real_with_it(shop: Shop) -> None:
    found = look(shop)[1]["payment providers"]

    assert (found["verdict"], found["found"]) == ("warning", "the sandbox takes no real money")


def test_a_provider_without_its_keys_is_wrong(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = (ROOT / "shop.toml").read_text().replace('provider = "sandbox"', 'provider = "stripe"')
    (tmp_path / "own.toml").write_text(rules)
    monkeypatch.setenv("SHOP_FILE", str(tmp_path / "own.toml"))

    found = look(shop)[1]["payment providers"]

    assert found["verdict"] == "wrong"
    assert found["found"].startswith("STRIPE_SECRET_KEY: ")


def test_payments_that_stand_for_a_person_are_wrong(shop: Shop) -> None:
    assert look(shop)[1]["payments"]["verdict"] == "ok"
    shop.stocked(MUG=1)
    shop.checkout(body={"payment_method": "card", "payment_token": "tok_approve"}, MUG=1)
    shop.work_until_idle()
    with shop.database.writing() as session:
        session.execute(update(PaymentRow).where(PaymentRow.kind == "capture").values(status="stuck"))

    found = look(shop)[1]["payments"]

    assert (found["verdict"], found["advice"]) == ("wrong", "flask payments unresolved")


# ---------------------------------------------------------------- settings, versions, the machine


@pytest.mark.parametrize(
    ("name", "value", "check", "verdict"),
    [
        ("PORT", "abc", "settings", "wrong"),
        ("CORS_ORIGINS", "http://shop.example", "CORS_ORIGINS", "warning"),
        ("CORS_ORIGINS", "https://shop.example,http://localhost:3000", "CORS_ORIGINS", "ok"),
        ("SHOP_FILE", "nothing.toml", "SHOP_FILE", "wrong"),
        ("SECRET_KEY", "", "SECRET_KEY", "warning"),
        ("VAR_DIR", "nowhere", "VAR_DIR", "warning"),
        ("VAR_DIR", "/dev/null/var", "VAR_DIR", "warning"),
    ],
)
def test_each_setting_has_its_verdict(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str, value: str, check: str, verdict: str
) -> None:
    monkeypatch.setenv(name, value)
    result = shop.app.test_cli_runner().invoke(args=["doctor", "--json"])

    verdicts = [found["verdict"] for found in json.loads(result.output)["checks"] if found["check"] == check]

    assert verdict in verdicts
    assert "wrong" not in verdicts or verdict == "wrong"


def test_a_folder_that_is_a_file_and_a_key_that_was_cut_short_are_named(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret_key").write_text("cut")
    (tmp_path / "file").touch()
    monkeypatch.delenv("SECRET_KEY")
    cut = look(shop)[1]["SECRET_KEY"]
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "file"))

    no_folder = look(shop)[1]["VAR_DIR"]

    assert (cut["verdict"], no_folder["verdict"]) == ("wrong", "wrong")
    assert not cut["found"].startswith("SECRET_KEY")


def test_packages_are_held_against_the_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("# tested\nFlask==0.1\nnothing-of-this-name==1.0\nwindows-only==2; sys_platform == 'win32'\n")

    found = [(finding.check, finding.verdict, finding.found) for finding in packages(pins)]

    assert found[0] == ("python", "ok", f"Python {'.'.join(map(str, sys.version_info[:3]))}")
    assert found[1] == ("packages", "wrong", "missing: nothing-of-this-name")
    assert found[2][:2] == ("packages", "warning")
    assert found[2][2].endswith("instead of 0.1")
    assert [finding.verdict for finding in packages(tmp_path / "none.txt")][1:] == ["warning"]


def test_every_pin_of_ours_is_looked_at() -> None:
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line and line[0] != "#"]

    assert len(doctor._PIN.findall((ROOT / "requirements.txt").read_text())) == len(pins)


@pytest.mark.parametrize(
    ("free", "total", "verdict"),
    [
        (50 * GIB, 100 * GIB, "ok"),
        (9 * GIB, 100 * GIB, "warning"),
        (GIB - 1, 5 * GIB, "warning"),
        (GIB, 5 * GIB, "ok"),
        (199 * 1024**2, GIB, "wrong"),
    ],
)
def test_a_disk_that_is_running_full_is_named(free: int, total: int, verdict: str) -> None:
    found = judge_space("/var", free, total)

    assert found.verdict == verdict
    assert bool(found.advice) == (verdict != "ok")


@pytest.mark.parametrize(("apart_ms", "verdict"), [(900, "ok"), (-1100, "warning"), (10_001, "wrong")])
def test_clocks_that_do_not_agree_are_named(apart_ms: int, verdict: str) -> None:
    assert clock("clock", 1_000_000, 1_000_000 + apart_ms) == Finding(
        "clock",
        verdict,
        f"{abs(apart_ms) / 1000:.1f} s from ours",
        "" if verdict == "ok" else "let NTP set the clock of every host: workers look dead and sessions old",
    )


# ---------------------------------------------------------------- the real command


def flask(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command as it is typed, in a process of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=ROOT,
        env={**kept, "VAR_DIR": str(tmp_path), **settings},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", ["audit", "reconcile", "keys", "--help"])
def test_bad_settings_are_one_line_whatever_the_command(tmp_path: Path, command: str) -> None:
    result = flask(tmp_path, command, *(["list"] if command == "keys" else []), PORT="abc")

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("oncecart: PORT: ")
    assert result.stderr.count("\n") == 1


def test_a_broken_rules_file_is_one_line_for_others_and_a_finding_for_the_doctor(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("name = \n")

    audit = flask(tmp_path, "audit", SHOP_FILE=str(bad))
    doctor = flask(tmp_path, "doctor", SHOP_FILE=str(bad))

    assert audit.returncode == 2
    assert audit.stderr.startswith("oncecart: bad.toml:")
    assert audit.stderr.count("\n") == 1
    assert doctor.returncode == 1
    assert "wrong    SHOP_FILE: bad.toml:" in doctor.stdout
    assert "wrong    redis: does not answer: " in doctor.stdout
    assert doctor.stderr == ""


@pytest.mark.real
def test_a_redis_that_the_shop_refuses_is_examined_by_the_doctor(tmp_path: Path) -> None:
    with valkey() as url, connect(url) as redis:
        redis.config_set("appendfsync", "everysec")

        audit = flask(tmp_path, "audit", REDIS_URL=url)
        doctor = flask(tmp_path, "doctor", REDIS_URL=url)

    assert (audit.returncode, doctor.returncode) == (2, 1)
    assert audit.stderr.count("\n") == 1
    assert "wrong    redis appendfsync: everysec → CONFIG SET appendfsync always" in doctor.stdout
    assert "ok       redis appendonly: yes" in doctor.stdout


def test_a_store_that_is_away_is_one_line(tmp_path: Path) -> None:
    result = flask(tmp_path, "audit")

    assert result.returncode == 1
    assert result.stderr.startswith("Error: The cart store is away for a moment")
    assert result.stderr.count("\n") == 1


def test_more_shards_than_the_database_has_writers_are_a_warning(
    rules: Rules, fake_pair: tuple[Redis, Redis], sqlite: Database, clock: Clock, settings: Settings
) -> None:
    shop = Shop(rules, *fake_pair, sqlite, clock, settings.model_copy(update={"settle_shards": 2}))

    _, found = look(shop)

    assert found["SETTLE_SHARDS"]["verdict"] == "warning"
    assert found["worker of checkout-1"]["verdict"] == "wrong"
    assert found["worker of checkout-1"]["advice"] == "start one: python worker.py checkout-1"
    assert found["queue checkout-1"]["verdict"] == "ok"
