"""The inbox: accepted checkouts from the moment they are promised until they are settled.

An id enters by the accept script and leaves only after the commit that settled it, so whatever
dies in between finds it here again. The inbox may be cut into shards (carts.shards), so that several
workers settle at once; one shard is the inbox as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from redis import Redis
from uuid_utils import uuid7

from carts import keys
from carts.ahead import Ahead
from carts.connection import answers, redis_errors, script
from carts.products import OLDEST
from carts.shards import CHECKOUT, MOST_SHARDS, queue_of, shard_of
from carts.vitals import NEARLY_FULL, used_part
from shop.checkout import Checkout
from shop.figures import CONFIRM_BOUNDS_MS

IDEMPOTENCY_SECONDS = 24 * 3600
SNAPSHOT_SECONDS = 7 * 24 * 3600
DOORBELL_MS = 1000
NEARLY_FULL_MS = 5000
MAX_SECONDS = 600
LEASE_MS = 1000
FIGURES_SECONDS = 16 * 60
STRAY_SECONDS = 1.0
SILENT_SECONDS = 10.0
"""A checkout that has waited for the first, in a shard whose workers have been silent for the second, is adopted."""
ADOPTED_AT_ONCE = 1000
_CONFIRM_BOUNDS = " ".join(map(str, CONFIRM_BOUNDS_MS))
_READ = msgspec.json.Decoder(Checkout)
_WRITE = msgspec.json.Encoder()
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The checkout is on disk. `ring`: nobody has rung the worker of its shard since that last answered."""

    order_id: str
    at: int
    ring: bool
    shard: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """This key accepted that order before."""

    order_id: str


@dataclass(frozen=True, slots=True)
class Mismatch:
    """This key was used for another request, which made that order."""

    order_id: str


def used_for(used: str, fingerprint: str) -> Replayed | Mismatch | None:
    """What an idempotency key was used for before (carts.store.SeenCart.used), or None."""
    order_id, _, seen = used.partition(" ")
    if not order_id:
        return None
    return Replayed(order_id) if seen == fingerprint else Mismatch(order_id)


@dataclass(frozen=True, slots=True)
class Empty:
    """There is no cart; `order_id` names the order it went into, when that was a moment ago."""

    order_id: str | None


@dataclass(frozen=True, slots=True)
class Changed:
    """The cart is not the one that was priced any more."""


@dataclass(frozen=True, slots=True)
class Busy:
    """The oldest checkout of the inbox has waited so long that no other is accepted."""

    oldest_age_seconds: int


@dataclass(frozen=True, slots=True)
class Full:
    """The server's memory is nearly used up; the rest is for carts, and for settling what was accepted."""


Answer = Accepted | Replayed | Mismatch | Empty | Changed | Busy | Full


@dataclass(frozen=True, slots=True)
class Waiting:
    """An id of the inbox. `checkout` is None when its snapshot cannot be read."""

    order_id: str
    session_id: str
    accepted_at: int
    tries: int
    checkout: Checkout | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What SQL says of an accepted checkout. A failed one gets its cart back, and one that was cancelled before it
    was paid; while it is being paid (`processing`) its claimed cart is kept."""

    order_id: str
    session_id: str
    status: str
    sold: bool = False
    """It was confirmed once: whatever became of it since, its cart is not given back."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What Redis keeps of an accepted checkout: for the audit, which holds it against SQL."""

    order_id: str
    session_id: str
    status: str | None
    """None until it is settled."""
    accepted_at: int
    waits: bool
    """Whether it is in the inbox."""
    has_cart: bool
    """Whether its claimed cart is still here."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An accepted checkout as it was promised, and its status once that is settled."""

    checkout: Checkout
    status: str | None


