"""The settings: each bad one is one line that names it; what is generated is generated once and kept secret."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from carts.durability import MUST_BE
from db.session import Database
from shop.errors import BadSettings
from tests.servers import valkey
from web.services import connect_services
from web.settings import ROOT, Settings, prepare_var_dir, read_rules, read_settings, secret_key
from web.stores import check_redis


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the machine's reaches these tests."""
    monkeypatch.chdir(tmp_path)


def refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as caught:
        read_settings()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_without_any_setting_the_shop_keeps_everything_in_var(tmp_path: Path) -> None:
    settings = read_settings()

    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.var_dir == tmp_path / "var"
    assert settings.redis_url == f"unix://{tmp_path}/var/valkey/valkey.sock"
    assert settings.database_url == f"sqlite:///{tmp_path}/var/shop.db"
    assert settings.brings_redis
    assert settings.cors_origins == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "80.5"),
        ("REDIS_CHECK", "maybe"),
        ("REDIS_URL", "localhost:6379"),
        ("REDIS_URL", "http://localhost:6379"),
        ("REDIS_URL", "redis://localhost:port"),
        ("REDIS_URL", "redis://localhost:99999"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY_FALLBACKS", "long-enough-to-be-good,short"),
        ("RATE_LIMIT_CHECKOUT", "many"),
        ("RATE_LIMIT_QUOTE", "0/minute"),
        ("RATE_LIMIT_ORDERS", "30/fortnight"),
        ("RATE_LIMIT_SESSIONS", "30"),
        ("RATE_LIMIT_ADDRESS", "-1"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://shop.example/"),
        ("CORS_ORIGINS", "https://shop.example/path"),
        ("CORS_ORIGINS", "shop.example"),
        ("CORS_ORIGINS", "https://good.example,ftp://bad.example"),
        ("SMTP_URL", "mail.example:587"),
        ("SMTP_URL", "http://mail.example"),
        ("SMTP_URL", "smtp://"),
        ("SMTP_URL", "smtp://mail.example:port"),
        ("MAIL_FROM", "Our shop"),
        ("MAIL_FROM", "orders@shop@example"),
        ("MAIL_FROM", "Shop <orders@shop.example>\nBcc: all@shop.example"),
        ("SESSION_DAYS", "0"),
        ("SESSION_DAYS", "401"),
        ("WEB_WORKERS", "0"),
        ("WEB_THREADS", "1"),
        ("SETTLE_BATCH", "5001"),
        ("SETTLE_SHARDS", "0"),
        ("SETTLE_SHARDS", "17"),
        ("INBOX_MAX_SECONDS", "9"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "yes"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(name, value, monkeypatch).startswith(f"{name}: ")


def test_a_secret_that_is_refused_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "swordfish" not in refused("SECRET_KEY", "swordfish", monkeypatch)


def test_who_sends_mail_says_who_it_is_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_URL", "smtps://me:pass%40word@mail.example")
    with pytest.raises(BadSettings, match=r"^MAIL_FROM: with SMTP_URL the shop sends mail: say who it is from$"):
        read_settings()

    monkeypatch.setenv("MAIL_FROM", "Our shop <orders@shop.example>")

    assert read_settings().smtp_url == "smtps://me:pass%40word@mail.example"


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", " https://a.example , http://localhost:3000,")
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", "the-first-old-secret,the-second-old-secret")

    settings = read_settings()

    assert settings.cors_origins == ("https://a.example", "http://localhost:3000")
    assert settings.secret_key_fallbacks == ("the-first-old-secret", "the-second-old-secret")


def test_settings_may_stand_in_a_file_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nHOST=0.0.0.0\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("HOST", "127.0.0.2")

    settings = read_settings()

    assert (settings.port, settings.host) == (9001, "127.0.0.2")


def test_the_settings_of_a_process_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings().port = 1


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:pass%40word@host:6380/2",
        "rediss://host:6380",
        "unix:///run/valkey.sock",
        "redis://[::1]:6379",
    ],
)
def test_any_url_of_a_redis_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    settings = read_settings()

    assert settings.redis_url == url
    assert not settings.brings_redis


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://localhost/shop", "sqlite://", "sqlite:///:memory:", "oracle+x://h"]
)
def test_a_database_that_cannot_serve_is_named(url: str) -> None:
    with pytest.raises(BadSettings, match="DATABASE_URL") as caught:
        Database(url)

    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- secret_key


