"""The power goes, and nothing that was promised is lost; and a disk that would lose it is noticed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.fire.disk import Disk, build
from tests.fire.power import BUGS, PowerCuts, why_not, with_a_bug
from tests.processes import halt
from tests.servers import until
from web.settings import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(why_not() is not None, reason=str(why_not()))]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("power"))


@pytest.fixture
def disk(tmp_path: Path, library: Path) -> Disk:
    (tmp_path / "var").mkdir()
    found = Disk(tmp_path / "var", tmp_path, library)
    found.on()
    return found


def work(disk: Disk, program: str) -> str:
    """What a program says that works in the disk's folder."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=disk.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "VAR_DIR": str(disk.folder), **disk.environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Harsh(random.Random):
    """Dice for a disk that keeps nothing of what was not synced."""

    def random(self) -> float:
        return 1.0

    def choice(self, seq):  # type: ignore[no-untyped-def]
        return seq[0]


def test_who_stands_still_in_a_change_keeps_the_disk_and_who_does_so_elsewhere_does_not(disk: Disk) -> None:
    program = """
import os
book = os.open("book", os.O_RDWR | os.O_CREAT)
while True:
    os.pwrite(book, b"b" * 4096, 0)
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", program], cwd=disk.folder, env={"PATH": os.environ["PATH"], **disk.environment}
    )

    def halted() -> bool:
        """Whether it stands still where it keeps nobody waiting."""
        before = disk.records()
        os.kill(writer.pid, signal.SIGCONT)
        until(lambda: disk.records() > before, what="the writer to write")
        halt(writer.pid)
        return disk.is_free()

    try:
        until((disk.folder / "book").exists, what="the first change")
        until(lambda: not halted(), 20, "a halt in a change")
        until(halted, 20, "a halt elsewhere")
        until(lambda: not halted(), 20, "a halt in a change, once more")
        os.kill(writer.pid, signal.SIGCONT)
        until(disk.is_free, what="the writer to go on")
    finally:
        writer.kill()
        writer.wait()
    assert disk.is_free()


PREPARE = """
import os
folder = os.open(".", os.O_RDONLY)
def opened(name, flags=os.O_RDWR | os.O_CREAT):
    return os.open(name, flags)
log, book, gone = opened("log.aof", os.O_WRONLY | os.O_CREAT | os.O_APPEND), opened("book.db"), opened("gone")
os.write(log, b"one "); os.write(book, b"a" * 2000); os.write(gone, b"still here")
for file in (log, book, gone, folder):
    os.fsync(file)
"""


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("os.write(log, b'two')", {}),
        ("os.write(log, b'two'); os.fsync(log)", {"log.aof": b"one two"}),
        ("os.write(log, b'two'); os.fdatasync(log); os.write(log, b'three')", {"log.aof": b"one two"}),
        ("os.pwrite(book, b'b' * 1000, 1500)", {}),
        ("os.pwrite(book, b'b' * 9, 0); os.ftruncate(book, 4); os.write(book, b'c'); os.fsync(log)", {}),
        ("os.ftruncate(book, 4); os.fsync(book); os.pwrite(book, b'b', 0)", {"book.db": b"aaaa"}),
        ("open('book.db', 'w').close()", {}),
        ("os.rename('gone', 'log.aof')", {}),
        ("os.rename('gone', 'log.aof'); os.fsync(folder)", {"log.aof": b"still here", "gone": None}),
        ("os.unlink('gone')", {}),
        ("os.unlink('gone'); os.fsync(folder)", {"gone": None}),
        ("os.link('gone', 'new')", {}),
        ("os.fsync(opened('new'))", {}),
        ("os.write(opened('new'), b'new'); os.fsync(folder)", {"new": b""}),
        ("new = opened('new'); os.write(new, b'new'); os.fsync(new); os.fsync(folder)", {"new": b"new"}),
    ],
)
def test_a_cut_takes_back_what_was_not_synced_and_nothing_else(
    disk: Disk, change: str, left: dict[str, bytes | None]
) -> None:
    synced = {"log.aof": b"one ", "book.db": b"a" * 2000, "gone": b"still here"}
    work(disk, f"{PREPARE}\n{change}")

    disk.lose(Harsh())

    found = {path.name: path.read_bytes() for path in disk.folder.iterdir()}
    assert found == {name: content for name, content in (synced | left).items() if content is not None}


def test_a_cut_may_keep_any_sectors_of_what_was_not_synced(disk: Disk) -> None:
    work(disk, f"{PREPARE}\nos.pwrite(book, b'b' * 20480, 1024)")
    whole = (disk.folder / "book.db").read_bytes()
    dice = random.Random(3)

    seen = set()
    for _ in range(40):
        disk.lose(dice)
        image = (disk.folder / "book.db").read_bytes()
        seen.add(image)
        assert image[:1024] == b"a" * 1024
        assert set(image[2048:]) <= {0, ord("b")}
        (disk.folder / "book.db").write_bytes(whole)

    assert len(seen) > 10


def test_nobody_writes_after_the_power_went_off(disk: Disk) -> None:
    program = f"{PREPARE}\nprint('ready', flush=True)\nimport time\nwhile True: os.write(log, b'.'); os.fsync(log)"
    environment = {"PATH": os.environ["PATH"], **disk.environment}
    writer = subprocess.Popen(
        [sys.executable, "-c", program], cwd=disk.folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()

        disk.off()
        sizes = {(disk.folder / "log.aof").stat().st_size for _ in range(1000)}
        writer.kill()

    assert len(sizes) == 1
    assert disk.is_off()


COUNTING = """
from db.session import SQLITE
from pathlib import Path
counter = SQLITE.connect("book.db", isolation_level=None)
counter.execute("PRAGMA journal_mode=WAL"); counter.execute("PRAGMA synchronous={synchronous}")
counter.execute("PRAGMA wal_autocheckpoint=20")
counter.execute("CREATE TABLE IF NOT EXISTS seen (n INTEGER PRIMARY KEY, text)")
for number in range({start}, {start} + 30):
    counter.execute("INSERT INTO seen VALUES (?, ?)", (number, "x" * 3000))
