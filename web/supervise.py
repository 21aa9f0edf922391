"""supervisord, looking after its programs ten times a second: `python -m web.supervise -c supervisord.conf`.

It looks once a second by itself, and starts a dead program again at the look after the one that
found it dead: up to two seconds in which a shop that lost its web or its Valkey sells nothing. The
pause is a constant inside supervisord, so its poller is told to wait less.
"""

from __future__ import annotations

from typing import Any

from supervisor import poller, supervisord

LONGEST_PAUSE_SECONDS = 0.1


class QuickPoller(poller.Poller):  # type: ignore[misc]
    def poll(self, timeout: float) -> Any:
        return super().poll(min(timeout, LONGEST_PAUSE_SECONDS))


if __name__ == "__main__":
    poller.Poller = QuickPoller
    supervisord.main()
