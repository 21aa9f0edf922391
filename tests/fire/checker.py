"""Did a shop keep its promises? Judged from both stores, the provider's own books and the clients' logs.

    python -m tests.fire.checker --var DIR [--database URL] [--redis URL] LOG...

The shop must be at rest and its Redis up. Prints what was counted and every violation with the history of its
order, and exits with 1 when there is one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fire.evidence import Evidence, damage, gather, unfinished
from tests.fire.judgements import JUDGEMENTS, Finding, counts

MOST_PRINTED = 30


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how much was looked at."""

    violations: list[Finding]
    counts: dict[str, int]

    def __str__(self) -> str:
        lines = [f"{name}: {count}" for name, count in self.counts.items()]
        for finding in self.violations[:MOST_PRINTED]:
            lines.append(f"VIOLATION {finding.promise}: {finding.subject}: {finding.message}")
            lines += [f"    {line}" for line in finding.history]
        if len(self.violations) > MOST_PRINTED:
            of_kind = Counter(finding.promise for finding in self.violations)
            lines.append(f"... {len(self.violations)} violations in all: {dict(of_kind)}")
        lines.append(f"{len(self.violations)} violations" if self.violations else "every promise was kept")
        return "\n".join(lines)


def check(var_dir: Path, database_url: str, redis_url: str, logs: Sequence[Path]) -> Report:
    """Hold everything that is known of a run against the promises. The shop must be at rest."""
    if damaged := [Finding("P1", name, f"is damaged: {how}") for name, how in damage(var_dir, database_url)]:
        return Report(damaged, {})
    return judge(gather(var_dir, database_url, redis_url, logs))


def judge(evidence: Evidence) -> Report:
    violations = [finding for judgement in JUDGEMENTS.values() for finding in judgement(evidence)]
    return Report(violations, counts(evidence))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fire.checker", description=__doc__)
    parser.add_argument("--var", type=Path, required=True, help="the shop's VAR_DIR")
    parser.add_argument("--database", help="its database; SQLite in VAR_DIR if not given")
    parser.add_argument("--redis", help="its Redis; the one in VAR_DIR if not given")
    parser.add_argument("logs", type=Path, nargs="*", metavar="LOG")
    given = parser.parse_args(arguments)
    var_dir = given.var.absolute()
    database_url = given.database or f"sqlite:///{var_dir}/shop.db"
    redis_url = given.redis or f"unix://{var_dir}/valkey/valkey.sock"
    report = check(var_dir, database_url, redis_url, given.logs)
    print(report)
    return 1 if report.violations else 0


__all__ = ["Evidence", "Finding", "Report", "check", "gather", "judge", "unfinished"]

if __name__ == "__main__":
    sys.exit(main())
