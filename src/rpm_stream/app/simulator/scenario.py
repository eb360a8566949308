"""Reads a scenario folder as frames that a gateway would have sent, with its registry.

The folder is a story of ``tests/scenarios`` or has the same layout: ``registry.jsonl`` (optional),
and ``input.csv``, ``frames.jsonl`` or both. A CSV becomes GATT payloads. Frames keep their recorded
times.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from rpm_stream.app.gateway.wire import RegistryEntry
from rpm_stream.app.registry.file import read_registry
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.simulator.encode.csv import Encoder, SharedDevice
from rpm_stream.app.simulator.encode.files import Written, csv_rows, progress_bar
from rpm_stream.knowledge import shipped
from rpm_stream.records import DeviceEntry, Frame

_lines = msgspec.json.Decoder(dict[str, msgspec.Raw])
_frames = msgspec.json.Decoder(Frame)


class Scenario(NamedTuple):
    """A scenario: what to register first, and what to send, in order.

    ``others`` is the number of lines that a gateway cannot send.
    """

    entries: list[RegistryEntry]
    frames: list[Frame]
    others: int


def read_scenario(folder: Path) -> Scenario:
    """Read the scenario of a folder. Raises ``UsageError`` with the file and line of an error.

    A line among the frames that a gateway cannot send is counted in ``others``. Examples are an
    action of the feed, a message of rpm.readings, and a line that shall be refused as a whole.
    """
    table = folder / "input.csv"
    recorded = folder / "frames.jsonl"
    registry = folder / "registry.jsonl"
    if not table.exists() and not recorded.exists():
        raise UsageError(f"{folder}: no scenario: it has neither input.csv nor frames.jsonl")
    encoder = Encoder()
    with progress_bar() as progress:
        found = (
            list(encoder.frames(csv_rows(str(table), progress, Written(shipped()))))
            if table.exists()
            else []
        )
    lines = recorded.read_bytes().splitlines() if recorded.exists() else []
    frames = [frame for line in lines if (frame := _frame(line)) is not None]
    entries = list(read_registry(registry)) if registry.exists() else []
    try:
        worn = encoder.registry()
    except SharedDevice as error:
        raise UsageError(f"{table}: {error}") from error
    return Scenario([*_unnamed(worn, entries), *entries], found + frames, len(lines) - len(frames))


def _frame(line: bytes) -> Frame | None:
    """Return a line as a frame, None if a gateway's client could not have sent it."""
    try:
        return _frames.decode(line) if "frame" in _lines.decode(line) else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _unnamed(worn: list[DeviceEntry], entries: list[RegistryEntry]) -> list[DeviceEntry]:
    """Return the devices of a CSV that the folder's own registry does not name."""
    named = {entry.device for entry in entries if isinstance(entry, DeviceEntry)}
    return [entry for entry in worn if entry.device not in named]
