"""The cached catalogue: products by id, fresh for seconds, kept for a day in case SQL is away.

An entry begins with a stamp of 13 characters: when it was read from SQL (ms), or, once it is outdated,
something older than any instant and never the same twice. Whoever looks and then reads SQL puts what they
found only where the stamp is still the one they saw; so a copy that was read before a change cannot come
back after it, whatever the clocks of the hosts say.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from redis import Redis

from carts import keys
from carts.connection import answers, redis_errors, script
from shop.catalogue import Product

KEPT_SECONDS = 24 * 3600
STAMP_SECONDS = 60
"""A stamp without an entry outlives every read of SQL that began before it: those end after 30 s at most."""
OLDEST = "0" * 13
_STAMP_LENGTH = 13
_READ = msgspec.json.Decoder(Product)
_WRITE = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Cached:
    """A cached product and when it was read from SQL, in ms; long ago if it is outdated."""

    product: Product
    at: int


@dataclass(frozen=True, slots=True)
class Look:
    """What the cache held at one moment: its entries, and a stamp ('' for none) for each id asked for."""

    entries: dict[str, Cached]
    stamps: dict[str, str]


def read(texts: Mapping[str, str | None]) -> Look:
    """What these cached texts, by product, say."""
    return Look(
        {product_id: entry for product_id, text in texts.items() if (entry := _read(text))},
        {product_id: (text or "")[:_STAMP_LENGTH] for product_id, text in texts.items()},
    )


class ProductCache:
    def __init__(self, redis: Redis) -> None:
        self._redis = answers(redis)
        self._put = redis.register_script(script("put_products"))
        self._outdate = redis.register_script(script("outdate_products"))

    def look(self, product_ids: Sequence[str]) -> Look:
        """What is cached of these products, however old. Raises Unavailable."""
        if not product_ids:
            return Look({}, {})
        with redis_errors():
            found = self._redis.mget([keys.product(product_id) for product_id in product_ids])
        return read(dict(zip(product_ids, found, strict=True)))

    def get(self, product_ids: Sequence[str]) -> dict[str, Cached]:
        """The entries of `look` alone."""
        return self.look(product_ids).entries

    def put(self, products: Iterable[Product], at: int, stamps: Mapping[str, str] | None = None) -> None:
        """Remember what SQL said at an instant (ms), of products that `look` gave these stamps. Raises Unavailable.

        What was outdated or put by somebody else since is left as it is; without a stamp, whatever is there.
        Absences are not remembered: anyone can ask for any number of ids that do not exist.
        """
        names: list[str] = []
        values: list[str | bytes] = []
        for product in products:
            names.append(keys.product(product.id))
            values += ((stamps or {}).get(product.id, ""), f"{at:013d}".encode() + _WRITE.encode(product))
        if names:
            with redis_errors():
                self._put(keys=names, args=[KEPT_SECONDS, *values])

    def outdate(self, product_ids: Iterable[str]) -> None:
        """These products were changed: they are due, and still sell while SQL is away. Raises Unavailable."""
        self._stamp(product_ids, keep=True)

    def drop(self, product_ids: Iterable[str]) -> None:
        """These products are gone: forget them. Raises Unavailable."""
        self._stamp(product_ids, keep=False)

    def _stamp(self, product_ids: Iterable[str], keep: bool) -> None:
        names = [keys.product(product_id) for product_id in product_ids]
        stamp = f"0{secrets.randbelow(10**12):012d}"  # Before September 2001.
        for first in range(0, len(names), 1000):
            with redis_errors():
                self._outdate(keys=names[first : first + 1000], args=[stamp, STAMP_SECONDS, int(keep)])


def _read(text: str | None) -> Cached | None:
    """An entry; None also for one that another version of the code wrote: SQL knows better."""
    try:
        return Cached(_READ.decode(text[_STAMP_LENGTH:]), int(text[:_STAMP_LENGTH])) if text else None
    except (ValueError, msgspec.MsgspecError):
        return None
