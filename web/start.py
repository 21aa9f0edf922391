"""`make run`: the whole shop on one machine, from an empty folder to an address.

Checks the settings, migrates, seeds a new shop with the demo catalogue, then keeps everything
running under supervisord until Ctrl-C or SIGTERM ends it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from carts.connection import connect
from db import seed
from db.migrate import upgrade
from db.session import Database, sqlite_warning
from shop.errors import BadSettings, Unavailable
from tasks.processes import die_with_parent, fail
from web.providers import check_providers
from web.serve import check_port
from web.settings import ROOT, Settings, prepare_var_dir, read_rules, read_settings, secret_key
from web.stores import check_redis

READY_SECONDS = 60
STOP_SECONDS = 4.7


def take_folder(settings: Settings) -> int:
    """Lock VAR_DIR for this run. Raises BadSettings naming the address of the shop that has it."""
    place = settings.var_dir / "running"
    lock = os.open(place, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadSettings(
            f"a shop is running here already, at {place.read_text() or 'an address it is about to print'}"
        ) from error
    os.truncate(lock, 0)
    os.write(lock, address(settings).encode())
    return lock


def address(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    return f"http://{host}:{settings.port}"


def prepare(settings: Settings) -> None:
    """Migrate, and fill a new shop with the demo catalogue. Raises BadSettings or Unavailable."""
    rules = read_rules(settings.shop_file)
    check_providers(settings, rules)
    secret_key(settings)
    check_port(settings)
    if not settings.brings_redis:
        with connect(settings.redis_url) as redis:
            check_redis(settings, redis)
    database = Database(settings.database_url)
    upgrade(database)
    if settings.seed_demo == "on":
        with database.writing() as session:
            if products := seed.seed(session, rules.digits):
                say(f"a new shop: {products} products of the demo catalogue")
    database.close()
    if database.is_sqlite() and (warning := sqlite_warning()):
        say(warning)


def start(settings: Settings) -> subprocess.Popen[bytes]:
    """Start supervisord; it ends when this process does, however it ends."""
    (settings.var_dir / "log").mkdir(mode=0o700, exist_ok=True)
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "RUN_AS": str(os.getuid()),
        "PYTHONPATH": str(ROOT),
        "VAR_DIR": str(settings.var_dir),
        "BRINGS_REDIS": "true" if settings.brings_redis else "false",
    }
    command = [sys.executable, "-m", "web.supervise", "-c", str(ROOT / "supervisord.conf")]
    # Its own process group: a Ctrl-C in the terminal reaches us, and we end it in order.
    return subprocess.Popen(command, cwd=ROOT, env=environment, preexec_fn=die_with_parent, process_group=0)  # noqa: PLW1509 - no threads here


def wait_until_ready(settings: Settings, running: subprocess.Popen[bytes]) -> None:
    """Return when /readyz says so. Raises BadSettings with what is not ready after a minute."""
    until = time.monotonic() + READY_SECONDS
    missing = "nothing answers"
    while time.monotonic() < until:
        if running.poll() is not None:
            raise BadSettings(f"supervisord ended; see {settings.var_dir}/log/supervisord.log")
        try:
            with urllib.request.urlopen(f"{address(settings)}/readyz", timeout=2):  # noqa: S310 - our own address
                return
        except urllib.error.HTTPError as error:
            checks = json.loads(error.read()).get("checks", {})
            missing = "; ".join(f"{name}: {check['detail']}" for name, check in checks.items() if not check["ok"])
        except OSError:
            pass
        time.sleep(0.1)
    raise BadSettings(f"the shop did not get ready within {READY_SECONDS} s ({missing}); see {settings.var_dir}/log")


def stop(running: subprocess.Popen[bytes]) -> None:
    """Ask supervisord to end everything; insist when it takes too long."""
    if running.poll() is None:
        running.terminate()
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def say(message: str) -> None:
    print(f"oncecart: {message}", flush=True)


class Stop(Exception):
    """SIGTERM or Ctrl-C came."""


def _stop(_signal: int, _frame: object) -> None:
    raise Stop


def main() -> None:
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    running = None
    try:
        settings = read_settings()
        prepare_var_dir(settings)
        take_folder(settings)
        prepare(settings)
        running = start(settings)
        wait_until_ready(settings, running)
        say(f"the shop is open at {address(settings)} (API docs: {address(settings)}/api/docs)")
        say(f"logs are in {settings.var_dir / 'log'}; Ctrl-C closes the shop and keeps its data")
        running.wait()
        raise BadSettings(f"supervisord ended by itself; see {settings.var_dir}/log/supervisord.log")
    except Stop:
        say("closing")
    except (BadSettings, Unavailable) as error:
        fail(error if not error.__cause__ or isinstance(error, BadSettings) else f"{error} ({error.__cause__})")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if running:
            stop(running)


if __name__ == "__main__":
    main()
