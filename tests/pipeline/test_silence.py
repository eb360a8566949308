"""Silence of devices that were replaced or never spoke, and when an alert's values are of
yesterday.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.frames import START, frame, measurement, registry_of, stamp, worn
from support.readings import message_of
from support.replaying import decoded as lines_of
from support.replaying import new_replay, of_type, replay_frames
from support.ward import Ward, after

from rpm_stream.ids import deterministic_id
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import first_not_worn, parse_entry
from rpm_stream.records import Assignment
from rpm_stream.score.memory.size import forget_vital
from rpm_stream.score.memory.state import MOST_DISTANCES

SILENT = {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60}}


def given_out(
    device: str, start: float | None, until: float | None = None, **fields: Any
) -> dict[str, Any]:
    """A device of patient p from one minute to another."""
    span = {"patient": "p", **({} if start is None else {"from": stamp(start)})}
    return {
        "v": 1,
        "device": device,
        "assignments": [{**span, **({} if until is None else {"until": stamp(until)})}],
        **fields,
    }


def told(
    entries: list[dict[str, Any]], until: float, heard: list[tuple[float, str]] = ()
) -> list[dict[str, Any]]:  # type: ignore[assignment]
    """The alerts of a replay: heart rates by (minute, device), then silence until a minute."""
    frames = [
        frame([measurement(minute, "heart_rate", "72")], minute, seq, device=device)
        for seq, (minute, device) in enumerate(heard)
    ]
    return of_type(replay_frames(frames, entries, until), "alert")


def test_a_device_that_replaced_another_and_never_speaks_is_missed_from_when_it_was_given_out() -> (
    None
):
    entries = [SILENT, given_out("a", None, 30), given_out("b", 30)]
    (alert,) = told(entries, 5000, [(5, "a"), (10, "a")])
    assert (alert["group"], alert["priority"], alert["opened_at"]) == (
        "device:silence",
        "medium",
        stamp(90),
    )
    assert alert["id"] == deterministic_id("alert", "p", "device:silence", "b", stamp(30))
    assert alert["evidence"] == []
    (why,) = alert["why"]
    assert (
        why
        == "no reading of heart rate for 60 minutes since the device was given out, one is expected"
        " every 60 minutes: device off, empty or not worn?"
    )
    assert told(entries, 89, [(5, "a"), (10, "a")]) == []


def test_the_old_device_is_missed_while_it_is_assigned() -> None:
    entries = [SILENT, given_out("a", None, 71), given_out("b", 60)]
    (alert,) = told(entries, 5000, [(10, "a")])
    assert (alert["opened_at"], len(alert["evidence"])) == (stamp(70), 1)


def test_a_device_that_was_there_before_the_last_reading_is_missed_from_that_reading() -> None:
    (alert,) = told([SILENT, given_out("a", None, 30), given_out("b", 0)], 5000, [(10, "a")])
    assert (alert["opened_at"], len(alert["evidence"])) == (stamp(70), 1)


@pytest.mark.parametrize("start", [-30, 0])
def test_a_device_that_never_spoke_is_missed(start: float) -> None:
    (alert,) = told([SILENT, given_out("a", start)], 500)
    assert (alert["opened_at"], alert["evidence"]) == (stamp(start + 60), [])
    assert alert["title"] == "No heart rate reading"


def test_without_a_beginning_it_is_missed_from_the_first_record_of_the_patient() -> None:
    entries = [SILENT, given_out("a", None), given_out("ox", None)]
    assert told(entries, 500) == []
    sent = [frame([measurement(20, "oxygen_saturation", "97")], 20, device="ox")]
    (alert,) = of_type(replay_frames(sent, entries, 500), "alert")
    assert (alert["opened_at"], alert["id"]) == (
        stamp(80),
        deterministic_id("alert", "p", "device:silence", "a", stamp(20)),
    )


def test_a_model_that_cannot_measure_the_vital_is_not_missed_for_it() -> None:
    expected = {"v": 1, "patient": "p", "expected_every": {"mean_arterial": 60}}
    assert told([expected, given_out("cuff", 0, model="Omron")], 500) == []
    assert len(told([expected, given_out("cuff", 0, model="another")], 500)) == 1


def test_nobody_is_missed_without_a_device_or_after_it_was_handed_in() -> None:
    assert told([SILENT], 500) == []
    assert told([SILENT, given_out("a", 0, 60)], 500) == []
    assert [alert["opened_at"] for alert in told([SILENT, given_out("a", 0, 61)], 500)][:1] == [
        stamp(60)
    ]


def test_a_silence_without_a_reading_ends_with_the_first_one_or_with_the_device() -> None:
    entries = [SILENT, given_out("d", 0)]
    opened, ended = told(entries, 70, [(70, "d")])
    assert (opened["id"], ended["state"]) == (ended["id"], "resolved")
    handed_in = told([SILENT, given_out("d", 0, 90)], 100)
    assert [alert["state"] for alert in handed_in] == ["open", "resolved"]


def test_stored_values_from_before_a_device_was_given_out_end_no_silence() -> None:
    ward = Ward(SILENT)
    ward.registry.put(
        next(
            iter(
                registry_of(
                    [worn(assignments=[{"patient": "p", "from": stamp(30)}])]
                ).devices.values()
            )
        )
    )
    ward.judge.tick(ward.patient, after(95))
    member = ward.patient.state.episodes["device:silence"].members["silence:heart_rate"]
    assert member.measured_at == after(30)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(61, 900), max_size=8, unique=True))
def test_whenever_it_is_noticed_the_same_silences_are_told(moments: list[int]) -> None:
    """Law 2: ticks that come late or not at all change neither id nor opened_at."""
    entries = [SILENT, given_out("a", 0, 200), given_out("b", 300, 500), given_out("c", 520)]
    ward = Ward(*entries)
    ward.registry.remove("device/d")
    found = [alert for at in [*sorted(moments), 1000] for alert in ward.tick(at)]
    told_once = {(alert.id, alert.opened_at) for alert in found}
    assert {opened for _, opened in told_once} >= {after(60)}
    often = Ward(*entries)
    often.registry.remove("device/d")
    seen = {(alert.id, alert.opened_at) for at in range(61, 1001, 7) for alert in often.tick(at)}
    assert told_once <= seen


def lives(entries: list[dict[str, Any]], ticks: Iterable[int]) -> dict[str, Any]:
    """What became of each alert by id, with these ticks and a last one: its steps and their
    times.
    """
    ward = Ward(*entries)
    ward.registry.remove("device/d")
    found = [alert for at in sorted({*ticks, 1000}) for alert in ward.tick(at)]
    return {
        alert.id: [(each.event, each.at, each.reason) for each in alert.history] for alert in found
    }


TWO = {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60, "oxygen_saturation": 40}}
OF_TWO = [
    given_out("a", 0, 200),
    given_out("b", 300, 500),
    given_out("c", 520, 700, model="A&D UC-352BLE"),
    given_out("e", 690, 730),
    given_out("f", 800),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 1000), max_size=12), st.booleans())
def test_whoever_ticks_whenever_each_alert_has_the_same_life(
    ticks: list[int], is_one: bool
) -> None:
    """Law 2: what ended with an assignment ended then, whoever noticed and whatever was given
    out since.
    """
    entries = [SILENT if is_one else TWO, *OF_TWO]
    often = lives(entries, range(1, 1000))
    assert lives(entries, ticks) == often
    assert len(often) == 4
    steps = [step for life in often.values() for step in life]
    assert [at for event, at, _ in steps if event == "ended"] == [
        after(at) for at in (200, 500, 730)
    ]


def test_a_silence_ends_when_the_device_was_unassigned_though_another_was_given_out_since() -> None:
    entries = [SILENT, given_out("a", 0, 100), given_out("b", 190)]
    (life,) = [each for each in lives(entries, [195, 200]).values() if each[0][1] == after(60)]
    assert [(event, at) for event, at, _ in life] == [("opened", after(60)), ("ended", after(100))]


def test_what_is_told_of_a_device_ends_when_it_was_unassigned() -> None:
    def ended_at(*ticks: float) -> Any:
        ward = Ward()
        ward.registry.put(parse_entry(msgspec.json.encode(given_out("d", -100, 50))))
        opened = [alert for at in (0, 10, 20) for alert in ward.send(at, (at, "battery", "2"))]
        assert [alert.group for alert in opened] == ["device:battery"]
        ended = [alert for at in ticks for alert in ward.tick(at)]
        return [(alert.history[-1].event, alert.history[-1].at) for alert in ended]

    assert ended_at(50, 51, 300) == ended_at(300) == [("ended", after(50))]


@pytest.mark.parametrize("is_ticked", [True, False])
def test_it_ends_before_what_comes_next_is_looked_at_also_in_a_backlog_without_ticks(
    is_ticked: bool,
) -> None:
    ward = Ward(given_out("b", -100))
    ward.registry.put(parse_entry(msgspec.json.encode(given_out("d", -100, 50))))
    (first,) = ward.send(0, (0, "battery", "2"))
    (other,) = ward.message(65, (49, "battery", "3")).readings
    read = msgspec.structs.replace(other, device="b", measured_at=after(65))
    later = message_of(read, offset=99, received_at=after(65))
    ticked = ward.tick(65) if is_ticked else ()
    judged = ward.judge.step(ward.patient, later)
    assert judged is not None
    ended, opened = (*ticked, *judged.alerts)
    assert (ended.id, ended.history[-1].event, ended.history[-1].at) == (
        first.id,
        "ended",
        after(50),
    )
    assert (opened.id != first.id, opened.opened_at) == (True, after(65))


def test_a_decision_on_what_was_over_before_it_comes_too_late() -> None:
    ward = Ward()
    ward.registry.put(parse_entry(msgspec.json.encode(given_out("d", -100, 50))))
    (first,) = ward.send(0, (0, "battery", "2"))
    (ended,) = ward.act("acknowledge", first.id, 60)
    assert (ended.state, ended.history[-1].event, ended.history[-1].at) == (
        "resolved",
        "ended",
        after(50),
    )


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("2026-01-01T04:00:00+02:00", "2026-01-01T02:00:00Z"),
        ("9999-12-31T23:59:59-02:00", "9999-12-31T23:59:59.999999Z"),
        ("0001-01-01T01:00:00+02:00", "0001-01-01T00:00:00Z"),
    ],
)
def test_an_end_in_a_zone_of_the_registry_is_told_in_utc(until: str, end: str) -> None:
    """Also where the year is none that UTC has."""
    span = msgspec.convert({"patient": "p", "until": until}, Assignment)
    since = datetime.min.replace(tzinfo=timezone(timedelta(hours=2)))
    assert msgspec.json.encode(first_not_worn([span], since)).decode() == f'"{end}"'


def test_of_a_setting_that_was_removed_nobody_knows_when() -> None:
    ward = Ward(SILENT, given_out("a", 0))
    ward.tick(70)
    ward.registry.put(parse_entry(msgspec.json.encode({"v": 1, "patient": "p"})))
    (ended,) = ward.tick(90)
    assert (ended.history[-1].event, ended.history[-1].at) == ("ended", after(90))


def test_what_a_person_has_ended_is_not_told_again_and_the_next_device_is_missed_anew() -> None:
    ward = Ward(SILENT, given_out("a", 0, 200), given_out("b", 300))
    ward.registry.remove("device/d")
    (first,) = ward.tick(70)
    ward.act("resolve", first.id, 71)
    assert ward.tick(190) == ()
    assert ward.tick(359) == ()
    (second,) = ward.tick(361)
    assert (second.opened_at, second.id != first.id) == (after(360), True)


def test_a_vital_that_was_forgotten_is_missed_from_when_it_was_heard() -> None:
    """A full state forgets a vital: nobody says then that it never came."""
    ward = Ward(SILENT)
    ward.now("heart_rate", "70", 100)
    forget_vital(ward.patient.state.score, "heart_rate")
    assert ward.tick(159) == ()
    (alert,) = ward.tick(161)
    assert alert.opened_at == after(160)
    assert "given out" not in alert.why[0]


def test_who_was_never_heard_costs_nothing_until_the_silence_is_told() -> None:
    run = new_replay(
        [SILENT, given_out("a", 0), {"v": 1, "patient": "q", "expected_every": {"weight": 60}}]
    )
    assert lines_of(run.finish(START + timedelta(minutes=59))) == []
    run = new_replay([SILENT, given_out("a", 0)])
    assert [kind for kind, _ in lines_of(run.finish(START + timedelta(minutes=60)))] == ["alert"]


@pytest.mark.parametrize("vital", sorted(shipped().vitals))
def test_no_title_reads_as_a_sign_of_life_or_of_death(vital: str) -> None:
    """ "No breathing for 120 minutes" was sent for an empty battery."""
    expected = {"v": 1, "patient": "p", "expected_every": {vital: 120}}
    (alert,) = told([expected, given_out("a", 0)], 200)
    assert alert["title"].endswith(" reading")
    assert alert["why"][0].startswith("no reading of ")
    assert not any(
        alert["title"] == f"No {word} reading" for word in ("breathing", "pulse", "consciousness")
    )


# --- stale ----------------------------------------------------------------------------------------


def stale_at(ward: Ward, *hours: float) -> list[float]:
    return [hour for hour in hours if any(alert.stale for alert in ward.tick(hour * 60))]


def test_a_daily_weight_is_of_today_for_two_days() -> None:
    limit = {"vital": "weight", "high": 85, "unit": "kg", "owner": "dr-a"}
    ward = Ward({"v": 1, "patient": "p", "limits": [limit]})
    for day in range(5):
        assert (
            stale_at(ward, *(24 * day + hour / 2 for hour in range(1, 48) if day and hour % 2))
            == []
        )
        ward.now("weight", "90", day * 1440)
    assert stale_at(ward, 96 + 47.9, 96 + 48) == [96 + 48]


@given(st.lists(st.integers(1, 15), min_size=2, max_size=5), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_several_weights_of_one_sitting_are_one(apart: list[int], days: int) -> None:
    """Who steps on the scale again and again in a morning is not missed before a daily weight
    would be.
    """
    limit = {"vital": "weight", "high": 85, "unit": "kg", "owner": "dr-a"}
    ward, last = Ward({"v": 1, "patient": "p", "limits": [limit]}), 0
    for day in range(days):
        last = day * 1440
        if day:
            assert stale_at(ward, last / 60 - 0.1) == []
        for minutes in (0, *apart):
            last += minutes
            ward.now("weight", "90", last)
    assert stale_at(ward, last / 60 + 47.9, last / 60 + 48) == [last / 60 + 48]


@pytest.mark.parametrize(
    ("distance", "stale_after"), [(1, 60), (15, 60), (30, 90), (240, 720), (1200, 2880)]
)
def test_three_times_the_usual_distance_between_an_hour_and_two_days(
    distance: int, stale_after: int
) -> None:
    ward = Ward()
    for number in range(3):
        ward.now("heart_rate", "135", number * distance)
    last = 2 * distance
    assert stale_at(ward, (last + stale_after - 1) / 60, (last + stale_after) / 60) == [
        (last + stale_after) / 60
    ]


def test_what_is_expected_comes_before_what_was_usual() -> None:
    ward = Ward({"v": 1, "patient": "p", "expected_every": {"heart_rate": 480}})
    for number in range(4):
        ward.now("heart_rate", "135", number)
    assert stale_at(ward, 23.9, 24.1) == [24.1]


def test_an_alert_is_stale_when_all_its_vitals_are() -> None:
    ward = Ward(
        {"v": 1, "patient": "p", "expected_every": {"heart_rate": 60, "body_temperature": 600}}
    )
    ward.now("heart_rate", "135", 0)
    ward.now("body_temperature", "39.5", 0)
    assert stale_at(ward, 4, 29.9, 30) == [30]


def test_few_distances_are_kept() -> None:
    ward = Ward()
    for number in range(50):
        ward.now("heart_rate", "80", number)
    assert ward.patient.state.score.distances == {"heart_rate": [60] * MOST_DISTANCES}
    ward.send(60, (20.5, "heart_rate", "80"))
    assert len(ward.patient.state.score.distances["heart_rate"]) == MOST_DISTANCES
