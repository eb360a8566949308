"""Law 1: the books balance over what the service wrote, and each thing that could be lost is
named with its place.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from support.books import LATER, Topics, balanced, changed, hours, missing, take, topics_of
from support.corrections import correction
from support.frames import START, frame, measurement, stamp, worn

from rpm_stream.app.kafka import names
from rpm_stream.app.operate.reconcile.lines import Gap
from rpm_stream.app.operate.reconcile.report import Report
from rpm_stream.app.operate.reconcile.store import SCHEMA, Store
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.holdings import Correction, Holdings
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.records import Action, Assignment, Readings

Record = dict[str, Any]


def heart(minutes: float, rate: str) -> Record:
    """A strap's notification: a continuous vital, which is summed."""
    return {
        "at": measurement(minutes, "weight", "1")["at"],
        "characteristic": "2A37",
        "payload": f"00{int(rate):02x}",
    }


def frames() -> list[Record | bytes]:
    """A bit of everything: summed and single readings, a panel, evidence, duplicates, rejects,
    context, rubbish.
    """
    found: list[Record | bytes] = [
        frame(
            [heart(minute + second / 60, "70") for second in range(0, 60, 10)], minute + 1, minute
        )
        for minute in range(40)
    ]
    pressure = [measurement(41, "systolic", "120"), measurement(41, "diastolic", "80")]
    found += [
        frame(
            [*pressure, measurement(41, "weight", "80"), measurement(41, "weight", "8000")], 41, 40
        ),
        frame([*pressure, measurement(41.5, "weight", "80.5", "stone")], 42, 41),
        frame(
            [
                measurement(42, "oxygen_saturation", "80"),
                measurement(42, "body_temperature", "36.9"),
            ],
            43,
            42,
        ),
        frame([heart(43, "190"), heart(43.5, "195")], 44, 43),
        frame(
            [{**heart(44, "70"), "characteristic": "2A34", "payload": "000100"}, heart(44, "71")],
            45,
            44,
        ),
        frame([heart(5, "71")], 46, 45),  # late, into a window that was sent
        b'{"v":1,"device":"d',
        frame([measurement(80, "weight", "79")], 81, 46, device="stranger"),
        frame([heart(100, "70")], 101, 46),
    ]
    return found


@pytest.fixture
def topics() -> Topics:
    return topics_of(frames(), [worn()])


def test_the_books_of_a_sound_service_balance(tmp_path: Path, topics: Topics) -> None:
    """Law 1: in = reading + duplicate + reject; each reading in an Observation, a summary, or
    not published.
    """
    lines, total = balanced(tmp_path, topics)
    assert missing(lines) == []
    assert total.balanced
    assert total.parts == total.readings + total.duplicates + total.rejects
    assert total.frames == len(topics[names.FRAMES])
    for line in hours(lines):
        assert line.readings == line.single + line.summary + line.not_published + line.taken_back
    assert sum(line.besides for line in hours(lines)) >= 1  # evidence
    assert sum(line.duplicates for line in hours(lines)) == 2
    assert {reason for line in hours(lines) for reason in line.rejects} == {
        "implausible",
        "unknown_unit",
        "bad_json",
        "unknown_device",
    }
    assert total.open_windows == 0


def test_a_repeated_record_changes_nothing(tmp_path: Path, topics: Topics) -> None:
    """Law 2: after a crash everything behind the last commit comes again."""
    _, before = balanced(tmp_path, topics)
    for records in (topics[topic] for topic in topics if topic != names.FRAMES):
        records += [
            record_at(record, len(records) + number) for number, record in enumerate(list(records))
        ]
    lines, after = balanced(tmp_path, topics)
    assert (missing(lines), after) == ([], before)


def record_at(record: Any, place: int) -> Any:
    fields = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return type(record)(**{**fields, "offset": place})


def of(topics: Topics, topic: str, sought: bytes) -> int:
    """Index of the first record of ``topic`` that holds ``sought``."""
    return next(index for index, record in enumerate(topics[topic]) if sought in record.value)


def without(topics: Topics, topic: str, sought: bytes) -> Any:
    return topics[topic].pop(of(topics, topic, sought))