os_exit = __import__("os")._exit
os_exit(0)
"""


@pytest.mark.parametrize(("synchronous", "keeps"), [("FULL", True), ("NORMAL", False), ("OFF", False)])
def test_sqlite_keeps_every_commit_only_when_it_syncs_each(disk: Disk, synchronous: str, keeps: bool) -> None:
    from db.session import SQLITE

    lost = 0
    for number in range(3):
        work(disk, COUNTING.format(synchronous=synchronous, start=number * 30))
        disk.lose(random.Random(number))
        disk.on()
        try:
            database = SQLITE.connect(str(disk.folder / "book.db"))
            count = database.execute("SELECT count(*) FROM seen").fetchone()[0]
            verdict = database.execute("PRAGMA integrity_check").fetchone()[0]
            database.close()
        except SQLITE.DatabaseError as error:
            count, verdict = 0, str(error)
        lost += (number + 1) * 30 - count
        if not keeps:
            break  # Damaged, perhaps: OFF promises nothing.
        assert verdict == "ok"

    assert (lost == 0) is keeps


@pytest.mark.parametrize(("appendfsync", "keeps"), [("always", True), ("everysec", False)])
def test_valkey_keeps_every_answered_write_only_when_it_syncs_each(disk: Disk, appendfsync: str, keeps: bool) -> None:
    lost = 0
    for _ in range(3):  # A sync of the second may come just before the cut.
        with brought_valkey(disk.folder, disk.environment) as client:
            client.flushall()
            client.config_set("appendfsync", appendfsync)
            for number in range(200):
                client.set(f"key:{number}", "x" * 500)
            disk.off()
        disk.lose(random.Random(3))
        disk.on()
        with brought_valkey(disk.folder, disk.environment) as client:
            lost += 200 - int(client.dbsize())

    assert (lost == 0) is keeps


@pytest.mark.parametrize("name", BUGS)
def test_every_deliberate_bug_is_still_a_change_to_the_code(tmp_path: Path, name: str) -> None:
    file, _, new = BUGS[name]

    assert new in (with_a_bug(tmp_path, *BUGS[name]) / file).read_text()


def test_the_key_that_signs_sessions_is_on_disk_before_it_is_used(disk: Disk) -> None:
    program = "from web.settings import read_settings, secret_key; print(secret_key(read_settings()))"
    key = work(disk, program)

    disk.lose(Harsh())

    assert work(disk, program) == key


@pytest.mark.parametrize(
    "torn",
    ["", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n", "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$300\r\n"],
    ids=["none", "half", "sized"],
)
def test_valkey_starts_on_a_log_that_grew_without_what_it_grew_by(tmp_path: Path, torn: str) -> None:
    """File systems may write down a file's new size before its new bytes: a power cut leaves zeros."""
    with brought_valkey(tmp_path) as client:
        client.set("kept", "yes\0")
    log = tmp_path / "valkey" / "appendonlydir" / "appendonly.aof.1.incr.aof"
    whole = log.read_bytes()
    log.write_bytes(whole + torn.encode() + bytes(70_000))

    with brought_valkey(tmp_path) as client:
        assert {key: client.get(key) for key in client.scan_iter()} == {b"kept": b"yes\0"}
        assert log.read_bytes() == whole


@contextmanager
def brought_valkey(var_dir: Path, more: Mapping[str, str] | None = None) -> Iterator[Redis]:
    """The Valkey that `make run` brings, and its client."""
    environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(var_dir), **(more or {})}
    server = subprocess.Popen([sys.executable, "-m", "web.valkey"], cwd=ROOT, env=environment)
    try:
        with Redis(unix_socket_path=str(var_dir / "valkey" / "valkey.sock")) as client:
            until(lambda: server.poll() is not None or answers(client), what="Valkey")
            yield client
    finally:
        server.kill()
        server.wait()


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def test_a_shop_under_load_loses_nothing_it_promised_when_the_power_goes(tmp_path: Path) -> None:
    run = PowerCuts(tmp_path, seed=20, settings={"WEB_WORKERS": "1"}).cut(2, check_each=False)

    assert run.violations == []
    assert run.cuts.total() == 2
    assert run.counts["orders accepted"] > 0
    assert {"shop.db-wal", "sandbox.db-wal", "appendonly.aof.1.incr.aof"} <= set(run.syncs), (
        "not every process was seen"
    )
