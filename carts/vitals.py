"""How the Redis or Valkey server is: what `flask doctor` asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import ResponseError

from carts.connection import answers, redis_errors
from carts.durability import MUST_BE

NEARLY_FULL = 0.90
"""From this part of its memory on the server takes no new checkouts: the rest is for carts, and for settling."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the server says of itself."""

    server: str
    """Its kind and version."""
    version: tuple[int, ...]
    settings: Mapping[str, str] | None
    """Those of carts.durability; None where the server forbids to read them."""
    used_bytes: int
    most_bytes: int
    """0: it may use all there is."""
    appends: str | None
    """Whether its last write to the append-only file went well: `ok` or not; None: it keeps no such file."""
    clock_ms: int


def look(redis: Redis) -> Vitals:
    """Ask the server. Raises Unavailable when it is away."""
    client = answers(redis)
    with redis_errors():
        seconds, microseconds = client.time()
        try:
            info = client.info()
        except ResponseError:  # Some hosted servers, and those of the unit tests, keep this to themselves.
            info = {}
    valkey = info.get("valkey_version")
    version = str(valkey or info.get("redis_version", ""))
    return Vitals(
        server=f"{'Valkey' if valkey else 'Redis'} {version or 'of an unknown version'}",
        version=tuple(int(part) for part in version.split(".") if part.isdecimal()),
        settings=_settings(redis),
        used_bytes=int(info.get("used_memory", 0)),
        most_bytes=int(info.get("maxmemory", 0)),
        appends=str(info["aof_last_write_status"]) if info.get("aof_enabled") else None,
        clock_ms=int(seconds) * 1000 + int(microseconds) // 1000,
    )


def used_part(redis: Redis) -> float:
    """How much of its memory the server uses; 0 when it has no limit or says nothing. Raises Unavailable."""
    try:
        with redis_errors():
            info = answers(redis).info("memory")
    except ResponseError:  # As above.
        return 0.0
    most = int(info.get("maxmemory", 0))
    return int(info.get("used_memory", 0)) / most if most else 0.0


def _settings(redis: Redis) -> dict[str, str] | None:
    try:
        with redis_errors():
            return {name: str(answers(redis).config_get(name).get(name, "")) for name in MUST_BE}
    except ResponseError:
        return None
