"""Every Redis key of ours, each made by one function that states its type, fields and lifetime.

RQ's own keys begin with `rq:`. A session id, a product id and an order id never contain a colon.
"""

from carts.shards import numbered


def cart(session_id: str) -> str:
    """Hash, until the cart's lifetime after its last change: a session's cart.

    `id` and `version` name its content; for each product `q:<product>` holds the quantity,
    `p:<product>` the price in minor units when it was added, `t:<product>` when (ms).
    """
    return f"cart:{session_id}"


def operation(operation_id: str) -> str:
    """String, 60 s: an add that was carried out, so that redis-py's re-send of it does nothing."""
    return f"operation:{operation_id}"


def checked_out(session_id: str) -> str:
    """String, 10 min or until the next cart is emptied by hand: the order the last cart went into."""
    return f"checked_out:{session_id}"


def inbox(shard: int = 0) -> str:
    """Sorted set, for ever: ids of accepted checkouts that wait to be settled, by time of acceptance (s)."""
    return numbered("accepted", shard)


def accepted(order_id: str) -> str:
    """Hash, for ever until settled, then a week: an accepted checkout.

    `snapshot` (JSON of shop.checkout.Checkout), `session_id`, `accepted_at` (ms), `tries` (settles
    that threw), `status` once settled; `traceparent` of its request, where that was traced.
    """
    return f"accepted:{order_id}"


def claimed_cart(order_id: str) -> str:
    """Hash, for ever until settled: the cart a checkout claimed, kept whole in case it is given back."""
    return f"accepted:{order_id}:cart"


def idempotency(session_id: str, key: str) -> str:
    """Hash, 24 h: `order_id` and `fingerprint` of the checkout this key accepted."""
    return f"idempotency:{session_id}:{key}"


def open_orders(session_id: str) -> str:
    """Sorted set, for ever while not empty: the session's accepted ids that may not be in SQL yet, by time (s)."""
    return f"open:{session_id}"


def doorbell(queue: str) -> str:
    """String, 1 s: the queue was rung and its job has not begun."""
    return f"doorbell:{queue}"


def lease(queue: str) -> str:
    """String, 1 s and renewed: which worker settles this inbox now."""
    return f"lease:{queue}"


def heartbeats(queue: str) -> str:
    """Sorted set: the workers of a queue by the time (s) they were last alive; pruned after a minute."""
    return f"heartbeats:{queue}"


def nearly_full() -> str:
    """String, 5 s and renewed: the server's memory is nearly used up, so no new checkout is accepted."""
    return "nearly_full"


def product(product_id: str) -> str:
    """String, a day: a stamp (13 digits, when it was read from SQL in ms) and the product as JSON; fresh for seconds.

    After a change or a deletion the stamp is older than any instant; alone it lives for a minute."""
    return f"product:{product_id}"


def tally(key: str, window: int) -> str:
    """Integer, until its window has ended: the requests of a key that the web processes have told of."""
    return f"tally:{key}:{window}"


def outcomes() -> str:
    """Channel: the ids of the orders whose state has just changed, with blanks between them."""
    return "outcomes"


def figures() -> str:
    """Hash, for ever: how often things have happened since the store was new; see carts.figures."""
    return "figures"


def figures_of_minute(minute: int | str) -> str:
    """Hash, 16 min: the same of each second of a minute (since the epoch), fields `<second>:<name>`."""
    return f"figures:{minute}"


def processes(role: str) -> str:
    """Sorted set, a month: the processes of a role that began and have not said goodbye, by when they began (s)."""
    return f"processes:{role}"