class Inbox:
    """Accepted checkouts. Every method may raise Unavailable.

    `queue` names the doorbell and the lease. New checkouts are spread over `shards`; a worker serves the one
    of them that is its own, everybody else looks at all. `max_seconds`: nothing new is accepted into a shard
    whose oldest checkout has waited longer.
    """

    def __init__(
        self,
        redis: Redis,
        cart_lifetime_seconds: int,
        queue: str = CHECKOUT,
        shards: int = 1,
        own: int | None = None,
        max_seconds: int = MAX_SECONDS,
    ) -> None:
        self.max_seconds = max_seconds
        self._redis = answers(redis)
        self._cart_lifetime_seconds = cart_lifetime_seconds
        self._queue = queue
        self._shards = shards
        self._own = own or 0
        self._seen = [keys.inbox(shard) for shard in (range(MOST_SHARDS) if own is None else [own])]
        self._accept = redis.register_script(script("accept"))
        self._peek = redis.register_script(script("peek"))
        self._settled = redis.register_script(script("settled"))
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)
        self._adopt = redis.register_script(script("adopt"))

    def accept(self, checkout: Checkout, traceparent: str | None = None) -> Answer:
        """Claim the session's cart for a checkout, durably and at most once; see lua/accept.lua."""
        shard = shard_of(checkout.order_id, self._shards)
        key, session_id, order_id = checkout.idempotency_key, checkout.session_id, checkout.order_id
        with redis_errors():
            answer = self._accept(
                keys=[
                    keys.cart(session_id),
                    keys.idempotency(session_id, key or ""),
                    keys.accepted(order_id),
                    keys.claimed_cart(order_id),
                    keys.inbox(shard),
                    keys.doorbell(queue_of(shard)),
                    keys.open_orders(session_id),
                    keys.checked_out(session_id),
                    keys.nearly_full(),
                ],
                args=[
                    order_id,
                    checkout.fingerprint if key else "",
                    _WRITE.encode(checkout),
                    session_id,
                    checkout.cart_id,
                    checkout.cart_version,
                    IDEMPOTENCY_SECONDS,
                    DOORBELL_MS,
                    self.max_seconds,
                    *([traceparent] if traceparent else ()),
                ],
            )
        return _answer(answer, shard)

    def traceparents(self, order_ids: Collection[str]) -> dict[str, str]:
        """Where the requests of accepted checkouts are in their traces; those that were not traced are not in it."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for order_id in order_ids:
                pipe.hget(keys.accepted(order_id), "traceparent")
            found = pipe.execute()
        return {order_id: place for order_id, place in zip(order_ids, found, strict=True) if place}

    def last_checked_out(self, session_id: str) -> str | None:
        """The order the session's last cart went into, when that was a moment ago."""
        with redis_errors():
            found: str | None = self._redis.get(keys.checked_out(session_id))
        return found

    def find(self, order_id: str, session_id: str) -> Snapshot | None:
        """The session's accepted checkout of that id, while it is kept: until a week after it was settled."""
        with redis_errors():
            fields = self._redis.hgetall(keys.accepted(order_id))
        if fields.get("session_id") != session_id:
            return None
        waiting = _waiting(order_id, session_id, fields.get("accepted_at"), None, fields.get("snapshot"))
        return Snapshot(waiting.checkout, fields.get("status")) if waiting.checkout else None

    def open_ids(self, session_id: str) -> list[str]:
        """The session's accepted ids that may not be in SQL yet, newest first."""
        with redis_errors():
            found: list[str] = self._redis.zrevrange(keys.open_orders(session_id), 0, -1)
        return found

    def peek(self, most: int, skip: Collection[str] = ()) -> list[Waiting]:
        """Our oldest waiting checkouts but for some ids, first come first. They stay in the inbox."""
        with redis_errors():
            found = self._peek(keys=[keys.inbox(self._own)], args=[most, keys.accepted(""), *skip])
        return [_waiting(*fields) for fields in found]

    def count_try(self, order_id: str) -> int:
        """Note that settling this checkout threw; answers how often it has."""
        with redis_errors():
            return int(self._redis.hincrby(keys.accepted(order_id), "tries", 1))

    def settled(self, orders: Sequence[Settled], sold_product_ids: Iterable[str] = ()) -> None:
        """After the commit: take the ids out, give failed carts back, tell who waits. Safe to repeat."""
        names, values = self._settled_arguments(orders, sold_product_ids)
        with redis_errors():
            self._settled(keys=names, args=values)

    def _settled_arguments(
        self, orders: Sequence[Settled], sold_product_ids: Iterable[str]
    ) -> tuple[list[str], list[str | int]]:
        inboxes = [keys.inbox(shard) for shard in range(self._shards)]
        names = [*inboxes, keys.figures(), *(keys.product(product_id) for product_id in sold_product_ids)]
        begins = [keys.cart(""), keys.accepted(""), keys.open_orders(""), keys.checked_out("")]
        ends = keys.claimed_cart("").removeprefix(keys.accepted(""))
        values: list[str | int] = [
            self._cart_lifetime_seconds,
            SNAPSHOT_SECONDS,
            keys.outcomes(),
            OLDEST,
            *begins,
            ends,
            len(inboxes),
            keys.figures_of_minute(""),
            FIGURES_SECONDS,
            _CONFIRM_BOUNDS,
        ]
        for order in orders:
            new_id = str(uuid7()) if order.status in ("failed", "cancelled") and not order.sold else ""
            values += (order.order_id, order.session_id, order.status, new_id)
        return names, values

    def look_ahead(
        self, done: tuple[Sequence[Settled], Iterable[str]], holder: str, most: int, skip: Collection[str]
    ) -> Ahead:
        """Say what was settled, hold the lease and peek, all at once, while the caller settles the next batch.

        To be read by `ahead`. What is lost with it is found again by the next run.
        """
        commands: list[Sequence[Any]] = [
            ("EVALSHA", self._renew.sha, 1, keys.lease(self._queue), holder, LEASE_MS),
            ("EVALSHA", self._peek.sha, 1, keys.inbox(self._own), most, keys.accepted(""), *skip),
        ]
        if done[0]:
            names, values = self._settled_arguments(*done)
            commands.insert(0, ("EVALSHA", self._settled.sha, len(names), *names, *values))
        return Ahead(self._redis, commands)

    def ahead(self, sent: Ahead) -> list[Waiting]:
        """The batch that was looked ahead to; none when another worker holds the lease now."""
        *_, holds, found = sent.read()
        return [_waiting(*fields) for fields in found] if holds else []

    def load_scripts(self) -> None:
        """Make sure that the server knows our scripts by their hashes, as `look_ahead` names them."""
        with redis_errors():
            for each in (self._settled, self._renew, self._peek):
                self._redis.script_load(each.script)

    def kept(self, at_once: int = 500) -> Iterator[list[Kept]]:
        """Every accepted checkout that is still kept, in portions; one may come twice, as SCAN has it."""
        cursor = 0
        while True:
            with redis_errors():
                cursor, names = self._redis.scan(cursor, match=keys.accepted("*"), count=at_once)
                prefix = keys.accepted("")
                order_ids = [name.removeprefix(prefix) for name in names if name.count(":") == 1]
                found = self.look(order_ids)
            if found:
                yield found
            if cursor == 0:
                return

    def look(self, order_ids: Sequence[str]) -> list[Kept]:
        """What is kept of these accepted checkouts."""
        with redis_errors():
            waiting = self._waiting(order_ids)
            pipe = self._redis.pipeline(transaction=False)
            for order_id in order_ids:
                pipe.hmget(keys.accepted(order_id), "session_id", "status", "accepted_at")
                pipe.exists(keys.claimed_cart(order_id))
            answers_ = pipe.execute()
        return [
            Kept(order_id, fields[0], fields[1], int(fields[2] or 0), order_id in waiting, bool(claimed))
            for order_id, fields, claimed in zip(order_ids, answers_[::2], answers_[1::2], strict=True)
            if fields[0] is not None
        ]

    def _waiting(self, order_ids: Sequence[str]) -> set[str]:
        """Those of them that are in any shard, all looked at in one moment: some may be on their way to another."""
        if not order_ids:
            return set()
        pipe = self._redis.pipeline(transaction=True)
        for shard in range(MOST_SHARDS):
            pipe.zmscore(keys.inbox(shard), order_ids)
        return {
            order_id
            for scores in pipe.execute()
            for order_id, score in zip(order_ids, scores, strict=True)
            if score is not None
        }

    def put_back(self, order_id: str) -> bool:
        """Let a settled checkout wait once more, for a database that does not know it; False if it cannot be read.

        Its claimed cart is made again from the snapshot, so that it can still be given back, and the snapshot
        says from now on that it was settled before.
        """
        with redis_errors():
            session_id, accepted_at, snapshot = self._redis.hmget(
                keys.accepted(order_id), "session_id", "accepted_at", "snapshot"
            )
            waiting = _waiting(order_id, session_id, accepted_at, None, snapshot)
            if waiting.checkout is None:
                return False
            cart: dict[str, str | int] = {"id": waiting.checkout.cart_id, "version": waiting.checkout.cart_version}
            for line in waiting.checkout.quote.lines:
                cart[f"q:{line.product_id}"] = line.quantity
                cart[f"p:{line.product_id}"] = line.unit_price_minor
                cart[f"t:{line.product_id}"] = waiting.accepted_at
            pipe = self._redis.pipeline(transaction=True)
            pipe.persist(keys.accepted(order_id)).hdel(keys.accepted(order_id), "status", "tries")
            pipe.hset(keys.accepted(order_id), "snapshot", _WRITE.encode(replace(waiting.checkout, again=True)))
            pipe.hset(keys.claimed_cart(order_id), mapping=cart)
            pipe.zadd(keys.open_orders(waiting.session_id), {order_id: waiting.accepted_at / 1000})
            pipe.zadd(keys.inbox(shard_of(order_id, self._shards)), {order_id: waiting.accepted_at / 1000})
            pipe.execute()
        return True

    def adopt(self, *, from_all: bool = True) -> int:
        """Take over what waits in shards that nobody serves; answers how many. Safe to repeat and to die in.

        Such shards are left after their number was lowered, while a web process still has a higher one, or,
        `from_all`, when a machine is lost. Should their worker live after all, both settle the same, which
        costs time only.
        """
        others = [shard for shard in range(0 if from_all else self._shards, MOST_SHARDS) if shard != self._own]
        adopted = 0
        with redis_errors():
            if not self._redis.exists(*map(keys.inbox, others)):
                return 0
            for shard in others:
                queue = queue_of(shard)
                names = [keys.inbox(shard), keys.lease(queue), keys.heartbeats(queue), keys.inbox(self._own)]
                adopted += int(self._adopt(keys=names, args=[STRAY_SECONDS, SILENT_SECONDS, ADOPTED_AT_ONCE]))
        return adopted

    def size(self) -> int:
        """How many wait in the shard we serve, or in all."""
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for inbox in self._seen:
                pipe.zcard(inbox)
            return sum(pipe.execute())

    def oldest_age_seconds(self) -> float:
        """How long the oldest checkout has waited, in the shard we serve or in any; 0 when none waits.

        By the store's own clock.
        """
        with redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for inbox in self._seen:
                pipe.zrange(inbox, 0, 0, withscores=True)
            *oldest, time = pipe.time().execute()
        accepted = [first[0][1] for first in oldest if first]
        return max(0.0, time[0] + time[1] / 1e6 - min(accepted)) if accepted else 0.0

    def note_memory(self) -> bool:
        """Look whether the server is nearly full, and if so say it for a moment: `accept` heeds that."""
        full = used_part(self._redis) > NEARLY_FULL
        with redis_errors():
            # A server that is quite full takes no SET, but it still prolongs.
            if full and not self._redis.pexpire(keys.nearly_full(), NEARLY_FULL_MS):
                self._redis.set(keys.nearly_full(), "1", px=NEARLY_FULL_MS)
        return full

    def is_nearly_full(self) -> bool:
        """Whether a worker saw a moment ago that the server is nearly full."""
        with redis_errors():
            return bool(self._redis.exists(keys.nearly_full()))

    def ring(self) -> bool:
        """Put a finger on the doorbell; False when it is ringing already."""
        with redis_errors():
            return bool(self._redis.set(keys.doorbell(self._queue), "1", nx=True, px=DOORBELL_MS))

    def answer_doorbell(self) -> None:
        """Stop the ringing: whoever is accepted from here on rings again."""
        with redis_errors():
            self._redis.delete(keys.doorbell(self._queue))

    def hold_lease(self, holder: str) -> bool:
        """Take or prolong the right to settle. Losing it costs time only: both would write the same."""
        with redis_errors():
            return bool(self._renew(keys=[keys.lease(self._queue)], args=[holder, LEASE_MS]))

    def release_lease(self, holder: str) -> None:
        with redis_errors():
            self._release(keys=[keys.lease(self._queue)], args=[holder])


def _answer(answer: list[Any], shard: int) -> Answer:
    match answer:
        case ["ACCEPTED", order_id, at, ring]:
            return Accepted(order_id, int(at), ring == "1", shard)
        case ["REPLAY", order_id]:
            return Replayed(order_id)
        case ["MISMATCH", order_id]:
            return Mismatch(order_id)
        case ["EMPTY", order_id]:
            return Empty(order_id or None)
        case ["FULL"]:
            return Full()
        case ["BUSY", age]:
            return Busy(int(age))
        case _:
            return Changed()


def _waiting(
    order_id: str, session_id: str | None, accepted_at: str | None, tries: str | None, snapshot: str | None
) -> Waiting:
    at = int(accepted_at or 0)
    checkout = None
    with suppress(msgspec.MsgspecError):  # The caller decides: settle gives such a checkout its own end.
        checkout = _READ.decode(snapshot or "")
        # Nobody else has seen it yet: the store's instant takes the place of the web's, in a tenth of
        # the time that a frozen copy takes.
        object.__setattr__(checkout, "accepted_at", at)
    return Waiting(order_id, session_id or "", at, int(tries or 0), checkout)
