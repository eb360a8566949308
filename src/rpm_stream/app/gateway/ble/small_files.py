"""Writes the small files of a gateway: marks, devices and the status file.

A full disk does not stop the gateway.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from rpm_stream.app.runtime.private import replace_private

_log = structlog.get_logger(__name__)


def replace_or_log(path: Path, content: bytes, sync: bool = True) -> None:
    """Do ``private.replace_private``, but log an error of the disk and keep the older file."""
    try:
        replace_private(path, content, sync)
    except OSError as error:
        _log.warning("ble.file_not_written", file=path.name, kind=type(error).__name__)
