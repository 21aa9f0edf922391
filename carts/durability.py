"""What a Redis or Valkey must be set to so that its answer means "on disk"."""

MUST_BE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
"""Without these a 202 would be a hope: `everysec` may lose a second, eviction any cart."""
