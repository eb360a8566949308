"""Who gets a device from when on: the entry that ``registry assign`` writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.operate.assignments import assigned, taken_back
from rpm_stream.knowledge.registry import parse_entry, wearers
from rpm_stream.records import Assignment, DeviceEntry

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = st.integers(min_value=0, max_value=200)
CHANGES = st.lists(st.tuples(st.sampled_from(["ada", "ben", "eve", None]), HOURS), max_size=8)


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def reassigned(entry: DeviceEntry, patient: str | None, moment: datetime) -> DeviceEntry:
    """As ``registry assign`` and ``registry unassign`` do."""
    span = Assignment(patient=patient or "-", from_=moment)
    return taken_back(entry, span) if patient is None else assigned(entry, span)


def wearer(entry: DeviceEntry, moment: datetime) -> str | None:
    return next(iter(wearers(entry, moment)), None)


def after(changes: list[tuple[str | None, int]]) -> DeviceEntry:
    entry = DeviceEntry(device="d", model="Band 3")
    for patient, hour in changes:
        entry = reassigned(entry, patient, at(hour))
    return entry


@given(CHANGES, st.sampled_from(["ada", "ben", None]), HOURS)
def test_from_the_moment_on_it_is_the_new_one_and_before_it_nothing_changes(
    changes: list[tuple[str | None, int]], patient: str | None, hour: int
) -> None:
    before = after(changes)
    changed = reassigned(before, patient, at(hour))
    for look in (0.5 + hour, hour, 300):
        assert wearer(changed, at(look)) == patient
    for look in range(hour):
        assert wearer(changed, at(look)) == wearer(before, at(look))
    assert changed.model == "Band 3"


@given(CHANGES)
def test_a_device_never_belongs_to_two(changes: list[tuple[str | None, int]]) -> None:
    entry = after(changes)
    assert all(len(wearers(entry, at(hour))) <= 1 for hour in range(201))


@given(CHANGES)
def test_what_is_written_is_read_back_the_same(changes: list[tuple[str | None, int]]) -> None:
    entry = after(changes)
    assert parse_entry(msgspec.json.encode(entry)) == entry
