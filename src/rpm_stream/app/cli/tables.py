"""The knowledge tables on the command line."""

from __future__ import annotations

from pathlib import Path

from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.knowledge import Knowledge, KnowledgeError, load


def own_tables(folder: Path | None) -> Knowledge:
    """Return the tables of ``folder`` over the shipped ones.

    Raises UsageError for unusable tables.
    """
    try:
        return load(folder)
    except KnowledgeError as error:
        raise UsageError(str(error)) from None
