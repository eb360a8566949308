"""Writes the small files of a gateway: marks, devices, the board.

A full disk does not stop the gateway.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from rpm_stream.app.runtime.private import replace_private

_log = structlog.get_logger(__name__)


def replace_or_log(path: Path, content: bytes, sync: bool = True) -> None:
    """As ``private.replace_private``, but an error of the disk is logged and the older file
    stays.
    """
    try:
        replace_private(path, content, sync)
    except OSError as error:
        _log.warning("ble.file_not_written", file=path.name, kind=type(error).__name__)
