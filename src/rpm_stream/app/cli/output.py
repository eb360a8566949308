"""The output of commands: JSON Lines on standard output."""

from __future__ import annotations

import sys

import msgspec


def write_line(record: object) -> None:
    """Write ``record`` as one line of JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(record) + b"\n")
