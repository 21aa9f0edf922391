"""How the inbox is cut into shards, each settled by a worker of its own.

Which shard a checkout enters is a matter of its order id and of the number of shards alone, so that web
processes need not agree on anything else. What has entered stays where it is until it is settled or
adopted (lua/adopt.lua), so the number may change while checkouts are under way.
"""

from __future__ import annotations

from zlib import crc32

MOST_SHARDS = 16
"""Every look at the whole inbox looks at so many, whatever the number is now: some may be left from before."""
CHECKOUT = "checkout"
"""The queue of shard 0; those of the others are numbered, `checkout-1` and so on."""


def shard_of(order_id: str, shards: int) -> int:
    """Where a new checkout goes. The same in every process and version, for ever."""
    return crc32(order_id.encode()) % shards


def numbered(name: str, shard: int) -> str:
    """A name for each shard; that of shard 0 is the plain one, as it was before there were others."""
    return f"{name}-{shard}" if shard else name


def queue_of(shard: int) -> str:
    return numbered(CHECKOUT, shard)
