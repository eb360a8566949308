"""A CSV file as RFC 4180 has it: what was written is read, and where it is not whole no line is
lost or invented.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.replaying import of_type, replay_csv

from rpm_stream.ingest.csv.columns import parse_columns
from rpm_stream.ingest.csv.lines import LONGEST_LINE, BadRecord, CsvRecord, lines_of, records
from rpm_stream.ingest.csv.rows import BadRow, CsvRow, rows
from rpm_stream.knowledge import shipped

MOST = 500
HEADER = "patient,measured_at,vital,value,unit\n"
AT = "2026-03-01T08:00:00Z"
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
# Text of marks, ends of lines and what lies between them: where CSV goes wrong.
MARKS = st.text(st.sampled_from('",\n\r ab'), max_size=12)
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(TEXTS | MARKS, min_size=width, max_size=width))
)


def split(text: str) -> list[str]:
    """The lines of a file as Python reads it with its line ends kept."""
    return list(io.StringIO(text, newline=""))


def written(table: Iterable[list[str]], end: str, quoting: int) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, quoting=quoting).writerows(table)  # type: ignore[arg-type]
    return file.getvalue()


@given(TABLES, st.sampled_from(["\n", "\r\n"]))
@example([["a\nb", 'x"y', "1,2"]], "\r\n")
def test_what_was_written_is_read(table: list[list[str]], end: str) -> None:
    """Any text in any cell, and each record by the line that it begins in."""
    text = written(table, end, csv.QUOTE_ALL)
    found = list(records(split(text), 10_000))
    assert [each.fields for each in found if isinstance(each, CsvRecord)] == table
    assert len(found) == len(table)
    begins = [
        1 + len(split(written(table[:place], end, csv.QUOTE_ALL))) for place in range(len(table))
    ]
    assert [each.line for each in found] == begins


@given(TABLES.map(lambda table: [row for row in table if any(row)]))
def test_what_was_written_with_few_marks_is_read(table: list[list[str]]) -> None:
    """As most programs write: marks where they are needed.

    A blank before a mark is told, not guessed at.
    """
    text = written(
        [[cell.replace("\r", " ") for cell in row] for row in table], "\n", csv.QUOTE_MINIMAL
    )
    found = list(records(split(text), 10_000))
    assert [each.fields for each in found if isinstance(each, CsvRecord)] == [
        [cell.replace("\r", " ") for cell in row] for row in table
    ]


@given(st.lists(TEXTS | MARKS, max_size=12).map("".join))
def test_every_line_is_told_once_and_in_order(text: str) -> None:
    """Any text: each of its lines is in one record, whole or bad, and none of them is read
    twice.
    """
    lines = split(text)
    found = list(records(lines, MOST))
    full = [number for number, line in enumerate(lines, start=1) if line.rstrip("\r\n")]
    told = [(each.line, each.line + len(split(each.text)) - 1) for each in found]
    assert all(last < first for (_, last), (first, _) in pairwise(told))
    covered = {number for first, last in told for number in range(first, max(first, last) + 1)}
    assert set(full) <= covered
    assert "".join(each.text for each in found).replace("\r", "").replace("\n", "") == text.replace(
        "\r", ""
    ).replace("\n", "")


@given(MARKS.filter(lambda text: "\n" not in text and "\r" not in text), st.booleans())
def test_no_line_inside_an_open_field_is_a_row(broken: str, closed: bool) -> None:
    """However the marks before it are broken: what may be text is not read as a reading of
    somebody.
    """
    note = f'p1,{AT},weight,80,kg,"{broken}\n'
    inside = f"p2,{AT},glucose,52,mg/dL,x\n"
    lines = [HEADER.replace("\n", ",note\n"), note, inside, 'end"\n' if closed else "end\n"]
    found = list(rows(lines, parse_columns("value=value", shipped())))
    if note.count('"') % 2:  # by its marks the field is open at the end of its line
        assert "p2" not in {row.patient for row in found if isinstance(row, CsvRow)}


def test_a_line_break_in_a_field_that_is_not_read() -> None:
    """Seen in the wild: a note of two lines made a reading of whoever its second line named."""
    mapped = parse_columns("glucose=Concentration:mg/dL", shipped())
    header, first, second = (
        "patient,measured_at,Notes,Concentration",
        f'p1,{AT},"he said',
        f'p2,{AT},x,40",125',
    )
    lines = [f"{line}\r\n" for line in (header, first, second, f"p1,{AT},,130")]
    found = [
        (row.line, row.patient, row.value) for row in rows(lines, mapped) if isinstance(row, CsvRow)
    ]
    assert found == [(2, "p1", "125"), (4, "p1", "130")]


def test_a_mark_that_is_never_closed_is_told_line_by_line() -> None:
    """Nothing behind it is read, and nothing of it is lost without a word."""
    good = [f"p,{AT},heart_rate,{60 + number},/min\n" for number in range(60)]
    lines = [HEADER, *good[:5], f'p,{AT},heart_rate,"70,/min\n', *good[5:]]
    output = replay_csv(lines)
    assert len(of_type(output, "reading")) == 5
    rejects = of_type(output, "reject")
    assert [reject["line"] for reject in rejects] == list(range(7, 63))
    assert {reject["reason"] for reject in rejects} == {"bad_schema"}
    assert all("quotation mark" in reject["detail"] for reject in rejects)


@pytest.mark.parametrize("bad", ['"70"x', '"7"0"",', '"a"b"c"', ' "70"', '"70" '])
def test_a_row_whose_marks_pair_spoils_no_other(bad: str) -> None:
    found = list(rows([HEADER, f"p,{AT},heart_rate,{bad},/min\n", f"p,{AT},weight,80,kg\n"]))
    assert [(type(row), row.line) for row in found] == [(BadRow, 2), (CsvRow, 3)]


def test_a_row_of_many_lines_is_bounded() -> None:
    """A field that goes on and on costs no memory, and when it ends the rows go on."""
    lines = [
        HEADER,
        f'p,{AT},weight,"80\n',
        *["x" * 100 + "\n"] * 500,
        '",kg\n',
        f"p,{AT},weight,80,kg\n",
    ]
    taken = 0

    def counted() -> Iterable[str]:
        nonlocal taken
        for line in lines:
            taken += 1
            yield line

    found = list(rows(counted()))
    assert [row.line for row in found if isinstance(row, CsvRow)] == [504]
    assert [row.line for row in found if isinstance(row, BadRow)] == list(range(2, 504))
    assert max(len(row.original) for row in found if isinstance(row, BadRow)) < 200


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("extra", [-2, -1, 0, 1, LONGEST_LINE, 3 * LONGEST_LINE])
def test_a_line_without_end_is_cut_and_counted_once(end: str, extra: int) -> None:
    text = f"a{end}{'x' * (LONGEST_LINE + extra)}{end}b{end}"
    found = list(records(lines_of(io.StringIO(text, newline="")), 1000))
    assert [(each.line, type(each)) for each in found] == [
        (1, CsvRecord),
        (2, BadRecord),
        (3, CsvRecord),
    ]
    assert len(found[1].text) < LONGEST_LINE + 5


def test_a_mark_in_what_is_cut_off_still_opens() -> None:
    text = f'a,b\n{"x" * LONGEST_LINE},"open\np2,text\nend"\nc,d\n'
    found = list(records(lines_of(io.StringIO(text, newline="")), 1000))
    assert [each.line for each in found if isinstance(each, CsvRecord)] == [1, 5]


def test_a_byte_order_mark_and_carriage_returns_alone() -> None:
    octets = f"\ufeff{HEADER}p,{AT},weight,80,kg".encode()
    file = io.TextIOWrapper(io.BytesIO(octets), "utf-8-sig", newline="")
    assert [row.value for row in rows(lines_of(file)) if isinstance(row, CsvRow)] == ["80"]
    old = io.StringIO(f"{HEADER.rstrip()}\rp,{AT},weight,80,kg\rp,{AT},weight,81,kg\r", newline="")
    assert [(row.line, row.value) for row in rows(lines_of(old)) if isinstance(row, CsvRow)] == [
        (2, "80"),
        (3, "81"),
    ]


def test_a_header_with_a_line_break_in_a_name() -> None:
    mapped = parse_columns("measured_at=Date\nTime,weight=kg:kg", shipped())
    lines = split(f'patient,"Date\nTime",kg\np,{AT},80\n')
    assert [(row.line, row.value) for row in rows(lines, mapped) if isinstance(row, CsvRow)] == [
        (3, "80")
    ]