def test_a_secret_key_is_generated_once_for_this_user_only(settings: Settings) -> None:
    first = secret_key(settings)

    path = settings.var_dir / "secret_key"
    assert len(first) >= 32
    assert secret_key(settings) == first == path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in settings.var_dir.iterdir() if "secret" in entry.name] == ["secret_key"]


def test_processes_that_start_at_once_agree_on_the_key(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(settings), range(8)))

    assert len(keys) == 1


def test_the_folder_of_the_key_is_made_for_this_user_only(settings: Settings, tmp_path: Path) -> None:
    deep = settings.model_copy(update={"var_dir": tmp_path / "a" / "b"})

    secret_key(deep)

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_set_key_is_used_and_nothing_is_written(settings: Settings) -> None:
    given = settings.model_copy(update={"secret_key": "a-key-that-was-set-by-hand"})

    assert secret_key(given) == "a-key-that-was-set-by-hand"
    assert not (settings.var_dir / "secret_key").exists()


def test_a_key_file_that_was_cut_short_is_named(settings: Settings) -> None:
    (settings.var_dir / "secret_key").write_text("cut")

    with pytest.raises(BadSettings, match="SECRET_KEY"):
        secret_key(settings)


def test_a_folder_that_cannot_be_written_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BadSettings, match="VAR_DIR"):
        prepare_var_dir(settings.model_copy(update={"var_dir": tmp_path / "file" / "var"}))


# ---------------------------------------------------------------- shop.toml


def test_the_rules_that_come_with_the_shop_are_good() -> None:
    assert read_rules(ROOT / "shop.toml").currency == "USD"


def test_rules_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"SHOP_FILE: cannot read .*nothing\.toml"):
        read_rules(tmp_path / "nothing.toml")
    with pytest.raises(BadSettings, match="SHOP_FILE: cannot read"):
        read_rules(tmp_path)


def test_rules_that_are_no_utf_8_are_named(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_bytes(b'name = "\xff"')

    with pytest.raises(BadSettings, match="SHOP_FILE: cannot read"):
        read_rules(tmp_path / "shop.toml")


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('currency = "USD"', 'currency = "usd"', "currency"),
        ("max_quantity = 20", "max_quantity = 0", "cart.max_quantity"),
        ('base = "4.90"', "base = 4.90", "shipping.methods.0.base"),
        ('base = "4.90"', 'base = "4.901"', "shipping.methods.0.base"),
        ('standard = "7.25"', 'standard = "700"', "tax.rules.0.rates.standard"),
        ("lifetime_days = 30", "lifetime = 30", "cart.lifetime"),
    ],
)
def test_a_bad_rule_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, key: str) -> None:
    text = (ROOT / "shop.toml").read_text()
    line = text[: text.index(old)].count("\n") + 1
    (tmp_path / "shop.toml").write_text(text.replace(old, new, 1))

    with pytest.raises(BadSettings) as caught:
        read_rules(tmp_path / "shop.toml")

    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"shop.toml:{line}: ")
    assert key.rpartition(".")[2] in message


def test_rules_that_are_no_toml_are_named(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_text("name = \n")

    with pytest.raises(BadSettings, match=r"shop\.toml:.*line 1"):
        read_rules(tmp_path / "shop.toml")


# ---------------------------------------------------------------- the stores


def test_a_redis_that_could_lose_a_checkout_is_refused(settings: Settings, valkey_url: str) -> None:
    services = connect_services(settings.model_copy(update={"redis_url": valkey_url}))
    try:
        services.redis.config_set("appendfsync", "everysec")

        with pytest.raises(BadSettings, match="appendfsync everysec") as caught:
            check_redis(settings, services.redis)
        check_redis(settings.model_copy(update={"redis_check": "off"}), services.redis)
    finally:
        services.redis.config_set("appendfsync", MUST_BE["appendfsync"])
        services.redis.close()
    assert "REDIS_URL" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_redis_that_the_shop_brings_is_good_enough(settings: Settings) -> None:
    with valkey() as url:
        services = connect_services(settings.model_copy(update={"redis_url": url}))
        check_redis(settings, services.redis)
        services.redis.close()


def test_the_web_starts_while_redis_and_sql_are_away(settings: Settings, tmp_path: Path) -> None:
    away = settings.model_copy(
        update={"redis_url": f"unix://{tmp_path}/no.sock", "database_url": f"sqlite:///{tmp_path}/no/shop.db"}
    )

    assert connect_services(away).rules.name
