"""Container health checks: `python -m web.health web` and `python -m web.health worker [queue...]`.

Exit 0 and one line when all is well, else 1 and one line that says why. The web's imports nothing
but the standard library: it runs every few seconds, on the smallest machine too.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import time

TIMEOUT_SECONDS = 3.0
FRESH_SECONDS = 10.0


class Unhealthy(Exception):
    """The message is one line that says what is wrong."""


def check_web(port: int) -> str:
    """What /healthz answers on this machine. Raises Unhealthy."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        body = answer.read(200).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise Unhealthy(f"nothing answers on port {port}: {error!r}") from error
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise Unhealthy(f"/healthz answers {answer.status}: {body}")
    return body


def check_worker(host: str, queues: list[str]) -> str:
    """How long ago this host's worker was alive, for each queue. Raises Unhealthy.

    Another host's worker does not count: this container is the one that is asked about.
    """
    from carts import keys
    from carts.connection import answers, connect, redis_errors
    from shop.errors import BadSettings, Unavailable
    from tasks.queues import queues_of
    from web.settings import read_settings

    silent: dict[str, float] = {}
    try:
        settings = read_settings()
        with connect(settings.redis_url, timeout_seconds=TIMEOUT_SECONDS) as redis, redis_errors():
            for queue in queues_of(settings.settle_shards, queues):
                beats = answers(redis).zrange(keys.heartbeats(queue), 0, -1, withscores=True)
                ours = [at for worker, at in beats if worker.rpartition(":")[0] == host]
                silent[queue] = time.time() - max(ours, default=float("-inf"))
    except (BadSettings, Unavailable) as error:
        raise Unhealthy(f"{error} ({error.__cause__})" if error.__cause__ else str(error)) from error
    report = ", ".join(f"{queue} {seconds:.1f} s ago" for queue, seconds in silent.items())
    if max(silent.values()) > FRESH_SECONDS:
        raise Unhealthy(f"no fresh heartbeat of {host}: {report}")
    return report


def main(arguments: list[str]) -> None:
    try:
        match arguments:
            case ["web"]:
                print(check_web(int(os.environ.get("PORT", "8000"))))
            case ["worker", *queues]:
                print(check_worker(socket.gethostname(), queues))
            case _:
                raise Unhealthy("use: python -m web.health web | worker [queue...]")
    except Unhealthy as error:
        print(f"unhealthy: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1:])
