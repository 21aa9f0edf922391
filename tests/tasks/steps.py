"""Where the source changes a store or tells a provider, and where its fail points are: read with `ast`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WRITERS: dict[str, frozenset[str]] = {
    "inbox": frozenset(
        {
            "accept",
            "adopt",
            "settled",
            "count_try",
            "look_ahead",
            "put_back",
            "ring",
            "answer_doorbell",
            "hold_lease",
            "release_lease",
            "note_memory",
        }
    ),
    "carts": frozenset({"add", "set", "clear"}),
    "catalogue": frozenset({"forget", "drop"}),
    "heartbeats": frozenset({"beat", "leave"}),
    "bell": frozenset({"ring"}),
    "payments_bell": frozenset({"ring"}),
    "queue": frozenset({"enqueue"}),
    "database": frozenset({"writing", "checkpoint"}),
    "provider": frozenset({"authorize", "capture", "void", "refund", "look_up"}),
    "sandbox": frozenset({"act"}),
    "hooks": frozenset({"send"}),
    "mail": frozenset({"send"}),
}
"""What of an object changes something beyond this process, by the name that it goes by everywhere."""
READERS: dict[str, frozenset[str]] = {
    "inbox": frozenset({"last_checked_out", "find", "open_ids", "peek", "ahead", "kept", "look", "size"})
    | {"oldest_age_seconds", "load_scripts", "is_nearly_full"},
    "carts": frozenset({"get"}),
    "heartbeats": frozenset({"last"}),
    "database": frozenset({"reading", "looking", "is_sqlite", "ping", "backup", "wal_bytes", "close"}),
}
"""What does not. A method on neither list is one that nobody has thought about."""


@dataclass(frozen=True, slots=True)
class Step:
    """A call that changes something."""

    path: str
    function: str
    call: str
    line: int
    guarded: bool
    """Whether a fail point stands before it and another after, with no other such call in between."""


def steps(path: Path, root: Path) -> Iterator[Step]:
    """Every such call of a file. Of a transaction the commit counts, which is the end of its block."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            found = list(_marks(function))
            for n, (line, call) in enumerate(found):
                if call is not None:
                    guarded = n > 0 and n + 1 < len(found) and found[n - 1][1] is None and found[n + 1][1] is None
                    yield Step(path.relative_to(root).as_posix(), function.name, call, line, guarded)


def _marks(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str | None]]:
    """Its calls that change something and its fail points (None), in the order in which they happen."""
    for statement in function.body:
        yield from _within(statement)


def _within(node: ast.AST) -> Iterator[tuple[int, str | None]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
        return
    if isinstance(node, ast.With):
        yield from _within_block(node)
        return
    for child in ast.iter_child_nodes(node):
        yield from _within(child)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id == "failpoint":
            yield node.lineno, None
        elif call := _named(node):
            yield node.lineno, call


def _within_block(block: ast.With) -> Iterator[tuple[int, str | None]]:
    openings = [item.context_expr for item in block.items]
    for each in (*(opening for opening in openings if not _is_transaction(opening)), *block.body):
        yield from _within(each)
    for opening in filter(_is_transaction, openings):
        yield opening.lineno, _named(opening)


def _is_transaction(node: ast.expr) -> bool:
    return (_named(node) or "").endswith(".writing")


def _named(node: ast.AST) -> str | None:
    """`inbox.settled` for `runtime.inbox.settled(...)`; None for a call that changes nothing."""
    found = _method(node)
    return f"{found[0]}.{found[1]}" if found and found[1] in WRITERS.get(found[0], ()) else None


def _method(node: ast.AST) -> tuple[str, str] | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    owner = node.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return name.lstrip("_"), node.func.attr


def unknown_methods(path: Path) -> Iterator[str]:
    """Methods of a store that are called and stand on neither list."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found = _method(node)
        if found and found[0] in READERS and found[1] not in WRITERS[found[0]] | READERS[found[0]]:
            yield f"{found[0]}.{found[1]}"