def test_a_frame_without_an_account(tmp_path: Path, topics: Topics) -> None:
    without(topics, names.ACCOUNTS, b'"offset":7,')
    lines, total = balanced(tmp_path, topics)
    [found] = missing(lines)
    assert (found.kind, found.device, found.frame, found.topic, found.offset) == (
        "no_account",
        "d",
        "f7",
        names.FRAMES,
        7,
    )
    assert not total.balanced


def test_an_account_without_its_readings_message(tmp_path: Path, topics: Topics) -> None:
    without(topics, names.READINGS, b'"offset":42,')
    [found] = [
        each for each in missing(balanced(tmp_path, topics)[0]) if each.topic == names.FRAMES
    ]
    assert (found.kind, found.parts, found.frame, found.offset) == (
        "readings_missing",
        2,
        "f42",
        42,
    )


def test_an_account_that_does_not_add_up(tmp_path: Path, topics: Topics) -> None:
    index = of(topics, names.ACCOUNTS, b'"offset":40,')
    topics[names.ACCOUNTS][index] = changed(
        topics[names.ACCOUNTS][index], lambda body: body.update(parts=9)
    )
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts, found.frame) == ("account_unbalanced", 5, "f40")


def test_a_reading_without_its_observation(tmp_path: Path, topics: Topics) -> None:
    without(topics, names.OBSERVATIONS, b'"value":36.9,')
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts, found.device, found.frame) == ("no_observation", 1, "d", "f42")
    assert (found.topic, found.entry, found.part) == (names.READINGS, 1, 0)
    assert b'"f42"' in topics[names.READINGS][found.offset].value


def test_a_blood_pressure_without_its_panel_misses_both_sides(
    tmp_path: Path, topics: Topics
) -> None:
    without(topics, names.OBSERVATIONS, b"85354-9")
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts) == ("no_observation", 2)


def summaries(topics: Topics) -> list[int]:
    return [
        index
        for index, one in enumerate(topics[names.OBSERVATIONS])
        if b"valueInteger" in one.value
    ]


def set_n(topics: Topics, change: int) -> None:
    """Let the last record of the second summary count more or fewer."""
    index = summaries(topics)[1]

    def count(body: Record) -> None:
        body["component"][0]["valueInteger"] += change

    topics[names.OBSERVATIONS][index] = changed(topics[names.OBSERVATIONS][index], count)


def test_a_summary_that_counts_too_few(tmp_path: Path, topics: Topics) -> None:
    set_n(topics, -4)
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts, found.vital, found.topic) == (
        "summary_too_small",
        4,
        "heart_rate",
        names.OBSERVATIONS,
    )
    assert found.window is not None and found.patient_ref not in (None, "p") and found.device == "d"


def test_a_summary_that_counts_too_many(tmp_path: Path, topics: Topics) -> None:
    set_n(topics, +4)
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts) == ("summary_too_large", 4)


def test_a_late_reading_whose_summary_was_not_told_again(tmp_path: Path, topics: Topics) -> None:
    """The last record of a summary counts: without it the late reading is nowhere."""
    records, index = topics[names.OBSERVATIONS], summaries(topics)
    again = [i for i in index if records[i].value.count(b'"valueInteger":91') == 1]
    assert len(again) == 1
    del records[again[0]]
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts) == ("summary_too_small", 1)


def test_a_summary_that_is_due_and_not_there(tmp_path: Path, topics: Topics) -> None:
    first = summaries(topics)[0]
    name = topics[names.OBSERVATIONS][first].value.split(b'"id":"')[1][:36]
    topics[names.OBSERVATIONS] = [
        one for one in topics[names.OBSERVATIONS] if b'"id":"' + name not in one.value
    ]
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts, found.topic) == ("summary_missing", 91, names.FRAMES)


def test_a_reject_is_missing(tmp_path: Path, topics: Topics) -> None:
    without(topics, names.REJECTS, b"unknown_unit")
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.parts, found.frame, found.offset) == ("rejects_missing", 1, "f41", 41)
    assert "unknown_unit" in found.why


