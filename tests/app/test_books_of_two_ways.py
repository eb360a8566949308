"""Law 1 where one measurement comes by two ways: the second is accounted for, and no loss hides
behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.books import LATER, Topics, balanced, record, take, topics_of
from support.corrections import correction
from support.frames import measurement, sent, worn

from rpm_stream.app.kafka import names
from rpm_stream.app.operate.reconcile.lines import Hour, Missing, ReconcileLine
from rpm_stream.app.operate.reconcile.marks import NEAR, marks
from rpm_stream.app.operate.reconcile.report import Report
from rpm_stream.app.operate.reconcile.store import Store
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir.observation import publishes
from rpm_stream.records import Action, Reading, Readings
from rpm_stream.sameness import are_one, measured

Record = dict[str, Any]
WAYS = [worn(device=device) for device in ("d", "app")]


def frames() -> list[Record]:
    pressure, glucose = (("systolic", "185"), ("diastolic", "95")), ("glucose_interstitial", "101")
    found = [sent("d", 0, 20.5, *pressure), sent("app", 0, 20, ("systolic", "185.0"), at=25)]
    for step in range(4):
        found += [
            sent("d", 1 + step, 30 + 5 * step + 0.2, glucose),
            sent("app", 1 + step, 30 + 5 * step + 0.7, glucose),
        ]
    return [
        *found,
        sent("d", 5, 60, ("weight", "80"), glucose),
        sent("app", 5, 60, ("weight", "80"), at=600),
    ]


def missing(lines: list[ReconcileLine]) -> list[tuple[str, int]]:
    return [(line.kind, line.parts) for line in lines if isinstance(line, Missing)]


def hours(lines: list[ReconcileLine]) -> list[Hour]:
    return [line for line in lines if isinstance(line, Hour)]


def test_the_books_balance_and_say_what_came_twice(tmp_path: Path) -> None:
    lines, total = balanced(tmp_path, topics_of(frames(), WAYS))
    assert missing(lines) == []
    assert total.balanced
    assert sum(line.also_seen for line in hours(lines)) == 6
    for line in hours(lines):
        assert line.readings == line.single + line.summary + line.not_published
        assert line.also_seen <= line.not_published


def lost(topics: Topics, text: bytes) -> Topics:
    kept = [each for each in topics[names.OBSERVATIONS] if text not in each.value]
    assert len(kept) < len(topics[names.OBSERVATIONS])
    return {**topics, names.OBSERVATIONS: kept}


def test_a_measurement_that_nobody_published_is_missing_once(tmp_path: Path) -> None:
    """Its second reading excuses itself, not the first."""
    topics = topics_of(frames(), WAYS)
    assert missing(balanced(tmp_path, lost(topics, b'"code":"kg"'))[0]) == [("no_observation", 1)]
    assert missing(balanced(tmp_path, lost(topics, b'"85354-9"'))[0]) == [("no_observation", 2)]


def test_a_summary_that_counts_too_few_is_missing_what_came_first(tmp_path: Path) -> None:
    topics = topics_of(frames(), WAYS)
    assert ("summary_missing", 3) in missing(
        balanced(tmp_path, lost(topics, b'"valueInteger":3'))[0]
    )


def taken_back(device: str) -> Any:
    def actions(topics: Topics) -> list[Action]:
        found = [
            msgspec.json.decode(record.value, type=Readings) for record in topics[names.READINGS]
        ]
        wrong = [
            reading for message in found for reading in message.readings if reading.device == device
        ]
        return [correction("void", wrong, LATER)]

    return actions


@pytest.mark.parametrize("device", ["d", "app"])
def test_what_is_taken_back_of_two_ways_leaves_balanced_books(tmp_path: Path, device: str) -> None:
    lines, total = balanced(tmp_path, topics_of(frames(), WAYS, actions=taken_back(device)))
    assert missing(lines) == []
    assert total.balanced


def test_what_was_given_to_a_patient_is_the_same_as_what_comes_then(tmp_path: Path) -> None:
    """The strap was another's by the registry; then the right wearer's app delivers the same."""
    entries = [worn("q", "d"), worn("p", "app")]
    first, second = sent("d", 0, 20, ("weight", "80")), sent("app", 0, 20, ("weight", "80"), at=900)

    def actions(topics: Topics) -> list[Action]:
        message = msgspec.json.decode(topics[names.READINGS][0].value, type=Readings)
        return [
            Action(patient="p", action="adopt", who="nurse", at=LATER, readings=message.readings)
        ]

    topics = topics_of([first], entries, actions=actions)
    later = topics_of([first, second], entries)
    topics |= {topic: later[topic] for topic in (names.FRAMES, names.ACCOUNTS)}
    (second_message,) = later[names.READINGS][1:]
    place = len(topics[names.READINGS])  # behind the first reading and the correction
    topics[names.READINGS].append(record(names.READINGS, place, second_message.value, minutes=900))
    lines, _ = balanced(tmp_path, topics)
    assert missing(lines) == []
    assert sum(line.also_seen for line in hours(lines)) == 1


def test_books_that_begin_later_do_not_call_a_second_missing(tmp_path: Path) -> None:
    """Its first may have come before: whoever wants to know reads from the beginning."""
    topics = topics_of(
        [sent("d", 0, 20, ("weight", "80")), sent("app", 0, 20, ("weight", "80"), at=1500)], WAYS
    )
    store = Store(tmp_path / "books")
    take(store, topics)
    hour = topics[names.FRAMES][-1].timestamp // 3_600_000
    store.prune(hour)
    lines = list(Report(store, Clock(), LATER + timedelta(days=1)).lines())
    assert missing(lines) == []
    assert [(line.frames, line.also_seen) for line in hours(lines)] == [(1, 1)]
    store.close()


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 0.2, 0.9, 1, 1.5, 2]),
            st.sampled_from(["d", "app"]),
            st.sampled_from("01"),
            st.sampled_from(["systolic", "glucose_interstitial"]),
            st.sampled_from(["70", "70.0", "71"]),
        ),
        min_size=2,
        max_size=2,
    )
)
def test_the_books_ask_as_the_judge_does(two: Sequence[tuple[float, str, str, str, str]]) -> None:
    """The rule in SQL and the rule in the judge say the same of any two readings."""
    facts = []
    for minutes, device, index, vital, value in two:
        entry = {"at": measurement(minutes, vital, value)["at"], "vital": vital, "value": value}
        facts.append(
            msgspec.convert(
                {
                    **entry,
                    "id": "x",
                    "patient": "p",
                    "device": device,
                    "unit": "u",
                    "measured_at": entry["at"],
                    "received_at": entry["at"],
                    "utc_offset": None,
                    "absent": None,
                    "flags": (),
                    "attributes": {"characteristic": "app"},
                    "origin": {"frame": "f", "index": int(index), "part": 0},
                },
                Reading,
            )
        )
    rows = [marks(fact, publishes(fact, shipped()), b"key") for fact in facts]
    db = sqlite3.connect(":memory:")
    for table in "ro":
        db.execute(f"CREATE TABLE {table} (same BLOB, at INT, device INT, told INT, loose INT)")
    db.execute("INSERT INTO r VALUES (?, ?, ?, ?, ?)", rows[0])
    db.execute("INSERT INTO o VALUES (?, ?, ?, ?, ?)", rows[1])
    found = bool(db.execute(f"SELECT COUNT(*) FROM r, o WHERE {NEAR}").fetchone()[0])
    one, other = map(measured, facts)
    assert found == (facts[0].vital == facts[1].vital and are_one(one, other, facts[0].vital))
