"""The settings: read once from the environment (or `.env`), checked, and handed down from the doors."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from email.utils import parseaddr
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from carts.shards import MOST_SHARDS
from shop.errors import BadSettings
from shop.limits import parse_limit
from shop.rules import Rules, parse

ROOT = Path(__file__).resolve().parent.parent
TRACER = "opentelemetry.exporter.otlp.proto.http"


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


_ADDRESS = re.compile(r'[^@\s<>()\[\],;:\\"]+@[A-Za-z0-9.-]+', re.ASCII)


class Settings(BaseSettings):
    """One field a setting; the README's table of settings is checked against these by a test."""

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore"
    )

    host: str = Field("127.0.0.1", description="The address to listen on; `0.0.0.0` for all.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(8000, description="The port to listen on.")
    var_dir: Path = Field(Path("var"), description="Where everything that must survive is kept.")
    redis_url: str = Field("", description="Your own Redis or Valkey; unset: `make run` starts one in `VAR_DIR`.")
    redis_check: Literal["on", "off"] = Field("on", description="`off` where the server forbids `CONFIG GET`.")
    database_url: str = Field("", description="`postgresql://…` or `sqlite:////…`; unset: SQLite in `VAR_DIR`.")
    secret_key: str = Field("", description="Signs sessions; unset: generated once into `VAR_DIR/secret_key`.")
    secret_key_fallbacks: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Earlier secret keys, comma separated, whose sessions stay valid."
    )
    admin_api_key: str = Field(
        "", description="A first key to the admin API, with every scope; `flask keys` makes more."
    )
    public_url: str = Field("", description="Where shoppers reach the shop; unset: `http://HOST:PORT`.")
    order_url: str = Field(
        "/orders/{id}", description="Where a shopper goes on from the payment provider; `{id}` is the order's."
    )
    smtp_url: str = Field(
        "", description="`smtp://user:password@host:587` or `smtps://…`; unset: shoppers get no mail."
    )
    mail_from: str = Field("", validate_default=True, description="Who mail is from: `Our shop <orders@shop.example>`.")
    stripe_secret_key: str = Field(
        "", description='Stripe\'s secret key, for payment methods with `provider = "stripe"`.'
    )
    stripe_webhook_secret: str = Field("", description="What Stripe signs its webhooks with.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Frontends on other origins, comma separated: `https://shop.example`."
    )
    shop_file: Path = Field(ROOT / "shop.toml", description="The merchant's rules.")
    seed_demo: Literal["on", "off"] = Field("on", description="`off`: a new shop begins without the demo catalogue.")
    session_days: Annotated[int, Field(ge=1, le=400)] = Field(90, description="A session ends after so long a silence.")
    web_workers: Annotated[int, Field(ge=1, le=64)] = Field(2, description="Web processes.")
    web_threads: Annotated[int, Field(ge=2, le=512)] = Field(64, description="Requests at once in a web process.")
    settle_batch: Annotated[int, Field(ge=1, le=5000)] = Field(256, description="Checkouts in one SQL transaction.")
    settle_shards: Annotated[int, Field(ge=1, le=MOST_SHARDS)] = Field(
        1, description="Settle workers at once, each with its part of the inbox; more than 1 helps on PostgreSQL only."
    )
    inbox_max_seconds: Annotated[int, Field(ge=10)] = Field(
        600, description="Above this age of the oldest waiting checkout new ones get `503`; carts go on."
    )
    trusted_proxies: Annotated[int, Field(ge=0, le=5)] = Field(
        0, description="Reverse proxies in front whose `X-Forwarded-*` headers to believe."
    )
    rate_limit_checkout: str = Field(
        "30/minute", description="Checkouts of one session, such as `5/second` or `1000/hour`; `off`: any number."
    )
    rate_limit_quote: str = Field("120/minute", description="Quotes of one session.")
    rate_limit_orders: str = Field("600/minute", description="Looks of one session at its orders, and cancels.")
    rate_limit_sessions: str = Field("600/minute", description="New sessions that begin a cart, from one address.")
    rate_limit_address: Annotated[int, Field(ge=0, le=100_000)] = Field(
        20, description="One client address may do what so many sessions may; `0`: it is not counted."
    )
    metrics_token: str = Field(
        "", description="The bearer token that `/metrics` asks for; unset: it answers on this machine only."
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",
        description="Where traces go (OTLP over HTTP), such as `http://localhost:4318`; needs `requirements-otel.txt`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")

    @field_validator("cors_origins", "secret_key_fallbacks", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
                raise ValueError(f"{origin!r} is not an origin such as https://shop.example (no path, no *)")
        return value

    @field_validator("public_url")
    @classmethod
    def _public(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query):
            raise ValueError("write the address shoppers use, such as https://shop.example")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _collector(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.netloc or parts.query):
            raise ValueError("write the address of a collector, such as http://localhost:4318")
        if value and not is_installed(TRACER):
            raise ValueError("OpenTelemetry is not installed: pip install -r requirements-otel.txt")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("write redis://host:6379, rediss://host:6379 or unix:///path/to/socket")
        parts.port  # noqa: B018 - reading it raises ValueError if it is none
        return value

    @field_validator("smtp_url")
    @classmethod
    def _smtp(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
            raise ValueError("write smtp://user:password@host:587 or smtps://user:password@host")
        parts.port  # noqa: B018 - reading it raises ValueError if it is none
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str, info: ValidationInfo) -> str:
        if value and (not value.isprintable() or not _ADDRESS.fullmatch(parseaddr(value)[1])):
            raise ValueError("write an address, such as Our shop <orders@shop.example>")
        if not value and info.data.get("smtp_url"):
            raise ValueError("with SMTP_URL the shop sends mail: say who it is from")
        return value

    @field_validator("admin_api_key", "metrics_token", "secret_key", "secret_key_fallbacks")
    @classmethod
    def _long_enough(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for key in (value,) if isinstance(value, str) else value:
            if key and len(key) < 16:
                raise ValueError("use at least 16 characters")
        return value

    @field_validator("rate_limit_checkout", "rate_limit_quote", "rate_limit_orders", "rate_limit_sessions")
    @classmethod
    def _limit(cls, value: str) -> str:
        parse_limit(value)
        return value

    @model_validator(mode="after")
    def _absolute(self) -> Self:
        object.__setattr__(self, "var_dir", self.var_dir.absolute())
        object.__setattr__(self, "redis_url", self.redis_url or f"unix://{self.var_dir}/valkey/valkey.sock")
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104
        object.__setattr__(self, "public_url", self.public_url.rstrip("/") or f"http://{host}:{self.port}")
        object.__setattr__(self, "database_url", self.database_url or f"sqlite:///{self.var_dir}/shop.db")
        return self

    @property
    def brings_redis(self) -> bool:
        """Whether the shop runs its own Valkey in VAR_DIR."""
        return self.redis_url == f"unix://{self.var_dir}/valkey/valkey.sock"


def read_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises BadSettings naming the first that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        raise BadSettings(f"{name}: {first['msg'].removeprefix('Value error, ')}") from error


def read_rules(path: Path) -> Rules:
    """The merchant's rules. Raises BadSettings with file, line and key."""
    try:
        return parse(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"SHOP_FILE: cannot read {path}: {error}") from error


def prepare_var_dir(settings: Settings) -> None:
    """Make VAR_DIR, for this user only. Raises BadSettings if that cannot be written."""
    try:
        settings.var_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = settings.var_dir / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)  # another process that starts with us may have been first
    except OSError as error:
        raise BadSettings(f"VAR_DIR: cannot write to {settings.var_dir}: {error.strerror}") from error


def secret_key(settings: Settings) -> str:
    """The key that signs sessions: the setting, else the one kept in VAR_DIR, made at the first start."""
    if settings.secret_key:
        return settings.secret_key
    path = settings.var_dir / "secret_key"
    prepare_var_dir(settings)
    if not path.exists():
        mine = path.with_name(f".secret_key.{secrets.token_hex(8)}")
        mine.touch(mode=0o600)
        mine.write_text(secrets.token_urlsafe(32))
        _sync(mine)
        # A hard link, whole or not at all: of several processes that start at once, one's key stays.
        with suppress(FileExistsError):
            path.hardlink_to(mine)
        mine.unlink()
    # Whoever made it: a session signed with a key that a power cut takes away is lost with all its orders.
    _sync(settings.var_dir)
    key = path.read_text().strip()
    if len(key) < 16:
        raise BadSettings(f"SECRET_KEY: {path} is too short; delete it for a new one, or set SECRET_KEY")
    return key


def all_secrets(settings: Settings) -> list[str]:
    """Every key that is believed, oldest first; the last one signs."""
    return [*reversed(settings.secret_key_fallbacks), secret_key(settings)]


def _sync(path: Path) -> None:
    """Return when a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
