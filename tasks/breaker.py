"""A circuit breaker: a provider that does not answer is left alone for a while, longer each time."""

from __future__ import annotations

TOLERATED = 5
"""Calls in a row without an answer."""
FIRST_REST_MS, LONGEST_REST_MS = 1_000, 30_000


class Breaker:
    """Closed while the provider answers; open for a rest after TOLERATED silences; then one call a rest tries it."""

    def __init__(self) -> None:
        self._silences = 0
        self._rest_ms = FIRST_REST_MS
        self._until = 0
        self._trying = False

    def lets_through(self, now: int) -> bool:
        """Whether a call may be made now (ms). After a rest one is, and its answer decides."""
        if self._silences < TOLERATED:
            return True
        if now < self._until:
            return False
        # Its answer may never be heard, when its job dies: after another rest, the next one tries.
        self._until = now + self._rest_ms
        self._trying = True
        return True

    def answered(self) -> None:
        self._silences, self._rest_ms, self._trying = 0, FIRST_REST_MS, False

    def was_silent(self, now: int) -> None:
        """A call came to nothing: no connection, no answer, an error of the provider's."""
        self._silences += 1
        if self._trying:
            self._rest_ms = min(self._rest_ms * 2, LONGEST_REST_MS)
        if self._trying or self._silences == TOLERATED:
            self._until = now + self._rest_ms
        self._trying = False
