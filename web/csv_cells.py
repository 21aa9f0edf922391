"""Cells of a CSV file that a spreadsheet must not take for formulas.

Names, addresses and product texts come from people we do not know; a spreadsheet runs a cell that begins
with one of = + - @ (a tab or a carriage return before them is skipped). OWASP's answer is an apostrophe
in front. A cell that looks guarded already gets one more, so what was written can always be read back.
"""

import re

_RUNS_AS_A_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_IS_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def guarded(cell: str) -> str:
    """The cell as it goes into the file: an apostrophe in front of what would run as a formula."""
    return f"'{cell}" if _RUNS_AS_A_FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`; a cell without a guard stays as it is."""
    return cell[1:] if _IS_GUARDED.match(cell) else cell
