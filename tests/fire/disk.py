"""A disk that can lose its power: what is left of a folder's files when nothing counts but what was synced.

power.c, preloaded into every process that works in the folder, writes down what each change replaced and each
fsync that came back. Disk reads this after a cut and takes back what was not synced; what a real disk may or
may not have done by itself is left to the dice:

- A write since the file's last fsync is there, not there, or there in part: any sectors of 512 bytes of
  several writes, not only the first ones. A file that grew may have its new size already and zeros for some or
  all of its new bytes; in Valkey's log, which is only ever added to, those are its last ones (zeros before bytes
  that did arrive are damage to Valkey, and it says so). A truncation may be undone.
- A file that was made, renamed or deleted is so when its folder was synced after. Otherwise the last changes of
  the folder may be missing, beginning anywhere (file systems keep a journal of them, so in their order).
- The shared memory beside a SQLite database is rubbish.

Not modelled: new folders (they count as made), a disk that lies about fsync, files that rot.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("power.c")
WRITE, RESIZE, SYNC, SYNC_FOLDER, CREATE, RENAME, LINK, UNLINK = range(1, 9)
FIRST_RECORD = 4096
HEAD = struct.Struct("=QQQII")
RECORD = struct.Struct("=IIQQQQII")
SECTOR = 512


def compiler() -> str | None:
    """A C compiler of this machine, if it is one that knows LD_PRELOAD."""
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


def build(folder: Path) -> Path:
    """The library to preload. Raises RuntimeError with what the compiler said."""
    library = folder / "power.so"
    command = f"{compiler() or 'cc'} -shared -fPIC -O2 -Wall -Wextra -o".split()
    built = subprocess.run([*command, library, SOURCE, "-ldl", "-lpthread"], capture_output=True, text=True)
    if built.returncode:
        raise RuntimeError(f"power.c does not compile here: {built.stderr}")
    return library


@dataclass(frozen=True, slots=True)
class Record:
    position: int
    kind: int
    kept: int
    inode: int
    a: int
    b: int
    old_size: int
    first: bytes
    second: bytes

    @property
    def path(self) -> Path:
        return Path(os.fsdecode(self.first))

    @property
    def second_path(self) -> Path:
        return Path(os.fsdecode(self.second))

    @property
    def folder(self) -> Path:
        """Whose names it changes."""
        return (self.second_path if self.second else self.path).parent


@dataclass
class Life:
    """A file since it was made, or since the power came on."""

    synced_size: int | None
    changes: list[Record] = field(default_factory=list)
    """Those that no fsync has covered."""


@dataclass
class Loss:
    """What a cut took."""

    files: Counter[str] = field(default_factory=Counter)
    """Unsynced changes by the name of the file they were made to."""
    changed: Counter[str] = field(default_factory=Counter)
    """Files whose bytes are not as the processes left them."""
    names: list[str] = field(default_factory=list)
    """Made, renamed or deleted, and now not."""
    records: int = 0
    syncs: Counter[str] = field(default_factory=Counter)
    """fsyncs by the name of the file or folder."""


class Disk:
    """The disk under `folder`; `beside` is a place on the same file system for what has to be noted."""

    def __init__(self, folder: Path, beside: Path, library: Path | None = None) -> None:
        self.folder = folder.resolve()
        self.journal = beside.resolve() / "power.journal"
        self.kept = beside.resolve() / "power.journal.kept"
        self.library = library or build(beside.resolve())
        self._calls = ctypes.CDLL(str(self.library))

    @property
    def environment(self) -> dict[str, str]:
        """For every process that works in the folder."""
        return {
            "LD_PRELOAD": str(self.library),
            "POWER_JOURNAL": str(self.journal),
            "POWER_WATCH": str(self.folder),
        }

    def on(self) -> None:
        """What is in the folder now is on the disk."""
        self.journal.unlink(missing_ok=True)
        shutil.rmtree(self.kept, ignore_errors=True)
        self.kept.mkdir()
        self._call("power_prepare", os.fsencode(self.journal))

    def off(self, after: int = 0) -> None:
        """From one instant on, now or after so many more changes, nobody writes or syncs anything.

        Whoever tries to waits until they are killed, which is the caller's to do.
        """
        self._call("power_off", os.fsencode(self.journal), ctypes.c_uint64(after))

    def is_free(self) -> bool:
        """Whether nobody is in the midst of a change: whoever stands still there keeps everybody waiting."""
        try:
            self._call("power_is_free", os.fsencode(self.journal))
        except TimeoutError:
            return False
        return True

    def is_off(self) -> bool:
        _end, records, off_at, off, _broken = self._head()
        return bool(off or (off_at and records >= off_at))

    def records(self) -> int:
        """How many changes were noted."""
        return int(self._head()[1])

    def _head(self) -> tuple[Any, ...]:
        with self.journal.open("rb") as file:
            return HEAD.unpack(file.read(HEAD.size))

    def lose(self, dice: random.Random) -> Loss:
        """Make the folder what the cut left of it. When all that worked in it are dead."""
        loss = Loss()
        lives: dict[int, Life] = {}
        names: list[Record] = []
        for record in self._records():
            loss.records += 1
            if record.kind in (SYNC, SYNC_FOLDER):
                loss.syncs[record.path.name] += 1
            _note(record, lives, names)
        loss.names = _lose_names(names, self.kept, dice)
        for path in sorted(self.folder.rglob("*")):
            if path.name.endswith("-shm"):
                path.write_bytes(dice.randbytes(32768))
            elif path.is_file() and (life := lives.get(path.stat().st_ino)):
                loss.files[path.name] += len(life.changes)
                loss.changed[path.name] += _lose_bytes(path, life, dice)
        return loss

    def _records(self) -> Iterator[Record]:
        with self.journal.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as journal:
            end, _records, _off_at, _off, broken = HEAD.unpack_from(journal)
            if broken:
                raise RuntimeError("the journal of changes is not whole: is the disk full?")
            at = FIRST_RECORD
            while at < end:
                kind, kept, inode, a, b, old_size, first, second = RECORD.unpack_from(journal, at)
                rest = at + RECORD.size
                texts = journal[rest : rest + first], journal[rest + first : rest + first + second]
                yield Record(at, kind, kept, inode, a, b, old_size, *texts)
                at = rest + first + second

    def _call(self, name: str, *arguments: object) -> None:
        if error := getattr(self._calls, name)(*arguments):
            raise OSError(error, f"{name}: {os.strerror(error)}")


def _note(record: Record, lives: dict[int, Life], names: list[Record]) -> None:
    if record.kind in (WRITE, RESIZE):
        lives.setdefault(record.inode, Life(None)).changes.append(record)
    elif record.kind == SYNC:
        changes = lives.get(record.inode, Life(None)).changes
        lives[record.inode] = Life(record.b, [change for change in changes if change.position >= record.a])
    elif record.kind == SYNC_FOLDER:
        names[:] = [name for name in names if name.position >= record.a or name.folder != record.path]
    else:
        names.append(record)
        if record.kind == CREATE:
            lives[record.inode] = Life(0)


# ---------------------------------------------------------------- names


def _lose_names(names: list[Record], kept: Path, dice: random.Random) -> list[str]:
    """Undo the last unsynced changes of each folder, newest first; what was undone."""
    stays: dict[Path, int] = {}
    for folder in sorted({record.folder for record in names}):
        positions = [record.position for record in names if record.folder == folder]
        stays[folder] = dice.choice([0, 0, *positions])
    lost = [record for record in names if record.position > stays[record.folder]]
    for record in reversed(lost):
        _undo_name(record, kept / str(record.kept) if record.kept else None)
    return [f"{('made', 'renamed', 'linked', 'deleted')[record.kind - CREATE]} {record.path.name}" for record in lost]


def _undo_name(record: Record, kept: Path | None) -> None:
    old = record.path
    if record.kind == CREATE:
        old.unlink(missing_ok=True)
    elif record.kind == LINK:
        record.second_path.unlink(missing_ok=True)
    elif record.kind == RENAME and record.second_path.exists():
        record.second_path.rename(old)
    if kept and record.kind in (RENAME, UNLINK):
        target = record.second_path if record.kind == RENAME else old
        target.hardlink_to(kept)


# ---------------------------------------------------------------- bytes


def _lose_bytes(path: Path, life: Life, dice: random.Random) -> bool:
    """Take back unsynced changes to a file, all or some; whether that made a difference."""
    left = path.read_bytes()
    image, steps = _before(bytearray(left), life)
    if dice.random() < 0.6:
        if ".db" in path.name:
            _scatter(image, steps, dice)
        else:
            _grow(image, left, dice)
    if bytes(image) == left:
        return False
    path.write_bytes(image)
    return True


def _before(image: bytearray, life: Life) -> tuple[bytearray, list[tuple[Record, bytes]]]:
    """What was synced, and the changes since with the bytes that each brought."""
    steps = []
    for change in reversed(life.changes):
        if change.kind == RESIZE:
            steps.append((change, b""))
            del image[min(change.a, change.old_size) :]
            image += change.first
        else:
            steps.append((change, bytes(image[change.a : change.a + change.b])))
            image[change.a : change.a + len(change.first)] = change.first
            del image[change.old_size :]
    if life.synced_size is not None:
        del image[life.synced_size :]  # What stdio wrote unseen.
    return image, steps[::-1]


def _scatter(image: bytearray, steps: list[tuple[Record, bytes]], dice: random.Random) -> None:
    """Let any sectors of any changes have reached the disk."""
    share = dice.random()
    for change, brought in steps:
        if change.kind == RESIZE:
            if dice.random() < share:
                _resize(image, change.a)
            continue
        start = change.a
        while start < change.a + len(brought):
            end = min((start // SECTOR + 1) * SECTOR, change.a + len(brought))
            if dice.random() < share:
                _resize(image, max(len(image), end))
                image[start:end] = brought[start - change.a : end - change.a]
            start = end


def _resize(image: bytearray, size: int) -> None:
    del image[size:]
    image.extend(bytes(size - len(image)))


def _grow(image: bytearray, left: bytes, dice: random.Random) -> None:
    """Let a file that is only ever added to have grown to some length, its end perhaps before its bytes."""
    if left.startswith(bytes(image)):
        image += left[len(image) : dice.randint(len(image), len(left))]
        if dice.random() < 0.5:
            _resize(image, dice.randint(len(image), len(left)))
