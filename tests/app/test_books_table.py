"""``reconcile --table`` on terminals of 80, 120 and 200 columns: nothing is cut off, no number
is broken.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from rpm_stream.app.operate.reconcile.lines import (
    Gap,
    Hour,
    InFlight,
    Missing,
    ReconcileLine,
    ReconcileTotal,
)
from rpm_stream.app.operate.reconcile.table import show

WIDTHS = (80, 120, 200)
DEVICE = "withings-1234567890-abcdef-1234567890-abcdef"
FRAME = "0b0e8e5a-6f5e-4a53-9a6e-1b6f4a1d8a11"
WHY = "the account says 5 readings and the topic holds 2"
LINES: list[ReconcileLine] = [
    Hour(
        device="AA:BB:CC:DD:EE:FF",
        hour=datetime(2026, 1, 31, 8, tzinfo=UTC),
        frames=123456,
        lost=12,
        parts=1234567,
        readings=1221887,
        duplicates=12345,
        rejects={"unknown_characteristic": 333, "unassigned": 2},
        single=1234,
        summary=1208309,
        not_published=12344,
        also_seen=17,
        in_flight=InFlight(frames=19, readings=4),
        missing=31,
    ),
    Hour(device=DEVICE, hour=datetime(2026, 1, 31, 9, tzinfo=UTC), frames=41),
    Missing(
        kind="readings_missing",
        parts=3,
        why=WHY,
        device=DEVICE,
        frame=FRAME,
        topic="rpm.frames",
        partition=3,
        offset=123456,
    ),
    Gap(gateway="gw-17", device=DEVICE, boot="b-1", first=3, last=9, frames=7, unreadable=0),
    ReconcileTotal(frames=123497, parts=1234567),
]
# Each stands in one piece, on one line.
WHOLE = (
    "2026-01-31 08",
    "2026-01-31 09",
    "123456",
    "1234567",
    "1221887",
    "12345",
    "1234",
    "1208309",
    "12344",
    "17",
    "23",
    "31",
    "333",
    "41",
    "rpm.frames 3:123456",
    "readings_missing",
    "3 to 9",
    "gw-17",
    FRAME,
    "duplicates",
    "published",
    "readings",
    "summary",
    "missing",
    "unknown_characteristic",
    "unassigned",
)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_or_broken(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    show(LINES, width)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    missing = [
        part
        for part in WHOLE
        if not any(re.search(rf"(?<![\w-]){part}(?![\w-])", line) for line in lines)
    ]
    assert missing == []
    # a device may be folded, and is whole all the same
    squeezed = "".join(line[:14].strip() for line in lines)
    assert any(DEVICE in line for line in lines) or DEVICE in squeezed
    assert WHY in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("width", WIDTHS)
def test_no_more_lines_than_needed(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A device of usual length takes one line in each table."""
    show([LINES[0], LINES[-1]], width)
    out = capsys.readouterr().out
    if width == 200:
        assert sum("2026-01-31 08" in line for line in out.splitlines()) == 1
    assert "AA:BB:CC:DD:EE:FF" in out


def test_books_without_a_line_are_said_to_be_balanced(capsys: pytest.CaptureFixture[str]) -> None:
    show([ReconcileTotal()], 80)
    assert capsys.readouterr().out.startswith("Balanced: 0 frames, 0 parts")
