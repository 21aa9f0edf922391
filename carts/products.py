"""The cached catalogue: products by id, fresh for seconds, kept for a day in case SQL is away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from redis import Redis

from carts import keys
from carts.connection import answers, redis_errors
from shop.catalogue import Product

KEPT_SECONDS = 24 * 3600
OLDEST = "0" * 13
_READ = msgspec.json.Decoder(Product)
_WRITE = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Cached:
    """A cached product and when it was read from SQL, in ms."""

    product: Product
    at: int


class ProductCache:
    def __init__(self, redis: Redis) -> None:
        self._redis = answers(redis)

    def get(self, product_ids: Sequence[str]) -> dict[str, Cached]:
        """What is cached of these products, however old. Raises Unavailable."""
        if not product_ids:
            return {}
        with redis_errors():
            found = self._redis.mget([keys.product(product_id) for product_id in product_ids])
        entries = zip(product_ids, map(_read, found), strict=True)
        return {product_id: entry for product_id, entry in entries if entry}

    def put(self, products: Iterable[Product], at: int) -> None:
        """Remember what SQL said at an instant (ms). Raises Unavailable.

        Absences are not remembered: anyone can ask for any number of ids that do not exist.
        """
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for product in products:
                entry = f"{at:013d}".encode() + _WRITE.encode(product)
                pipe.set(keys.product(product.id), entry, ex=KEPT_SECONDS)
            pipe.execute()

    def drop(self, product_ids: Iterable[str]) -> None:
        """Forget these products, so that the next look reads SQL. Raises Unavailable."""
        names = [keys.product(product_id) for product_id in product_ids]
        if names:
            with redis_errors():
                self._redis.delete(*names)


def _read(text: str | None) -> Cached | None:
    """An entry; None also for one that another version of the code wrote: SQL knows better."""
    try:
        return Cached(_READ.decode(text[13:]), int(text[:13])) if text else None
    except (ValueError, msgspec.MsgspecError):
        return None