@pytest.mark.parametrize(
    ("topic", "change"),
    [
        (names.ACCOUNTS, {"entries": 99}),
        (names.READINGS, {"frame": "another"}),
        (names.REJECTS, {"detail": "another"}),
        (names.OBSERVATIONS, {"issued": "2026-03-01T00:00:00Z"}),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_one_id_with_two_contents(
    tmp_path: Path, topics: Topics, topic: str, change: Record, at_once: bool
) -> None:
    """CONTRACT 4 a: one id never has two contents, in one batch as in two."""
    place = next(i for i, one in enumerate(topics[topic]) if b"valueInteger" not in one.value)
    other = record_at(
        changed(topics[topic][place], lambda body: body.update(change)), len(topics[topic])
    )
    store = Store(tmp_path / "books")
    if not at_once:
        take(store, topics)
    topics[topic].append(other)
    take(store, topics)
    [found] = missing(Report(store, Clock(), LATER).lines())
    assert (found.kind, found.topic, found.offset) == ("two_contents", topic, other.offset)
    store.close()


def test_a_reading_that_was_taken_from_two_frames(tmp_path: Path, topics: Topics) -> None:
    index = of(topics, names.READINGS, b'"f42"')
    other = changed(topics[names.READINGS][index], lambda body: body.update(offset=43, chunk=1))
    topics[names.READINGS].append(record_at(other, len(topics[names.READINGS])))
    assert {found.kind for found in missing(balanced(tmp_path, topics)[0])} == {
        "two_contents",
        "readings_too_many",
    }


@pytest.mark.parametrize(
    "topic", [names.ACCOUNTS, names.READINGS, names.REJECTS, names.OBSERVATIONS]
)
def test_what_cannot_be_read_is_named(tmp_path: Path, topics: Topics, topic: str) -> None:
    last = topics[topic][-1]
    topics[topic].append(record_at(changed(last, dict.clear), len(topics[topic])))
    [found] = missing(balanced(tmp_path, topics)[0])
    assert (found.kind, found.topic, found.offset) == ("unreadable", topic, last.offset + 1)


def moved(topics: Topics) -> list[Action]:
    """The first frames' readings, and a single one, were another person's."""
    messages = [
        msgspec.json.decode(record.value, type=Readings) for record in topics[names.READINGS]
    ]
    readings = [
        each
        for message in messages
        for each in message.readings
        if message.frame in ("f0", "f1", "f40")
    ]
    kinds: tuple[Literal["adopt", "void"], ...] = ("adopt", "void")
    return [
        correction(kind, readings, LATER, patient=patient, reason="wrong wearer")
        for kind, patient in zip(kinds, ("q", "p"), strict=True)
    ]


def test_a_correction_is_no_loss(tmp_path: Path) -> None:
    """Readings that were taken back or given to another: in fewer summaries, entered in error,
    and accounted for.
    """
    topics = topics_of(frames(), [worn()], actions=moved)
    assert any(b"entered-in-error" in record.value for record in topics[names.OBSERVATIONS])
    lines, total = balanced(tmp_path, topics)
    assert missing(lines) == []
    assert total.balanced
    without(topics, names.READINGS, b'"void"')
    assert "summary_too_small" in {each.kind for each in missing(balanced(tmp_path, topics)[0])}


def late_correction(topics: Topics) -> list[Action]:
    """Half of a window that the judge has long closed was another person's: as the correcting
    tool says it.
    """
    messages = [
        msgspec.json.decode(record.value, type=Readings) for record in topics[names.READINGS]
    ]
    holdings = Holdings(
        "d", Assignment(patient="q", from_=START, until=START + timedelta(minutes=10))
    )
    for message in messages:
        holdings.add(message.readings)
    order = Correction(patient="q", who="nurse", at=LATER, reason="wrong wearer")
    remaining = Remaining(holdings.wrong("q"), holdings.voided, shipped())
    for message in messages:
        remaining.add(message.readings)
    return holdings.corrections(order, (), remaining)


def test_a_late_correction_loses_nothing_that_was_right(tmp_path: Path) -> None:
    """And where it did, as long as nobody said what else was in the window, the books name it."""
    worn_by_two = [frame([heart(minute, "70")], minute, minute) for minute in range(15)]
    later = [
        frame([heart(60 + 15 * quarter, "70")], 60 + 15 * quarter, 15 + quarter)
        for quarter in range(10)
    ]
    topics = topics_of([*worn_by_two, *later], [worn()], actions=late_correction)
    lines, total = balanced(tmp_path, topics)
    assert (missing(lines), total.balanced) == ([], True)
    assert sum(line.taken_back for line in hours(lines)) == 10

    def forgetful(before: Topics) -> list[Action]:
        return [msgspec.structs.replace(action, windows=()) for action in late_correction(before)]

    lines, _ = balanced(tmp_path, topics_of([*worn_by_two, *later], [worn()], actions=forgetful))
    assert [(each.kind, each.parts) for each in missing(lines)] == [("summary_too_small", 5)]


# --- in flight ------------------------------------------------------------------------------------


def half_way(topics: Topics) -> Topics:
    """The topics when the agents have come to the twentieth frame."""
    return {
        **topics_of(frames()[:20], [worn()], ticked=False),
        names.FRAMES: topics[names.FRAMES][:30],
    }


def test_what_the_agents_have_not_committed_is_in_flight(tmp_path: Path, topics: Topics) -> None:
    """Nothing that is still on its way is called missing; what has an account all the same is no
    more in flight.
    """
    lines, total = balanced(
        tmp_path, half_way(topics), {names.FRAMES: 18, names.READINGS: 15}, START
    )
    assert missing(lines) == []
    assert (total.balanced, total.in_flight.frames) == (True, 10)
    found = missing(
        balanced(tmp_path, half_way(topics), {names.FRAMES: 21, names.READINGS: 15}, START)[0]
    )
    assert [(each.kind, each.offset) for each in found] == [("no_account", 20)]


def test_a_reading_before_the_judge_is_in_flight(tmp_path: Path, topics: Topics) -> None:
    place = topics[names.READINGS][of(topics, names.READINGS, b'"f42"')].offset
    without(topics, names.OBSERVATIONS, b'"value":36.9,')
    lines, total = balanced(tmp_path, topics, {names.READINGS: place})
    assert (missing(lines), total.in_flight.readings) == ([], 1)


def test_an_open_window_is_open(tmp_path: Path) -> None:
    """A summary is owed five minutes after the window's end, and time for a tick."""
    topics = topics_of([frame([heart(1, "70")], 2)], [worn()], ticked=False)
    lines, total = balanced(tmp_path, topics, at=START)
    assert (missing(lines), total.open_windows, total.balanced) == ([], 1, True)
    [found] = missing(balanced(tmp_path, topics, at=LATER)[0])
    assert (found.kind, found.parts) == ("summary_missing", 1)


def test_a_second_run_reads_on(tmp_path: Path, topics: Topics) -> None:
    """What was in flight in the first run is accounted for in the second, and nothing is counted
    twice.
    """
    store = Store(tmp_path / "books")
    take(store, half_way(topics), {names.FRAMES: 18, names.READINGS: 15})
    assert missing(Report(store, Clock(), START).lines()) == []
    store.close()
    store = Store(tmp_path / "books")
    take(store, topics)
    lines = list((report := Report(store, Clock(), LATER)).lines())
    assert missing(lines) == []
    assert report.total == balanced(tmp_path, topics)[1]
    store.close()


# --- what never came ------------------------------------------------------------------------------


def gaps_of(folder: Path, numbers: list[int | bytes]) -> list[tuple[int, int, int]]:
    sent = [
        number
        if isinstance(number, bytes)
        else frame([measurement(place, "weight", "80")], place, number)
        for place, number in enumerate(numbers)
    ]
    lines, total = balanced(folder, topics_of(sent, [worn()]))
    found = [line for line in lines if isinstance(line, Gap)]
    assert total.balanced == (not found)
    assert total.lost == sum(line.lost for line in hours(lines)) == sum(gap.frames for gap in found)
    return [(gap.first, gap.last, gap.unreadable) for gap in found]


def test_many_gaps_cost_as_many_times_as_much(tmp_path: Path) -> None:
    """A gateway that drops every second frame for weeks must not make the periodic run endless."""

    def steps(frames: int) -> int:
        store, found = Store(tmp_path / f"books-{frames}"), 0

        def step() -> int:
            nonlocal found
            found += 1
            return 0

        rows = [
            (0, number, number // 60, "d", "f", "g", "b", number * 2, "d")
            for number in range(frames)
        ]
        store.db.executemany("INSERT INTO frame VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        store.db.set_progress_handler(step, 100)  # every hundred steps of SQLite's machine
        lines = list(Report(store, Clock(), LATER).lines())
        assert sum(isinstance(line, Gap) for line in lines) == frames - 1
        store.close()
        return found

    assert steps(4000) < 6 * steps(1000)


def test_gaps_are_named_by_first_and_last(tmp_path: Path) -> None:
    assert gaps_of(tmp_path, [3, 4, 7, 8, 10]) == [(5, 6, 0), (9, 9, 0)]


def test_a_gap_that_is_filled_later_is_none(tmp_path: Path) -> None:
    """Gateways spool: what comes late has come."""
    assert gaps_of(tmp_path, [0, 1, 5, 6, 2, 3, 4, 4]) == []


def test_an_old_frame_that_was_redriven_opens_no_gap(tmp_path: Path) -> None:
    """The periodic run over a day had called all between lost, after each redrive of an older
    frame.
    """
    topics = topics_of(
        [frame([measurement(seq, "weight", "80")], seq, seq) for seq in (7, 50, 51)], [worn()]
    )
    first, *others = topics[names.FRAMES]
    redriven = dataclasses.replace(first, headers=((names.REDRIVEN, b""),))
    lines, _ = balanced(tmp_path, topics)
    assert [(line.first, line.last) for line in lines if isinstance(line, Gap)] == [(8, 49)]
    lines, total = balanced(tmp_path, {**topics, names.FRAMES: [redriven, *others]})
    assert [line for line in lines if isinstance(line, Gap)] == []
    assert total.balanced


def test_a_frame_that_was_moved_has_its_account_where_it_is_now(
    tmp_path: Path, topics: Topics
) -> None:
    """Its first place is no loss; a place that no copy names is one."""
    whole = topics[names.FRAMES]
    copy, end = whole[0], len(whole)
    original = dataclasses.replace(copy, offset=end)
    header = ((names.MOVED, b"0:%d" % end),)
    lost = {**topics, names.FRAMES: [*whole, original]}
    assert [each.kind for each in missing(balanced(tmp_path, lost)[0])] == ["no_account"]
    moved = {
        **topics,
        names.FRAMES: [dataclasses.replace(copy, headers=header), *whole[1:], original],
    }
    lines, total = balanced(tmp_path, moved)
    assert (missing(lines), total.balanced) == ([], True)


def test_a_frame_that_was_refused_without_a_number_is_the_one_that_is_missing(
    tmp_path: Path,
) -> None:
    """By its place between the neighbours of the hole; each such frame fills one place of one
    hole.
    """
    assert gaps_of(tmp_path, [0, b"{", 2]) == []
    assert gaps_of(tmp_path, [0, b"{", b"\xff", 3]) == []
    assert gaps_of(tmp_path, [0, b"{", 3]) == [(1, 2, 1)]
    assert gaps_of(tmp_path, [b"{", 0, 2, b"{"]) == [(1, 1, 0)]
    assert gaps_of(tmp_path, [0, b"{", 2, 4]) == [(3, 3, 0)]


def test_a_redriven_frame_without_a_number_fills_no_hole(tmp_path: Path) -> None:
    ends = [frame([measurement(seq, "weight", "80")], seq, seq) for seq in (0, 2)]
    topics = topics_of([ends[0], b"{", ends[1]], [worn()])
    first, broken, last = topics[names.FRAMES]
    again = dataclasses.replace(broken, headers=((names.REDRIVEN, b""),))
    assert [line for line in balanced(tmp_path, topics)[0] if isinstance(line, Gap)] == []
    lines, _ = balanced(tmp_path, {**topics, names.FRAMES: [first, again, last]})
    assert [(line.first, line.frames) for line in lines if isinstance(line, Gap)] == [(1, 1)]


BROKEN = frame([measurement(0, "weight", "80")], 0, 1)


@pytest.mark.parametrize("cut", range(0, 220, 9))
def test_a_frame_that_was_cut_anywhere_is_no_gap(tmp_path: Path, cut: int) -> None:
    """A broken uplink: whether its number is still legible or not."""
    whole = msgspec.json.encode(BROKEN)
    assert gaps_of(tmp_path, [0, whole[:cut], 2]) == []
    assert gaps_of(tmp_path, [0, whole[: cut // 2] + b"\xff" + whole[cut // 2 :], 2]) == []


@pytest.mark.parametrize(
    "change",
    [
        {"gateway": 5},
        {"gateway": ""},
        {"boot": None},
        {"seq": -1},
        {"seq": "1"},
        {"sent_at": "?"},
        {"measurements": []},
    ],
    ids=str,
)
def test_a_frame_of_the_wrong_form_is_no_gap(tmp_path: Path, change: Record) -> None:
    assert gaps_of(tmp_path, [0, msgspec.json.encode({**BROKEN, **change}), 2]) == []


def test_a_frame_under_a_wrong_key_is_no_gap(tmp_path: Path) -> None:
    """``identity_conflict``: refused under the key, counted by the sender that it names."""
    topics = topics_of(
        [frame([measurement(seq, "weight", "80")], seq, seq) for seq in range(3)], [worn()]
    )
    frames = topics[names.FRAMES]
    frames[1] = dataclasses.replace(frames[1], key=b"another")
    assert [line for line in balanced(tmp_path, topics)[0] if isinstance(line, Gap)] == []


def test_a_reject_counts_by_its_parts(tmp_path: Path) -> None:
    cuff = {"at": stamp(0), "characteristic": "2A35", "payload": "04780050005a004800"}
    topics = topics_of([frame([cuff], 0, 0)], [{"v": 1, "device": "d"}])
    lines, total = balanced(tmp_path, topics)
    assert (missing(lines), total.rejects, len(topics[names.REJECTS])) == ([], 4, 1)
    topics[names.REJECTS][0] = changed(
        topics[names.REJECTS][0], lambda body: body.update(parts=[0, 1])
    )
    assert [(each.kind, each.parts) for each in missing(balanced(tmp_path, topics)[0])] == [
        ("rejects_missing", 2)
    ]


def test_a_refused_frame_came_all_the_same(tmp_path: Path) -> None:
    """Refused whole, but its number can be read."""
    assert gaps_of(tmp_path, [0, b'{"v":7,"gateway":"g","device":"d","boot":"b","seq":1}', 2]) == []


# --- the file -------------------------------------------------------------------------------------


def test_books_of_the_release_before_go_on(tmp_path: Path) -> None:
    """A run that was interrupted, or goes on for ever, outlives an update."""
    path = tmp_path / "books.sqlite"
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            SCHEMA.replace(", parts INT DEFAULT 1", "")
            .replace("seq INT,\n    said TEXT,", "seq INT,")
            .replace("(gateway, said, boot, seq)", "(gateway, device, boot, seq)")
        )
        old.execute("INSERT INTO frame VALUES (0, 0, 0, 'd', 'f', 'g', 'b', 1)")
        old.execute("INSERT INTO frame VALUES (0, 1, 0, 'd', 'f', NULL, 'b', 2)")  # redriven
        old.execute("INSERT INTO frame VALUES (0, 2, 0, 'd', 'f', 'g', 'b', 3)")
        old.execute("INSERT INTO reject VALUES (0, 0, x'00', 'unassigned', x'00')")
        old.execute("PRAGMA user_version=2")
        old.commit()
    for _ in range(2):
        store = Store(path)
        lines = list(Report(store, Clock(), LATER).lines())
        assert [(line.first, line.last) for line in lines if isinstance(line, Gap)] == [(2, 2)]
        assert store.db.execute("SELECT parts FROM reject").fetchall() == [(1,)]
        store.close()


def test_no_patient_stands_in_the_file(tmp_path: Path) -> None:
    """The books may lie about on an operator's disk: they hold references, places and counts."""
    topics = topics_of(frames(), [worn("Zaphod-Beeblebrox")])
    balanced(tmp_path, topics)
    assert all(b"Zaphod" not in file.read_bytes() for file in tmp_path.iterdir())


def test_a_periodic_run_forgets_what_is_old(tmp_path: Path, topics: Topics) -> None:
    """Pruned books still balance, also when more comes for what was pruned."""
    store = Store(tmp_path / "books")
    take(store, topics)
    list(Report(store, Clock(), LATER).lines())
    hour = topics[names.FRAMES][-1].timestamp // 3_600_000
    store.prune(hour)
    for records in (topics[topic] for topic in topics if topic != names.FRAMES):
        records += [
            record_at(record, len(records) + number) for number, record in enumerate(list(records))
        ]
    take(store, topics)
    lines = list(Report(store, Clock(), LATER).lines())
    assert missing(lines) == []
    assert [line.frames for line in hours(lines)] == [1, 1]
    store.close()
