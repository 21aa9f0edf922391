"""Serving the application with Granian: `python app.py`.

The process that listens imports the application and forks those that serve: they share its memory,
and one that is started again need not import anything.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server
from redis import Redis

from carts.connection import connect
from carts.workers import WEB, Processes
from shop.errors import BadSettings, Unavailable
from tasks.processes import die_with_parent, fail, share_memory
from web.log import GRANIAN, configure_logging
from web.metrics import begin_shared_metrics
from web.providers import check_providers
from web.settings import Settings, read_rules, read_settings, secret_key
from web.stores import check_redis

STOP_SECONDS = 1
"""How long requests under way may take after SIGTERM; those that only wait for news are cut off."""


GRANIAN_CRASH_LOOP_SECONDS = 5.5
"""Granian gives up, and stops every process, when one dies so soon after it was started again."""
CRASH_LOOP_SECONDS = 1.0
"""We do so only for one that never came to serve: two bad requests in a row must not stop all the others."""
LISTENER = "ONCECART_LISTENER"
"""The environment variable that tells a serving process who listens: it must not outlive that one."""
APPLICATION = "app:create_served_app"


class PatientServer(Server):  # type: ignore[misc, valid-type]
    def _respawn_workers(self, workers: Any, *arguments: Any, **named: Any) -> None:
        super()._respawn_workers(workers, *arguments, **named)
        for number in workers:
            self.respawned_wrks[number] -= GRANIAN_CRASH_LOOP_SECONDS - CRASH_LOOP_SECONDS


def serve(target: str = APPLICATION) -> None:
    """Serve a WSGI factory named `module:function` until told to stop; settings are checked first."""
    try:
        settings = read_settings()
        check(settings)
        begin_shared_metrics(settings)
    except BadSettings as error:
        fail(error)
    if os.environ.get("SUPERVISOR_ENABLED"):
        die_with_parent()
    configure_logging(settings.log_level, "web")
    os.environ[LISTENER] = str(os.getpid())
    share_memory()
    PatientServer(
        target,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=settings.web_workers,
        blocking_threads=settings.web_threads,
        # Room for requests that wait for news beside those that work; past it connections queue.
        backpressure=settings.web_threads,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.error,
        log_dictconfig=GRANIAN,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=STOP_SECONDS,
    ).serve()
    with suppress(Unavailable), connect(settings.redis_url) as redis:
        Processes(redis).all_left(WEB, socket.gethostname())


def note_web_process(redis: Redis) -> None:
    """Count this process among those that began; without Redis it is not counted."""
    with suppress(Unavailable):
        Processes(redis).began(WEB, f"{socket.gethostname()}:{os.getpid()}", time.time())


def check(settings: Settings) -> None:
    """Raise BadSettings for anything that would keep the web from serving, before it starts."""
    check_providers(settings, read_rules(settings.shop_file))
    secret_key(settings)
    check_port(settings)
    with connect(settings.redis_url) as redis:
        check_redis(settings, redis)


def check_port(settings: Settings) -> None:
    """Raise BadSettings if the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise BadSettings(
                f"PORT: cannot listen on {where} ({error.strerror}); choose another PORT or HOST"
            ) from error
