"""Redis: carts, the inbox of accepted checkouts, idempotency keys and the cached catalogue."""
