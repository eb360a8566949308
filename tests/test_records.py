"""The nouns: a value, unit, offset, code or name never holds a control character."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frames import frame, measurement, worn
from support.replaying import of_type, replay_csv, replay_frames

from rpm_stream.app.kafka.schemas import schemas
from rpm_stream.records import CLEAN, DecimalText, Name, Offset, Short, Unit
from rpm_stream.text import is_clean

# Texts that are no value, unit, offset, code or name: people's words (which may have several
# lines), ours about a value, octets that came, and names of what Kafka delivered with octets that
# nobody could read.
FREE = {
    "Action.reason": "a person's words",
    "Transition.reason": "a person's words, or a rule's",
    "Alert.title": "our words",
    "Alert.why": "our words",
    "Reject.detail": "our words",
    "Reject.original": "octets as base64",
    "Reject.sha256": "ours",
    "Reject.id": "ours",
    "Reject.device": "the key of a message, whatever stands in it",
    "Account.device": "the key of a message, whatever stands in it",
    "Account.frame": "checked in the frame",
    "Account.gateway": "checked in the frame",
    "Account.boot": "checked in the frame",
    "Position.topic": "ours",
}
CONTROL = [chr(code) for code in range(0x100) if unicodedata.category(chr(code)) == "Cc"] + [
    "\u2028",
    "\u2029",
]


def texts(node: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every text in a schema by record and field, with its pattern."""
    if isinstance(node, list):
        for each in node:
            yield from texts(each, name)
    elif isinstance(node, dict):
        if (
            node.get("type") == "string"
            and "enum" not in node
            and node.get("format") != "date-time"
        ):
            yield name, node.get("pattern", "")
        for word in ("items", "anyOf", "additionalProperties", "propertyNames"):
            yield from texts(node.get(word), name)


def every_text() -> dict[str, str]:
    """Of all topics, by record and field."""
    records = [json.loads(schema)["$defs"] for schema in schemas().values()]
    return {
        place: pattern
        for each in records
        for record, schema in each.items()
        for field, node in schema["properties"].items()
        for place, pattern in texts(node, f"{record}.{field}")
    }


def test_every_text_of_every_record_is_clean_or_free_for_a_reason() -> None:
    found = every_text()
    assert len(found) > 60
    assert {name for name, pattern in found.items() if not pattern.endswith(r"(?!\n)$")} == set(
        FREE
    )


ENTERING = [DecimalText, Offset, Name, Short, Unit]
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=4, max_size=30)


@given(st.sampled_from(ENTERING), NAMES, st.sampled_from(CONTROL), st.data())
def test_no_text_with_a_control_character_enters(
    kind: Any, text: str, control: str, data: st.DataObject
) -> None:
    """At any place of it, the last one too."""
    right = {DecimalText: "72.50", Offset: "+02:00"}.get(kind, text)
    msgspec.convert(right, kind)
    place = data.draw(st.integers(0, len(right)))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(right[:place] + control + right[place:], kind)


@given(NAMES, st.sampled_from(CONTROL), st.integers(0, 30))
def test_what_is_clean_is_asked_alike_everywhere(text: str, control: str, place: int) -> None:
    assert is_clean(text)
    assert not is_clean(text[:place] + control + text[place:])
    assert CLEAN.startswith("^") and CLEAN.endswith("$")


@given(
    st.sampled_from(CONTROL), st.sampled_from(["frame", "gateway", "device", "boot"]), st.booleans()
)
def test_a_frame_with_such_a_name_is_one_reject_and_nothing_else(
    control: str, field: str, last: bool
) -> None:
    name = f"d{control}" if last else f"d{control}1"
    sent = frame([measurement(0, "heart_rate", "72")], 0, **{field: name})
    output = replay_frames([sent], [worn()])
    assert [(kind, record["reason"]) for kind, record in output] == [("reject", "bad_schema")]


@given(st.sampled_from(CONTROL), st.sampled_from(["vital", "unit", "value"]))
def test_an_entry_with_such_a_text_is_a_reject_and_the_others_are_taken(
    control: str, field: str
) -> None:
    bad = measurement(0, "heart_rate", "72")
    bad[field] += control
    output = replay_frames([frame([bad, measurement(0, "heart_rate", "73")], 0)], [worn()])
    assert [record["reason"] for record in of_type(output, "reject")] == ["bad_schema"]
    assert [record["value"] for record in of_type(output, "reading")] == ["73"]


@pytest.mark.parametrize("control", ["\t", "\x00", "\x7f", "\x85", "\u2028"])
def test_a_row_of_such_a_patient_is_a_reject(control: str) -> None:
    lines = [
        "patient,measured_at,vital,value,unit,device\n",
        f"p{control}1,2026-03-01T08:00:00Z,heart_rate,72,/min,d\n",
        f"p1,2026-03-01T08:00:00Z,heart_rate,72,/min,d{control}\n",
        f"p1,2026-03-01T08:00:00Z,heart_rate,72{control},/min,d\n",
    ]
    output = replay_csv(lines)
    assert [(kind, record["reason"]) for kind, record in output] == [("reject", "bad_schema")] * 3
