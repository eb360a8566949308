"""The deterioration score through the pipeline: who gets one, and what changes none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.frames import START, stamp
from support.readings import message_of, reading_at
from support.replaying import of_type, replay_values

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.records import PatientEntry

Row = tuple[float, str, str]
Score = dict[str, Any]
WELL = {
    "heart_rate": "72",
    "respiratory_rate": "15",
    "oxygen_saturation": "97",
    "systolic": "125",
    "diastolic": "75",
    "body_temperature": "36.8",
}
ILL = {
    "heart_rate": "118",
    "respiratory_rate": "27",
    "oxygen_saturation": "91",
    "systolic": "98",
    "diastolic": "52",
    "body_temperature": "38.9",
}


def hourly(values: Mapping[str, str], hours: range) -> Iterator[tuple[Any, ...]]:
    for hour in hours:
        for vital in sorted(values):
            yield 60 * hour, vital, values[vital]


def scores(values: Any, entries: Any = ()) -> list[Score]:
    output = replay_values(list(values), entries)
    return [each for each in of_type(output, "score") if each["detector"] == "deterioration"]


def test_it_speaks_from_the_first_hour_and_rises_with_the_illness() -> None:
    found = scores([*hourly(WELL, range(20)), *hourly(ILL, range(20, 26))])
    assert [score["measured_at"] for score in found] == [stamp(60 * hour) for hour in range(26)]
    table = shipped().deterioration
    assert found[19]["score"] < table.alarm_from < found[-1]["score"]
    assert found[-1]["version"] == table.version
    assert found[-1]["threshold"] == table.alarm_from
    assert found[-1]["contributions"]["news2"] > 0
    assert found[-1]["missing"] == []
    assert len(found[-1]["readings"]) == 6


@pytest.mark.parametrize(
    "entry",
    [
        {"patient": "p", "pregnant": True},
        {"patient": "p", "born": "2015-05-01"},
        {"patient": "p", "born": "unknown"},
    ],
    ids=["pregnant", "child", "unreadable birth"],
)
def test_where_news2_does_not_apply_there_is_no_score(entry: dict[str, Any]) -> None:
    assert scores(hourly(ILL, range(3)), [entry]) == []


def test_too_few_vitals_give_no_score() -> None:
    few = {name: ILL[name] for name in ("heart_rate", "oxygen_saturation")}
    assert scores(hourly(few, range(30))) == []
    more = few | {"respiratory_rate": "27"}
    found = scores(hourly(more, range(3)))
    assert len(found) == 3
    assert found[0]["missing"] == ["systolic", "diastolic", "body_temperature"]


def test_on_scale_2_it_does_without_the_saturation() -> None:
    (scale_2,) = scores(hourly(ILL, range(1)), [{"patient": "p", "oxygen_scale": 2}])
    assert "oxygen_saturation" in scale_2["missing"]
    assert "oxygen_saturation" not in scale_2["contributions"]


def test_age_and_oxygen_count_where_they_are_known() -> None:
    (plain,) = scores(hourly(ILL, range(1)))
    (old,) = scores(hourly(ILL, range(1)), [{"patient": "p", "born": "1940"}])
    (oxygen,) = scores(hourly(ILL, range(1)), [{"patient": "p", "on_oxygen": True}])
    assert oxygen["score"] > plain["score"] != old["score"]


def test_the_unit_does_not_matter() -> None:
    celsius = scores([*hourly(ILL, range(2))])
    sent = [
        (at, vital, "102.02", "[degF]") if vital == "body_temperature" else (at, vital, value)
        for at, vital, value in hourly(ILL, range(2))
    ]
    assert [each["score"] for each in scores(sent)] == [each["score"] for each in celsius]


def test_a_pulse_counts_from_whichever_device_sent_it_last() -> None:
    oximeter = {
        "pulse_rate" if vital == "heart_rate" else vital: value for vital, value in ILL.items()
    }
    assert [each["score"] for each in scores(hourly(oximeter, range(3)))] == [
        each["score"] for each in scores(hourly(ILL, range(3)))
    ]


def test_a_late_value_and_a_second_one_at_the_same_time_change_nothing() -> None:
    plain = scores(hourly(ILL, range(4)))
    late = [*hourly(ILL, range(3)), (70.0, "heart_rate", "60"), *hourly(ILL, range(3, 4))]
    twice = [
        (at, vital, value, "/min") for at, vital, value in hourly({"heart_rate": "60"}, range(3, 4))
    ]
    assert scores(late)[-1]["score"] == plain[-1]["score"]
    assert scores([*hourly(ILL, range(4)), *twice])[-1]["score"] == plain[-1]["score"]


def test_after_a_gap_of_years_nothing_old_counts() -> None:
    years = 60 * 24 * 3000
    fresh = scores((at + years, vital, value) for at, vital, value in hourly(ILL, range(1)))
    again = scores(
        [
            *hourly(WELL, range(1)),
            *((at + years, vital, value) for at, vital, value in hourly(ILL, range(1))),
        ]
    )
    # the own mean is that of two hours, so only its parts may differ
    assert again[-1]["missing"] == fresh[-1]["missing"] == []
    assert again[-1]["contributions"]["news2"] == fresh[-1]["contributions"]["news2"]


def test_one_value_of_a_clock_that_runs_ahead_silences_nothing() -> None:
    rows = list(hourly({**WELL, "body_temperature": "36.8"}, range(8)))
    ahead = [(60.0 * 5, "body_temperature", "36.9")]
    plain = scores(rows)
    found = scores(
        [*rows[:12], *ahead, *[row for row in rows[12:] if row[1] != "body_temperature"]]
    )
    assert [each["measured_at"] for each in found if each["measured_at"] < stamp(300)] == [
        each["measured_at"] for each in plain if each["measured_at"] < stamp(300)
    ]


def test_a_score_names_the_readings_that_it_used() -> None:
    rows = [
        *hourly(WELL, range(1)),
        (10.0, "heart_rate", "140"),
        (11.0, "pulse_rate", "139"),
        (20.0, "respiratory_rate", "16"),
    ]
    output = replay_values(rows)
    values = {each["id"]: each["value"] for each in of_type(output, "reading")}
    last = [each for each in of_type(output, "score") if each["detector"] == "deterioration"][-1]
    assert sorted(values[name] for name in last["readings"]) == ["125", "16", "36.8", "75", "97"]


def test_a_saturation_of_before_scale_2_counts_no_more() -> None:
    hour = 60
    judge = Judge(shipped(), Registry([PatientEntry(patient="p")]))
    on_2 = Judge(shipped(), Registry([PatientEntry(patient="p", oxygen_scale=2)]))
    patient = unpack_patient(None, "p")
    for offset, each in enumerate((judge, on_2)):
        at = START + timedelta(minutes=offset * hour)
        values = {**ILL} if each is judge else {"heart_rate": "118"}
        message = message_of(
            *(reading_at(at, vital, value) for vital, value in values.items()), offset=offset
        )
        judged = each.step(patient, message)
        assert judged is not None
    (score,) = [each for each in judged.scores if each.detector == "deterioration"]
    assert "oxygen_saturation" in score.missing
    assert "oxygen_saturation" not in score.contributions


def test_a_stream_is_scored_four_times_an_hour() -> None:
    rows = [
        (second / 60, vital, ILL[vital])
        for second in range(3 * 3600)
        for vital in ("heart_rate", "oxygen_saturation", "respiratory_rate")
    ]
    found = scores(rows)
    assert 8 <= len(found) <= 12


def test_a_restart_between_any_two_messages_changes_no_score() -> None:
    """Law 2: what is live and what was stored and read again score alike."""
    judge = Judge(shipped(), Registry([PatientEntry(patient="p")]))
    live = unpack_patient(None, "p")
    stored = unpack_patient(None, "p")
    rows = [*hourly(WELL, range(10)), *hourly(ILL, range(10, 14))]
    for offset, minute in enumerate(sorted({at for at, _, _ in rows})):
        at = START + timedelta(minutes=minute)
        message = message_of(
            *(reading_at(at, vital, value) for when, vital, value in rows if when == minute),
            offset=offset,
        )
        stored = unpack_patient(pack_patient(stored), "p")
        one = judge.step(live, message)
        two = judge.step(stored, message)
        assert one is not None
        assert two is not None
        assert one.scores == two.scores
        assert any(score.detector == "deterioration" for score in one.scores)


def test_the_same_input_gives_the_same_bytes() -> None:
    rows = [*hourly(WELL, range(3)), *hourly(ILL, range(3, 6))]
    assert scores(rows) == scores(rows)
