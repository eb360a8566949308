"""``--columns``: what the columns of a CSV file are called, for every command that reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpm_stream.app.errors import UsageError

if TYPE_CHECKING:
    from rpm_stream.ingest.csv_columns import ColumnMap
    from rpm_stream.knowledge import Knowledge

COLUMNS_HELP = (
    "Names of a CSV file's columns: patient=, measured_at=, vital=, value=, unit=, device=, what is not named being "
    "called so; or VITAL=COLUMN:UNIT for each column of a wide file."
)


def column_map(text: str | None, tables: Knowledge) -> ColumnMap | None:
    """The map of ``--columns``, None where it is not given. ``UsageError`` names what is wrong."""
    from rpm_stream.ingest.csv_columns import parse_columns
    from rpm_stream.ingest.errors import DecodeError

    if text is None:
        return None
    try:
        return parse_columns(text, tables.vitals)
    except DecodeError as error:
        raise UsageError(f"--columns: {error.detail}") from None
