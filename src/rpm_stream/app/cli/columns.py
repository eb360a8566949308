"""``--columns``, ``--zone``, ``--time-form``: how a CSV file is written, for every command that
reads one.
"""

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
    "Names of a CSV file's columns: patient=, measured_at=, vital=, value=, unit=, device=, what is"
    " not named being called so; or VITAL=COLUMN:UNIT for each column of a wide file."
)
ZONE_HELP = (
    "Zone of the times of a CSV file that have no offset, such as Europe/Berlin. A time that the"
    " zone has twice or not at all, because clocks are changed, is a reject."
)
FORM_HELP = (
    "Form of those times where they are not yyyy-mm-dd hh:mm:ss, such as 'dd.mm.yyyy hh:mm' or"
    " 'm/d/yyyy h:mm AM'; needs --zone. mm after hh is the minute, else the month."
)
Columns = Annotated[str | None, typer.Option(help=COLUMNS_HELP)]
Zone = Annotated[str | None, typer.Option(help=ZONE_HELP)]
TimeForm = Annotated[str | None, typer.Option("--time-form", help=FORM_HELP)]


def column_map(text: str | None, tables: Knowledge) -> ColumnMap | None:
    """The map of ``--columns``, None where it is not given. ``UsageError`` names what is wrong."""
    from rpm_stream.ingest.csv.columns import parse_columns
    from rpm_stream.ingest.errors import DecodeError

    if text is None:
        return None
    try:
        return parse_columns(text, tables)
    except DecodeError as error:
        raise UsageError(f"--columns: {error.detail}") from None


def local_time(zone: str | None, form: str | None) -> LocalClock:
    """How the times of a file are read.

    ``UsageError`` for an unknown zone, a bad form, or a form without a zone.
    """
    from rpm_stream.ingest.csv.times import RFC_3339, LocalClock, parse_form
    from rpm_stream.ingest.errors import DecodeError

    if zone is None:
        if form is not None:
            raise UsageError(
                "--time-form: its times have no offset, so --zone must say which zone they are in"
            )
        return RFC_3339
    try:
        known = ZoneInfo(zone)
    except (ValueError, OSError, LookupError):
        raise UsageError(f"--zone: {zone!r} is no zone of the IANA time zone database") from None
    if form is None:
        return LocalClock(zone=known)
    try:
        return LocalClock(zone=known, form=parse_form(form), said=form)
    except DecodeError as error:
        raise UsageError(f"--time-form: {error.detail}") from None
