"""Observations that are taken back: the same resource, valid, with one word changed."""

from __future__ import annotations

import json

from fhir.resources.R4B.observation import Observation
from readings_for_tests import reading

from rpm_stream.knowledge import shipped
from rpm_stream.publish import fhir, summaries
from rpm_stream.publish.corrections import in_error, taken_back
from rpm_stream.publish.summaries import Summaries


def test_only_the_status_changes_and_every_digit_stays() -> None:
    published = fhir.observation(reading("body_temperature", "36.90", "Cel"), shipped())
    assert published is not None
    wrong = in_error(published)
    assert wrong.body == published.body.replace(b'"status":"final"', b'"status":"entered-in-error"')
    assert b'"value":36.90' in wrong.body
    assert (wrong.id, wrong.readings) == (published.id, published.readings)
    Observation.model_validate_json(wrong.body)


def test_a_summary_of_nothing_but_wrong_values_is_valid_and_names_them() -> None:
    """Its window is long gone: what else was in it nobody knows."""
    wrong = reading("heart_rate", "140", "/min", attributes={"characteristic": "2A37"})
    (published,) = taken_back(Summaries(patient=wrong.patient), [wrong], frozenset(), shipped())
    body = json.loads(published.body)
    assert (body["status"], body["valueQuantity"]["value"]) == ("entered-in-error", 140)
    assert published.id == body["id"]
    Observation.model_validate_json(published.body)


def test_a_reading_that_no_window_had_taken_is_taken_back_singly() -> None:
    knowledge, windows = shipped(), Summaries(patient="p")
    kept = reading("heart_rate", "70", "/min", patient="p", attributes={"characteristic": "2A37"})
    summaries.add(windows, kept, knowledge)
    stray = reading("heart_rate", "99", "/min", id="stray", patient="p", attributes={"characteristic": "2A37"})
    changed, gone, untaken = summaries.take_out(windows, [stray], knowledge)
    assert (changed, gone, untaken) == ([], [], [stray])
