"""Read the records of a CSV file by RFC 4180.

A quoted field may hold commas, quotation marks and line breaks. If quotation marks do not pair, it
is unknown which lines are text and which are rows. Then no line is read until they pair again, and
each such line is reported by its number. A record is bounded, so a mark that is never closed costs
no memory.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from rpm_stream.records import Reason, Record

LONGEST_LINE = 65_536  # kept characters of a line; longer than any record may be
QUOTE = '"'
_OPENING = re.compile(r'(?:\A|[,\r\n]) *"')  # a mark at the beginning of a field
NOT_CLOSED = "a quotation mark is not closed, or stands inside a field without being doubled"


class CsvRecord(Record, frozen=True, kw_only=True):
    """The fields of one record, its first line, and its text without the line end.

    The header is line 1.
    """

    line: int
    fields: list[str]
    text: str


class BadLines(Record, frozen=True, kw_only=True):
    """Lines of a file that are refused, and why. ``line`` is the first of them."""

    line: int
    reason: Reason
    detail: str


class BadRecord(BadLines, frozen=True, kw_only=True):
    """Lines that are no record, with their text."""

    text: str


class Extent(NamedTuple):
    """The allowed size of a record: ``most`` characters and ``width`` fields (0: not known yet)."""

    most: int
    width: int


class Text(Protocol):
    """A text file that can be read in pieces, with its line ends as written."""

    def readline(self, size: int = -1, /) -> str:
        """Return a line with its end, or at most ``size`` characters of it.

        Returns "" at the end of the file.
        """
        ...


def lines_of(text: Text) -> Iterator[str]:
    """Yield the lines of a file, each cut after ``LONGEST_LINE`` characters to bound the memory.

    A line that was cut ends in "…". If the part that was cut off opens or closes a quoted field, a
    quotation mark is before that.
    """
    while line := text.readline(LONGEST_LINE):
        marks = 0
        rest = line
        while len(rest) == LONGEST_LINE and not rest.endswith("\n"):
            rest = text.readline(LONGEST_LINE)
            marks += rest.count(QUOTE)
        yield line if rest is line else f"{line},{QUOTE * (marks % 2)}…\n"


def records(lines: Iterable[str], most: int) -> Iterator[CsvRecord | BadRecord]:
    """Yield the records of ``lines`` (each with its end), at most ``most`` characters each.

    Empty lines are skipped. The first record is the header and gives the number of fields.
    """
    numbered = enumerate(lines, start=1)
    width = 0
    for number, line in numbered:
        text = line.rstrip("\r\n")
        if QUOTE in line:
            for each in _quoted(number, line, numbered, Extent(most, width)):
                width = width or (len(each.fields) if isinstance(each, CsvRecord) else 0)
                yield each
        elif len(text) > most:
            yield _too_large(number, text, most)
        elif text:
            fields = text.split(",")
            width = width or len(fields)
            yield CsvRecord(line=number, fields=fields, text=text)


def _quoted(
    number: int, line: str, numbered: Iterator[tuple[int, str]], extent: Extent
) -> Iterator[CsvRecord | BadRecord]:
    """Yield the record that begins with ``line``, which has a quotation mark.

    Takes the further lines that belong to it from ``numbered``.
    """
    most = extent.most
    taken = [line]
    ended = False  # true if the record would go on after the taken lines

    def feed() -> Iterator[str]:
        nonlocal ended
        yield line
        size = len(line)
        while size <= most and (following := next(numbered, None)) is not None:
            taken.append(following[1])
            size += len(following[1])
            yield following[1]
        ended = True

    fields = _parsed(feed()) if len(line) <= most else None
    text = "".join(taken).rstrip("\r\n")
    if fields is not None and _means_one_thing(fields, taken, extent.width):
        large = len(text) > most
        yield (
            _too_large(number, text, most)
            if large
            else CsvRecord(line=number, fields=fields, text=text)
        )
    elif not ended and not _is_open(text):
        yield _too_large(number, text, most) if len(text) > most else _unpaired(number, text)
    else:
        for place, each in enumerate(taken, start=number):
            yield _unpaired(place, each.rstrip("\r\n"))
        for place, each in numbered:
            yield _unpaired(place, each.rstrip("\r\n"))
            if each.count(QUOTE) % 2:
                return


def _is_open(text: str) -> bool:
    """Return whether a quoted field is open at the end of ``text``.

    Marks are counted in pairs, also where some are not doubled.
    """
    first = _OPENING.search(text)
    return first is not None and text.count(QUOTE, first.end() - 1) % 2 == 1


def _too_large(number: int, text: str, most: int) -> BadRecord:
    return BadRecord(line=number, text=text, reason="too_large", detail=f"over {most} characters")


def _unpaired(number: int, text: str) -> BadRecord:
    return BadRecord(line=number, text=text, reason="bad_schema", detail=f"no CSV: {NOT_CLOSED}")


def _parsed(lines: Iterable[str], skip_blanks: bool = False) -> list[str] | None:
    """Return the fields of the first record in ``lines``, or None if it is none."""
    try:
        return next(csv.reader(lines, strict=True, skipinitialspace=skip_blanks), None)
    except csv.Error:
        return None


def _means_one_thing(fields: list[str], taken: list[str], width: int) -> bool:
    """Return whether all programs read the same fields.

    Some programs open a quoted field at a mark after spaces, and RFC 4180 does not. The next line
    would then be text or a row. A mark inside a field without marks (5'11") is one of its
    characters, as long as the record has its ``width``.
    """
    if width and len(fields) != width and _is_open("".join(taken)):
        return False
    if not any(field.lstrip(" ").startswith(QUOTE) for field in fields):
        return True
    other = _parsed(taken, skip_blanks=True)
    return other is not None and [field.lstrip(" ") for field in other] == [
        field.lstrip(" ") for field in fields
    ]
