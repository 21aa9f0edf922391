"""Reading tables that people made: CSV files of any size, row by row, with the numbers of their lines."""

from __future__ import annotations

import csv
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

DELIMITERS = ",;\t"
MOST_CELL_CHARS: Final = 2**18
MOST_LINE_BYTES: Final = 2**24
_SAVE_AS = "save the file as CSV in UTF-8"


class UnreadableFile(Exception):
    """A file of which nothing can be used; the message says which line and what to do."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a line of the file: a fault, or else a warning."""

    line: int
    message: str
    is_fault: bool = True


class TableFile:
    """A CSV file in UTF-8 with a header; the delimiter is the one that the header has most of.

    Raises UnreadableFile, while reading too.
    """

    def __init__(self, file: BinaryIO) -> None:
        csv.field_size_limit(MOST_CELL_CHARS)  # Python's default is less than what a product may hold.
        self._file = file
        self._undecodable: str | None = None
        first = self._first_line()
        self._source = self._lines(first)
        delimiter = max(DELIMITERS, key=first.count)
        self._reader = csv.reader(self._source, delimiter=delimiter, strict=True)
        self.header = self._header()

    def rows(self) -> Iterator[tuple[int, list[str]] | Remark]:
        """Each row's first line and cells, or what is wrong with it; empty rows are skipped."""
        width = len(self.header)
        while True:
            line = self._reader.line_num + 1
            cells = self._next(line)
            if cells is None:
                return
            if isinstance(cells, Remark):
                yield cells
            elif not any(cells):
                continue
            elif len(cells) == width:
                yield line, cells
            else:
                yield Remark(line, f"has {len(cells)} cells, the header has {width}")

    def _next(self, line: int) -> list[str] | Remark | None:
        found: list[str] | Remark | None
        try:
            found = next(self._reader, None)
        except csv.Error as error:
            found = Remark(line, _explained(error))
        if self._undecodable:
            raise UnreadableFile(self._undecodable)
        return found

    def _header(self) -> list[str]:
        header = self._next(1)
        if isinstance(header, Remark):
            raise UnreadableFile(f"line 1: {header.message}")
        if not header or not any(header):
            raise UnreadableFile("line 1: there is no header: name the columns")
        return [name.strip() for name in header]

    def _first_line(self) -> str:
        raw = self._file.readline(MOST_LINE_BYTES)
        if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in raw[:100]:
            raise UnreadableFile(f"line 1: this is not UTF-8 (it looks like UTF-16 or no text at all); {_SAVE_AS}")
        if raw.startswith(b"PK\x03\x04"):
            raise UnreadableFile(f"line 1: this is a spreadsheet or a ZIP file; {_SAVE_AS}")
        text = self._decoded(1, raw.removeprefix(BOM_UTF8))
        if self._undecodable:
            raise UnreadableFile(self._undecodable)
        return text

    def _lines(self, first: str) -> Iterator[str]:
        """The file's lines; those of old Macs end with a carriage return alone."""
        number, text = 1, first
        while text:
            yield from _split(text)
            number += 1
            text = self._decoded(number, self._file.readline(MOST_LINE_BYTES))

    def _decoded(self, number: int, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            # Told by whoever asks for the row: an error raised in here would end the reader without a word.
            self._undecodable = f"line {number}: byte {error.start + 1} is not UTF-8; {_SAVE_AS}"
            return ""


def _split(text: str) -> list[str]:
    if "\r" not in text.removesuffix("\n").removesuffix("\r"):
        return [text]
    parts = text.split("\r")
    lines = [f"{part}\r" for part in parts[:-1]]
    if parts[-1] == "\n":
        lines[-1] += "\n"
    elif parts[-1]:
        lines.append(parts[-1])
    return lines


def _explained(error: csv.Error) -> str:
    text = str(error)
    if "field limit" in text:
        return f"has a cell of more than {MOST_CELL_CHARS} characters; is a quotation mark missing?"
    if "end of data" in text:
        return "begins a cell with a quotation mark that is never closed"
    if "expected after" in text:
        return 'has a quotation mark inside a quoted cell; write it twice: ""'
    return text
