"""``--columns``, ``--zone``, ``--time-form``: the form of a CSV file, for all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from rpm_stream.app.runtime.errors import UsageError

if TYPE_CHECKING:
    from rpm_stream.ingest.csv.columns import ColumnMap
    from rpm_stream.ingest.csv.times import LocalClock
    from rpm_stream.knowledge import Knowledge

COLUMNS_HELP = (
    "Names of a CSV file's columns: patient=, measured_at=, vital=, value=, unit=, device=; a"
    " column that is not given has that name. VITAL=COLUMN:UNIT for each column of a wide file."
)
ZONE_HELP = (
    "Zone of a CSV file's times without offset, such as Europe/Berlin. A time that the zone has"
    " twice or not at all, when the clocks change, is a reject."
)
FORM_HELP = (
    "Form of those times if it is not yyyy-mm-dd hh:mm:ss, such as 'dd.mm.yyyy hh:mm' or"
    " 'm/d/yyyy h:mm AM'. Needs --zone. mm after hh is the minute, else the month."
)
Columns = Annotated[str | None, typer.Option(help=COLUMNS_HELP)]
Zone = Annotated[str | None, typer.Option(help=ZONE_HELP)]
TimeForm = Annotated[str | None, typer.Option("--time-form", help=FORM_HELP)]


def column_map(text: str | None, tables: Knowledge) -> ColumnMap | None:
    """Return the map of ``--columns``, or None where it is not given.

    Raises UsageError with the fault.
    """
    from rpm_stream.ingest.csv.columns import parse_columns
    from rpm_stream.ingest.errors import DecodeError

    if text is None:
        return None
    try:
        return parse_columns(text, tables)
    except DecodeError as error:
        raise UsageError(f"--columns: {error.detail}") from None


def local_time(zone: str | None, form: str | None) -> LocalClock:
    """Return how the times of a file are read.

    Raises UsageError for an unknown zone, a bad form, or a form without a zone.
    """
    from rpm_stream.ingest.csv.times import RFC_3339, LocalClock, parse_form
    from rpm_stream.ingest.errors import DecodeError

    if zone is None:
        if form is not None:
            raise UsageError(
                "--time-form: its times have no offset, so --zone must give their zone"
            )
        return RFC_3339
    try:
        known = ZoneInfo(zone)
    except (ValueError, OSError, LookupError):
        raise UsageError(f"--zone: {zone!r} is not in the IANA time zone database") from None
    if form is None:
        return LocalClock(zone=known)
    try:
        return LocalClock(zone=known, form=parse_form(form), form_text=form)
    except DecodeError as error:
        raise UsageError(f"--time-form: {error.detail}") from None
