"""A column map names the columns of somebody else's file: long, or one column a vital."""

from __future__ import annotations

import pytest

from rpm_stream.ingest.csv.columns import parse_columns
from rpm_stream.ingest.csv.rows import BadRow, CsvRow, frames, rows
from rpm_stream.ingest.gatt.decoders import DecodeError
from rpm_stream.knowledge import shipped

T = "2026-03-01T08:00:00Z"
OURS = "patient,measured_at,vital,value,unit"


def read(columns: str | None, *lines: str) -> list[CsvRow | BadRow]:
    mapped = None if columns is None else parse_columns(columns, shipped())
    return list(rows([f"{line}\n" for line in lines], mapped))


def said(found: list[CsvRow | BadRow]) -> list[tuple[int, str, str, str, str, str]]:
    return [
        (row.line, row.patient, row.device, row.vital, row.value, row.unit)
        for row in found
        if isinstance(row, CsvRow)
    ]


def test_a_long_file_with_other_names_and_more_columns() -> None:
    found = read(
        "patient=pid,measured_at=when,vital=name",
        "note,pid,when,name,unit,value",
        f"x,p,{T},weight,kg,80.10",
    )
    assert said(found) == [(2, "p", "csv.p", "weight", "80.10", "kg")]


def test_a_wide_file_gives_a_row_for_each_value() -> None:
    columns = "patient=pid,device=box,heart_rate=hr:/min,oxygen_saturation=SpO2: sat:%"
    lines = (f"1,{T},d,72,97", f"1,{T},,, 96 ", f"1,{T},d,,")
    found = read(columns, "pid,measured_at,box,hr,SpO2: sat", *lines)
    assert said(found) == [
        (2, "1", "d", "heart_rate", "72", "/min"),
        (2, "1", "d", "oxygen_saturation", "97", "%"),
        (3, "1", "csv.1", "oxygen_saturation", "96", "%"),
    ]
    assert [frame.lines for frame in frames(found) if not isinstance(frame, BadRow)] == [
        (2, 2),
        (3,),
    ]


def test_a_line_end_in_a_cell_of_a_wide_file_is_no_blank() -> None:
    """It goes on as it stands, and is refused as a value."""
    assert said(read("weight=kg:kg", "patient,measured_at,kg", f'p,{T},"80\n"'))[0][4] == "80\n"


def test_a_bad_line_of_a_wide_file_is_told_once() -> None:
    found = read(
        "heart_rate=hr:/min,weight=kg:kg",
        "patient,measured_at,hr,kg",
        "p,yesterday,72,80",
        f"p,{T},72",
    )
    assert [(row.line, row.reason) for row in found if isinstance(row, BadRow)] == [
        (2, "bad_schema"),
        (3, "bad_schema"),
    ]


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ("", "NAME=COLUMN"),
        ("patient", "NAME=COLUMN"),
        ("patient=", "NAME=COLUMN"),
        ("patient=a,patient=b", "twice"),
        ("pulse=p:/min", "'pulse'"),
        ("heart_rate=hr", "/min"),
        ("heart_rate=hr:beats", "'beats'"),
        ("respiratory_rate=rr:bpm", "respiratory_rate is not measured"),
        ("heart_rate=hr:/min,unit=u", "unit"),
    ],
)
def test_a_wrong_map_is_named(columns: str, word: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_columns(columns, shipped())
    assert word in caught.value.detail


@pytest.mark.parametrize(
    ("columns", "header", "word"),
    [
        ("patient=pid", OURS, "pid"),
        ("patient=pid", "pid,pid,measured_at,vital,value,unit", "repeats pid"),
        ("device=box", f"{OURS},device", "box"),
        ("weight=w:kg", OURS, "lacks w"),
    ],
)
def test_a_header_without_the_mapped_columns_is_named(columns: str, header: str, word: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(columns, header)
    assert word in caught.value.detail


def test_without_a_map_the_header_must_be_ours() -> None:
    with pytest.raises(DecodeError):
        read(None, f"{OURS},note")
