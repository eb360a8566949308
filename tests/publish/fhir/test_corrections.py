"""Observations that are taken back: the same resource, valid, with one word changed."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from typing import Any

from fhir.resources.R4B.observation import Observation
from msgspec import structs
from support.readings import START, reading

from rpm_stream.knowledge import shipped
from rpm_stream.publish.fhir import observation as fhir
from rpm_stream.publish.fhir import summaries
from rpm_stream.publish.fhir.corrections import in_error, taken_back
from rpm_stream.publish.fhir.ids import summary_id
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.publish.window_state import Summaries
from rpm_stream.records import Reading, Window


def test_only_the_status_changes_and_every_digit_stays() -> None:
    published = fhir.observation(reading("body_temperature", "36.90", "Cel"), shipped())
    assert published is not None
    wrong = in_error(published)
    assert wrong.body == published.body.replace(b'"status":"final"', b'"status":"entered-in-error"')
    assert b'"value":36.90' in wrong.body
    assert (wrong.id, wrong.readings) == (published.id, published.readings)
    Observation.model_validate_json(wrong.body)


def test_a_summary_of_nothing_but_wrong_values_is_valid_and_names_them() -> None:
    """Its window is long gone, and nothing else was in it."""
    wrong = reading("heart_rate", "140", "/min", attributes={"characteristic": "2A37"})
    (published,) = taken_back(Summaries(patient=wrong.patient), [wrong], frozenset(), (), shipped())
    body = json.loads(published.body)
    assert (body["status"], body["valueQuantity"]["value"]) == ("entered-in-error", 140)
    assert published.id == body["id"]
    Observation.model_validate_json(published.body)


def test_a_reading_that_no_window_had_taken_is_taken_back_singly() -> None:
    knowledge, windows = shipped(), Summaries(patient="p")
    kept = reading("heart_rate", "70", "/min", patient="p", attributes={"characteristic": "2A37"})
    summaries.add(windows, kept, knowledge)
    stray = reading(
        "heart_rate", "99", "/min", id="stray", patient="p", attributes={"characteristic": "2A37"}
    )
    changed, gone, untaken = summaries.take_out(windows, [stray], knowledge)
    assert (changed, gone, untaken) == ([], [], [stray])


def beat(value: str, seconds: float, **fields: Any) -> Reading:
    return reading(
        "heart_rate", value, "/min", seconds, **{"attributes": {"characteristic": "2A37"}, **fields}
    )


def test_an_old_summary_is_written_again_with_what_is_left_under_its_own_id() -> None:
    """Whoever names the window: the id is made of the judge's own times, and another patient's
    window is no help.
    """
    knowledge, wrong = shipped(), beat("140", 0)
    remaining = Remaining([wrong], (), knowledge)
    remaining.add([wrong, beat("60", 60), beat("63", 120)])
    (right,) = remaining.of([wrong])
    there = timezone(timedelta(hours=2))
    abroad = structs.replace(
        right, start=right.start.astimezone(there), end=right.end.astimezone(there)
    )
    other = structs.replace(right, patient="another")

    def published(*left: Window) -> dict[str, Any]:
        (one,) = taken_back(Summaries(patient=wrong.patient), [wrong], frozenset(), left, knowledge)
        assert one.id == summary_id(wrong.patient, "heart_rate", START)
        body: dict[str, Any] = json.loads(one.body)
        return body

    body = published(right, other)
    assert (
        body["status"],
        body["valueQuantity"]["value"],
        body["component"][0]["valueInteger"],
    ) == ("final", 61.5, 2)
    assert published(abroad) == body
    assert published(other)["status"] == published()["status"] == "entered-in-error"


def test_more_old_windows_than_are_ever_kept_are_all_taken_back_in_whatever_order() -> None:
    wrong = [beat("140", quarter * 900) for quarter in reversed(range(20))]
    published = taken_back(Summaries(patient=wrong[0].patient), wrong, frozenset(), (), shipped())
    assert len({one.id for one in published}) == 20
