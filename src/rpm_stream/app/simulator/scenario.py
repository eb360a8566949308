"""A scenario folder, as a gateway would have sent it: its registry, and its frames or its CSV in
GATT octets.

The folder is a story of ``tests/scenarios`` or made alike: ``registry.jsonl`` (optional), and
``input.csv``, ``frames.jsonl`` or both. Frames keep the times that were recorded.
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
    """What to register first, what to send, in order, and how many lines are no gateway's to
    send.
    """

    entries: list[RegistryEntry]
    frames: list[Frame]
    others: int


def read_scenario(folder: Path) -> Scenario:
    """The scenario of a folder. ``UsageError`` names the file and line that is none.

    What else stands among the frames (an action of the feed, a message of rpm.readings, a line that
    shall be refused whole) is no gateway's to send: it is counted in ``others``.
    """
    table = folder / "input.csv"
    recorded = folder / "frames.jsonl"
    registry = folder / "registry.jsonl"
    if not table.exists() and not recorded.exists():
        raise UsageError(f"{folder}: no scenario: neither input.csv nor frames.jsonl is there")
    encoder = Encoder()
    with progress_bar() as progress:
        found = (
            list(encoder.frames(csv_rows(str(table), progress, Written(shipped()))))
            if table.exists()
            else []
        )
    lines = recorded.read_bytes().splitlines() if recorded.exists() else []
    told = [frame for line in lines if (frame := _frame(line)) is not None]
    entries = list(read_registry(registry)) if registry.exists() else []
    try:
        worn = encoder.registry()
    except SharedDevice as error:
        raise UsageError(f"{table}: {error}") from error
    return Scenario([*_unnamed(worn, entries), *entries], found + told, len(lines) - len(told))


def _frame(line: bytes) -> Frame | None:
    """A line as a frame; None where a gateway's client could not have sent it."""
    try:
        return _frames.decode(line) if "frame" in _lines.decode(line) else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _unnamed(worn: list[DeviceEntry], entries: list[RegistryEntry]) -> list[DeviceEntry]:
    """The devices of a CSV that the folder's own registry does not name."""
    named = {entry.device for entry in entries if isinstance(entry, DeviceEntry)}
    return [entry for entry in worn if entry.device not in named]
