"""What of a server's answer may be logged: codes of the standard list, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.ehr.outcome import ISSUE_CODES, issue_codes


def outcome(*issues: dict[str, Any], **more: Any) -> str:
    return json.dumps({"resourceType": "OperationOutcome", "issue": list(issues), **more})


def issue(code: str, severity: str = "error", **more: Any) -> dict[str, Any]:
    return {"severity": severity, "code": code, **more}


@pytest.mark.parametrize(
    ("answer", "codes"),
    [
        (outcome(issue("processing", diagnostics="HAPI-0450: Patient zaphod")), ["processing"]),
        (
            outcome(issue("value"), issue("required", "fatal"), issue("value")),
            ["required", "value"],
        ),
        (outcome(issue("informational", "information"), issue("invalid")), ["invalid"]),
        (
            outcome(
                issue("not-found", details={"text": "zaphod"}, expression=["Observation.subject"]),
                text={
                    "status": "generated",
                    "div": '<div xmlns="http://www.w3.org/1999/xhtml">zaphod</div>',
                },
            ),
            ["not-found"],
        ),
        (outcome(issue("zaphod")), []),
        (outcome({"diagnostics": "Patient zaphod is unknown"}), []),
        (outcome(), []),
        (json.dumps({"resourceType": "Bundle", "entry": []}), []),
        ("", []),
        ("null", []),
        ("<html>zaphod</html>", []),
        ("[" * 100_000, []),
        ('{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"\ud800"}]}', []),
        (outcome({"severity": "error", "_code": {"id": "x"}}), []),
    ],
)
def test_codes_are_read_and_nothing_else(answer: str, codes: list[str]) -> None:
    """Diagnostics, details and narrative may name a patient, and are passed over."""
    assert issue_codes(answer) == codes


_words = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from(["error"]))
_fields = st.sampled_from(["severity", "code", "_code", "diagnostics", "details", "extension"])
_values = st.one_of(_words, st.lists(_words), st.dictionaries(_fields, _words))
_issues = st.dictionaries(_fields, _values)


@given(issues=st.one_of(_words, st.lists(st.one_of(_words, _issues))))
def test_any_answer_gives_codes_of_the_list(issues: Any) -> None:
    """Whatever a server sends, no other exception and no other word."""
    answer = json.dumps({"resourceType": "OperationOutcome", "issue": issues})
    assert set(issue_codes(answer)) <= ISSUE_CODES


@given(answer=st.text())
def test_any_text_is_no_outcome(answer: str) -> None:
    assert issue_codes(answer) == []
