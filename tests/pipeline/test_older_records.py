"""What an older release wrote is read: it did not look for control characters, and nothing of it
is lost for one.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.corrections import correction
from support.frames import START, frame, measurement, reading_of, stamp
from support.readings import message_of
from support.replaying import decoded as lines_of
from support.replaying import new_replay, of_type, replay_frames

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry, RegistryError, has_unreadable_birth, parse_entry
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.order import read_message
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.replay import Replay
from rpm_stream.pipeline.stored_entry import (
    NO_DATE,
    Stored,
    put_unreadable,
    read_entry,
    stored_faults,
)
from rpm_stream.records import Alert, Origin, PatientEntry, Readings
from rpm_stream.score.rules.entry_faults import faults

CONTROL = st.sampled_from(["\t", "\n", "\x00", "\x7f", "\x85", "\u2028"])
LIMIT = {"vital": "heart_rate", "high": 120, "unit": "/min", "owner": "dr"}


def old(control: str) -> Readings:
    """A message of rpm.readings whose names nobody looked at."""
    reading = reading_of(
        "oxygen_saturation",
        "70",
        "%",
        device=f"cuff{control}3",
        id=f"r{control}",
        flags=(f"f{control}",),
        origin=Origin(frame=f"f{control}1", index=0, part=0),
    )
    return message_of(reading, frame=f"f{control}1", offset=5)


@given(CONTROL)
def test_a_state_and_a_message_of_before_are_read_and_carried_on(control: str) -> None:
    judge, patient = Judge(shipped(), Registry()), unpack_patient(None, "p")
    message = read_message(msgspec.json.encode(old(control)))
    assert message == old(control)
    assert isinstance(message, Readings)
    first = judge.step(patient, message)
    assert first is not None and first.alerts
    again = unpack_patient(pack_patient(patient), "p")
    assert again.state.episodes.keys() == patient.state.episodes.keys()
    alert = first.alerts[-1]
    assert msgspec.json.decode(msgspec.json.encode(alert), type=Alert) == alert, (
        "as the feed reads it"
    )
    given_by_hand = correction("void", message.readings, START)
    assert judge.act(again, given_by_hand).alerts[-1].state == "resolved"


def test_a_value_with_a_line_end_of_before_is_read() -> None:
    value = msgspec.json.encode(old("\n")).replace(b'"value":"70"', b'"value":"70\\n"')
    assert b"70\\n" in value
    alert, *_ = [
        record for kind, record in lines_of(new_replay().message(value)) if kind == "alert"
    ]
    assert alert["group"] == "vital_signs"


# --- the registry ---------------------------------------------------------------------------------


def read(**fields: Any) -> Stored:
    return read_entry(msgspec.json.encode({"v": 1, "patient": "p", **fields}))


def judged(*values: bytes) -> list[dict[str, Any]]:
    """The alerts of a child with 145 and 32 a minute, under these entries."""
    registry = Registry()
    for value in values:
        try:
            stored = read_entry(value)
            registry.put(stored.entry, stored.left_out)
        except RegistryError:
            put_unreadable(registry, "patient/p")
    signs = (("heart_rate", "145"), ("respiratory_rate", "32"))
    readings = [reading_of(vital, value, "/min") for vital, value in signs]
    message = message_of(*readings, offset=1)
    return of_type(
        lines_of(Replay(shipped(), registry).message(msgspec.json.encode(message))), "alert"
    )


def says_news2(alerts: list[dict[str, Any]]) -> bool:
    return any("NEWS2 is" in line for alert in alerts for line in alert["why"])


@pytest.mark.parametrize(
    "value",
    [
        b'{"v":1,"patient":"p","born":"2022-01-01\\n"}',
        b'{"v":1,"patient":"p","born":2022}',
        b'{"v":1,"patient":"p","born":1' + b"0" * 5000 + b"}",
        b'{"v":2,"patient":"p","born":"2022-01-01"}',
        b'{"v":1,"patient":"p"',
        b"[]",
        b"\xff",
    ],
)
def test_whose_entry_cannot_be_read_is_no_adult_and_somebody_is_told(value: bytes) -> None:
    found = judged(value)
    assert not says_news2(found)
    told, *_ = [alert for alert in found if alert["group"] == "settings"]
    assert told["title"] == "No limits for this person"


def test_what_stood_before_an_entry_that_cannot_be_read_holds_and_somebody_is_told() -> None:
    found = judged(b'{"v":1,"patient":"p","born":"1950"}', b"[]")
    assert says_news2(found)
    (told,) = [alert for alert in found if alert["group"] == "settings"]
    assert told["title"] == "Settings that cannot be read"


@pytest.mark.parametrize(
    ("fields", "left_out"),
    [
        ({"display": "Ada\nL."}, ("display",)),
        ({"team": "a\t"}, ("team",)),
        ({"oxygen_scale": 3}, ("oxygen_scale",)),
        (
            {"limits": [{**LIMIT, "unit": "/min\n"}, LIMIT, {**LIMIT, "high": "120\n"}]},
            ("limit 1", "limit 3"),
        ),
        ({"limits": [{**LIMIT, "valid_from": "0001-01-01T00:00:00+14:00"}, LIMIT]}, ("limit 1",)),
        ({"limits": 3}, ("limits",)),
        ({"expected_every": {"heart_rate": 0, "glucose": 60}}, ("expected_every",)),
        ({"target_weight": {"value": "80\n", "unit": "kg", "at": stamp(0)}}, ("target_weight",)),
    ],
)
def test_a_field_that_cannot_be_read_is_left_out_and_named_and_the_others_hold(
    fields: dict[str, Any], left_out: tuple[str, ...]
) -> None:
    stored = read(**{"born": "1950", "panel": "x", **fields})
    assert stored.left_out == left_out
    entry = stored.entry
    assert isinstance(entry, PatientEntry)
    assert (entry.born, entry.panel) == ("1950", "x")
    assert len(entry.limits) == (1 if isinstance(fields.get("limits"), list) else 0)
    assert stored_faults(stored) == [f"{name} cannot be read and is left out" for name in left_out]
    (alert,) = [
        alert
        for alert in judged(msgspec.json.encode({"v": 1, "patient": "p", "born": "1950", **fields}))
        if alert["group"] == "settings"
    ]
    assert (alert["priority"], alert["title"]) == ("low", "Settings that cannot be read")
    assert ", ".join(left_out) in alert["why"][0]


def test_whether_a_person_is_pregnant_cannot_be_read_and_somebody_is_told_at_medium() -> None:
    """The chart of pregnancy may be the right one, and its limits do not ring."""
    stored = read(born="1990", pregnant="yes", team="a\t")
    assert set(stored.left_out) == {"team", "pregnant"}
    value = msgspec.json.encode(
        {"v": 1, "patient": "p", "born": "1990", "pregnant": "yes", "team": "a\t"}
    )
    (alert,) = [alert for alert in judged(value) if alert["group"] == "settings"][-1:]
    assert (alert["priority"], alert["title"]) == ("medium", "Is this person pregnant?")
    assert any("the chart of pregnancy does not hold" in line for line in alert["why"])
    assert any(line.endswith("and what else is known holds: team") for line in alert["why"])


def test_of_who_has_no_panel_no_panel_is_told_and_of_an_odd_name_no_control_character() -> None:
    def told(**fields: Any) -> list[str]:
        stored = [read(born="1950", **fields)]
        stored += [
            read_entry(b'{"v":1,"panel":%s,"limits":3}' % name) for name in (b'"None"', b'"a\\tb"')
        ]
        registry = Registry()
        for each in stored:
            registry.put(each.entry, each.left_out)
        judge, patient = Judge(shipped(), registry), unpack_patient(None, "p")
        one = judge.step(patient, old("x"))
        assert one is not None
        return [line for alert in one.alerts if alert.group == "settings" for line in alert.why]

    assert told() == []
    (why,) = told(panel="a\tb")
    assert " of the panel a b is left out" in why


def test_a_limit_holds_however_its_owner_is_written() -> None:
    stored = read(limits=[{**LIMIT, "owner": "dr\n7"}])
    assert isinstance(stored.entry, PatientEntry)
    assert [limit.owner for limit in stored.entry.limits] == ["dr 7"]
    assert stored.left_out == ("the owner of limit 1",)


def test_what_others_are_found_by_stays_as_it_is() -> None:
    """A device, a patient or a panel with such a name is the one that an older release knew."""
    value = (
        b'{"v":1,"device":"cuff\\t3","model":"m\\n","utc_offset":"+02:00\\n",'
        b'"assignments":[{"patient":"p\\n"},{"patient":1}]}'
    )
    stored = read_entry(value)
    assert stored.left_out == ("model", "assignment 2", "utc_offset")
    registry = Registry([stored.entry])
    assert [device.device for device in registry.worn_by("p\n")] == ["cuff\t3"]
    assert stored_faults(stored)[-2:] == [
        "device holds a control character",
        "the patient of an assignment holds a control character",
    ]


def test_what_is_right_is_read_as_it_is() -> None:
    value = msgspec.json.encode(
        {"v": 1, "patient": "p", "limits": [LIMIT], "born": "1950", "later": 3}
    )
    assert read_entry(value) == Stored(entry=parse_entry(value))


def test_a_birth_that_is_no_text_is_one_that_cannot_be_read() -> None:
    entry = read(born=1950).entry
    assert isinstance(entry, PatientEntry)
    assert entry.born == NO_DATE
    assert has_unreadable_birth(entry)
    assert len(faults(entry, shipped())) == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.just(LIMIT),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = [
    field.encode_name
    for field in msgspec.structs.fields(PatientEntry)
    if field.name not in ("v", "patient")
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_whatever_stands_in_a_field_the_patient_is_known_and_judged(fields: dict[str, Any]) -> None:
    stored = read(**fields)
    faults(stored.entry, shipped())
    registry = Registry()
    registry.put(stored.entry, stored.left_out)
    assert list(registry.patients) == ["p"]
    judge, patient = Judge(shipped(), registry), unpack_patient(None, "p")
    one = judge.step(patient, old("x"))
    assert one is not None and one.rejects == ()
    judge.tick(patient, START)
    unpack_patient(pack_patient(patient), "p")


def test_what_enters_the_registry_is_refused_as_ever() -> None:
    for value in (
        b'{"v":1,"patient":"p","born":"2022-01-01\\n"}',
        b'{"v":1,"patient":"p\\n"}',
        b'{"v":1,"device":"cuff\\t3"}',
        b'{"v":1,"device":"d","assignments":[{"patient":"p\\n"}]}',
        b'{"v":1,"patient":"p","expected_every":{"heart_rate\\n":60}}',
        b'{"v":1,"panel":"x","limits":[{"vital":"glucose","high":"250","unit":"mg/dL","owner":"dr\\u0085"}]}',
    ):
        with pytest.raises(
            RegistryError, match=r"^a text holds a control character - at `\$[a-z_.\[\]0-9]*`$"
        ):
            parse_entry(value)


def test_frames_are_refused_as_ever() -> None:
    sent = frame([measurement(0, "heart_rate", "72")], 0, seq=1, frame="f\t")
    ((kind, reject),) = replay_frames([sent])
    assert (kind, reject["reason"]) == ("reject", "bad_schema")
