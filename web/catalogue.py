"""Products for carts and checkouts: from the cache while fresh, from SQL else, stale while SQL is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from carts.products import Look, ProductCache, read
from carts.store import SeenCart
from db import products
from db.session import Database
from shop.catalogue import Product
from shop.errors import ProductNotFound, Unavailable

FRESH_MS = 3000
SPARED_SECONDS = 1.0
"""After SQL was found away it is left alone this long: every look would wait for the same refusal."""


class Catalogue:
    def __init__(self, cache: ProductCache, database: Database, now: Callable[[], int]) -> None:
        self._cache = cache
        self._database = database
        self._now = now
        self._away_until = 0.0

    def require(self, product_id: str) -> Product:
        """One active product. Raises ProductNotFound, or Unavailable when neither store can tell."""
        found = self.find([product_id]).get(product_id)
        if found is None or not found.is_active:
            raise ProductNotFound(f"There is no product {product_id}.")
        return found

    def of(self, cart: SeenCart) -> dict[str, Product]:
        """The products of a cart, of which it was seen what is cached. Raises Unavailable."""
        return self.find(cart.product_ids, read(cart.texts))

    def find(self, product_ids: Sequence[str], look: Look | None = None) -> dict[str, Product]:
        """These products; one that is gone is missing. Raises Unavailable when neither store can tell."""
        look = look or self._look(product_ids)
        cached = look.entries
        now = self._now()
        due = [i for i in product_ids if i not in cached or not -FRESH_MS <= now - cached[i].at <= FRESH_MS]
        found = {i: entry.product for i, entry in cached.items()}
        if not due:
            return found
        try:
            fresh = self._from_sql(due)
        except Unavailable:
            if any(product_id not in found for product_id in due):
                raise
            return found
        for product_id in due:
            found.pop(product_id, None)
        with suppress(Unavailable):  # The cache is a help, not a need.
            self._cache.put(fresh.values(), now, look.stamps)
            self._cache.drop(i for i in due if i in cached and i not in fresh)
        return found | fresh

    def forget(self, product_ids: Iterable[str]) -> None:
        """After a commit that changed these products: whoever asks from here on sees the change.

        The commit stands, so a cache that is away is no error: what it holds is old in seconds anyway.
        """
        with suppress(Unavailable):
            self._cache.outdate(product_ids)

    def drop(self, product_ids: Iterable[str]) -> None:
        """After a commit that deleted these products: as `forget`, and with SQL away they do not sell either."""
        with suppress(Unavailable):
            self._cache.drop(product_ids)

    def _look(self, product_ids: Sequence[str]) -> Look:
        with suppress(Unavailable):
            return self._cache.look(product_ids)
        return Look({}, {})

    def _from_sql(self, product_ids: Sequence[str]) -> dict[str, Product]:
        if time.monotonic() < self._away_until:
            raise Unavailable("The catalogue is away for a moment.")
        try:
            with self._database.looking() as look:
                return products.load(look, product_ids)
        except Unavailable:
            self._away_until = time.monotonic() + SPARED_SECONDS
            raise
