"""What a sender writes oddly is read as what it says, or refused: never as another value, and
never in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect
from support.frames import START, frame, measurement, registry_of, stamp, worn
from support.replaying import Output, decoded, of_type, replay_csv, replay_frames

from rpm_stream.app.gateway.wire import encode_frame
from rpm_stream.app.simulator.encode.csv import Encoder
from rpm_stream.app.simulator.encode.files import Written, csv_rows, progress_bar
from rpm_stream.ingest.csv.rows import frames, rows
from rpm_stream.ingest.frames import Envelope
from rpm_stream.knowledge import KnowledgeError, load, shipped
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.ingest import FrameMessage, Ingest, Ingested
from rpm_stream.pipeline.replay import Replay
from rpm_stream.records import Frame, Position

TABLES = shipped()
UCUM, LOINC = "http://unitsofmeasure.org", "http://loinc.org"
CONTROL = ["\n", "\r", "\t", "\x00", "\x1f", "\x7f", "\x85", "\u2028", "\u2029"]
Record = dict[str, Any]


def taken(value: bytes) -> Ingested:
    ingest = Ingest(TABLES, registry_of([worn()]), recorded_time=True)
    position = Position(topic="rpm.frames", partition=0, offset=1)
    return ingest.step(
        DeviceState(), FrameMessage(key="d", value=value, position=position, received_at=START)
    )


def app(vital: str, unit: str, **said: Any) -> Ingested:
    return taken(
        json.dumps(frame([{"at": stamp(0), "vital": vital, "unit": unit, **said}], 0)).encode()
    )


def resource(code: str, value: float | str, unit: str, **fields: Any) -> Record:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": "2026-03-01T08:00:00Z",
        "id": "o1",
        "valueQuantity": {"value": value, "system": UCUM, "code": unit},
        **fields,
    }


def observed(*found: Record) -> Ingested:
    body = frame([measurement(0, "weight", "80")], 0)
    del body["measurements"]
    return taken(json.dumps({**body, "resources": list(found)}).encode())


def as_csv(vital: str, unit: str, value: str) -> Output:
    return replay_csv(
        ["patient,measured_at,vital,value,unit\n", f'p,{stamp(0)},{vital},"{value}",{unit}\n']
    )


def values(done: Ingested) -> list[tuple[str, str | None, str]]:
    return [
        (one.vital, one.value, one.unit) for message in done.readings for one in message.readings
    ]


def reasons(done: Ingested) -> list[str]:
    return [reject.reason for reject in done.rejects]


# --- texts ----------------------------------------------------------------------------------------

OWN_CHECK = {"payload"}  # hexadecimal, which is looked at where it is decoded


def texts(node: inspect.Type, name: str) -> Iterator[tuple[str, inspect.StrType]]:
    """Every text that a type takes, by the name of its field."""
    match node:
        case inspect.StructType():
            for each in node.fields:
                yield from texts(each.type, each.name)
        case inspect.UnionType():
            for kind in node.types:
                yield from texts(kind, name)
        case inspect.ListType():
            yield from texts(node.item_type, name)
        case inspect.Metadata():
            yield from texts(node.type, name)
        case inspect.StrType():
            yield name, node


def test_every_text_of_a_frame_has_a_pattern_that_no_line_end_passes() -> None:
    found = list(texts(inspect.type_info(Frame), "frame"))
    assert len(found) >= 10
    for name, kind in found:
        if name not in OWN_CHECK:
            assert kind.pattern is not None, name
            assert re.search(kind.pattern, "a") or re.search(kind.pattern, "+01:00"), name
            for control in CONTROL:
                assert not re.search(kind.pattern, f"a{control}"), name
                assert not re.search(kind.pattern, f"+01:00{control}"), name


def leaves(node: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every text in a message."""
    if isinstance(node, dict):
        for name, each in node.items():
            yield from leaves(each, (*place, name))
    elif isinstance(node, list):
        for number, each in enumerate(node):
            yield from leaves(each, (*place, number))
    elif isinstance(node, str):
        yield place


def changed(node: Any, place: tuple[str | int, ...], tail: str) -> Any:
    if not place:
        return node + tail
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[place[0]] = changed(node[place[0]], place[1:], tail)
    return copy


IDENTIFIER = [{"system": "urn:ehr", "value": "v1"}]
WHOLE: list[Record] = [
    frame([measurement(0, "weight", "80.5")], 0, utc_offset="+01:00", boot="b"),
    frame([{"at": stamp(0), "characteristic": "2A37", "payload": "0048"}], 0, utc_offset="+01:00"),
    {
        **{name: value for name, value in frame([{}], 0).items() if name != "measurements"},
        "resources": [
            resource("29463-7", 80, "kg", subject={"reference": "Patient/p"}, identifier=IDENTIFIER)
        ],
    },
]
PLACES = [(number, place) for number, whole in enumerate(WHOLE) for place in leaves(whole)]


@pytest.mark.parametrize("whole", WHOLE)
def test_what_the_law_below_starts_from_is_read(whole: Record) -> None:
    assert len(values(taken(json.dumps(whole).encode()))) == 1


@given(st.sampled_from(PLACES), st.sampled_from(CONTROL))
def test_no_text_with_a_line_end_becomes_a_reading(
    where: tuple[int, tuple[str | int, ...]], control: str
) -> None:
    """Law: every text of every kind of frame, at its end."""
    number, place = where
    done = taken(json.dumps(changed(WHOLE[number], place, control)).encode())
    assert (values(done), len(done.rejects)) == ([], 1)


# --- a frame says each thing once -----------------------------------------------------------------


@st.composite
def spelt(draw: st.DrawFn, name: str) -> str:
    """A name as JSON may write it: each letter itself, or as an escape in small or capital
    digits.
    """
    letters = [
        draw(st.sampled_from([letter, f"\\u{ord(letter):04x}", f"\\u{ord(letter):04X}"]))
        for letter in name
    ]
    return f'"{"".join(letters)}"'


def with_fields(fields: list[tuple[str, Any]]) -> bytes:
    return ("{" + ",".join(f"{name}: {json.dumps(value)}" for name, value in fields) + "}").encode()


@given(
    st.data(),
    st.sampled_from(
        ["measurements", "notifications", "resources", "device", "seq", "sent_at", "v"]
    ),
)
def test_a_field_that_stands_twice_is_refused_however_it_is_spelt(
    data: st.DataObject, twice: str
) -> None:
    """Law: a list is never hidden by another one of its name."""
    whole = frame([measurement(0, "heart_rate", "72")], 0)
    lists = {
        "measurements": [measurement(0, "heart_rate", "190")],
        "notifications": [],
        "resources": None,
    }
    kind = twice if twice in lists else "measurements"
    del whole["measurements"]
    whole[kind] = {"measurements": [measurement(0, "heart_rate", "72")]}.get(kind, lists[kind])
    fields = [(data.draw(spelt(name)), value) for name, value in whole.items()]
    fields.append((data.draw(spelt(twice)), lists.get(twice, whole[twice])))
    done = taken(with_fields(data.draw(st.permutations(fields))))
    assert (values(done), reasons(done)) == ([], ["bad_schema"])


@given(st.data())
def test_a_frame_whose_names_are_spelt_with_escapes_is_read(data: st.DataObject) -> None:
    whole = frame([measurement(0, "heart_rate", "72")], 0)
    done = taken(with_fields([(data.draw(spelt(name)), value) for name, value in whole.items()]))
    assert values(done) == [("heart_rate", "72", "/min")]


@given(st.data(), st.sampled_from(["notifications", "resources"]), st.booleans())
def test_two_kinds_of_lists_are_refused_however_they_are_spelt(
    data: st.DataObject, other: str, first: bool
) -> None:
    whole = frame([measurement(0, "heart_rate", "72")], 0)
    fields = [(data.draw(spelt(name)), value) for name, value in whole.items()]
    fields.insert(0 if first else len(fields), (data.draw(spelt(other)), [{}]))
    assert (values(taken(with_fields(fields))), reasons(taken(with_fields(fields)))) == (
        [],
        ["bad_schema"],
    )


ENTRIES: list[Record] = [
    measurement(0, "heart_rate", "72"),
    {"at": stamp(0), "characteristic": "2A37", "payload": "0048"},
    resource("8867-4", 72, "/min"),
]


@given(st.data(), st.sampled_from(ENTRIES))
def test_an_entry_that_says_a_thing_twice_is_refused_alone(
    data: st.DataObject, entry: Record
) -> None:
    """Law: of two values nobody knows which one was meant; the other entries are taken."""
    kind = (
        "resources"
        if "code" in entry
        else "notifications"
        if "payload" in entry
        else "measurements"
    )
    fields = [(data.draw(spelt(name)), value) for name, value in entry.items()]
    name = data.draw(st.sampled_from(sorted(entry)))
    fields.insert(data.draw(st.integers(0, len(fields))), (data.draw(spelt(name)), entry[name]))
    whole = {field: value for field, value in frame([{}], 0).items() if field != "measurements"}
    good = {**entry, "at": stamp(5)} if "at" in entry else {**entry, "id": "o2"}
    body = json.dumps({**whole, kind: ["<here>", good]}).replace(
        '"<here>"', with_fields(fields).decode()
    )
    done = taken(body.encode())
    assert ([value for _, value, _ in values(done)], reasons(done)) == (["72"], ["bad_schema"])


def test_a_component_that_says_its_value_twice_is_refused() -> None:
    inner = {"code": {"coding": [{"system": LOINC, "code": "9279-1"}]}, "valueQuantity": "<q>"}
    body = json.dumps(
        {**WHOLE[2], "resources": [resource("8867-4", 72, "/min", component=[inner])]}
    )
    quantity = '{"value": 16, "value": 34, "system": "http://unitsofmeasure.org", "code": "/min"}'
    assert (values(taken(body.replace('"<q>"', quantity).encode()))) == []


def test_names_of_a_frame_inside_of_its_entries_are_no_second_ones() -> None:
    """A resource has a device, a note may hold any text."""
    note = {"text": '"device": "x", "resources": [', "authorString": "\u00e9"}
    done = observed(
        resource("29463-7", 80, "kg", device={"reference": "Device/1"}, note=[note], v=1)
    )
    assert values(done) == [("weight", "80", "kg")]
    assert "device" in Envelope.__struct_fields__


# --- codes and bounds -----------------------------------------------------------------------------

CODED = sorted(name for name, row in TABLES.vitals.items() if row.words)
numbers = st.decimals(-2, 9, places=2, allow_nan=False).map(
    lambda number: f"{number:f}"
) | st.integers(-3, 12).map(str)


@given(st.sampled_from(CODED), numbers)
def test_a_coded_vital_has_its_codes_and_no_other_value(vital: str, value: str) -> None:
    """Law: an average of codes is none of them.

    App and file alike; Bluetooth and FHIR have no coded vital.
    """
    row = TABLES.vitals[vital]
    right = Decimal(value) in {Decimal(code) for code in row.words}
    found = app(vital, row.unit, value=value)
    assert (values(found) == [(vital, value, row.unit)], reasons(found)) == (
        right,
        [] if right else ["implausible"],
    )
    assert len(of_type(as_csv(vital, row.unit, value), "reading")) == right


def test_what_a_coded_vital_is_not_says_its_codes() -> None:
    (reject,) = app("consciousness", "{ACVPU}", value="0.5").rejects
    assert "none of its codes: 0 alert, 1 new confusion" in reject.detail


def test_every_vital_has_a_bound_on_both_sides_with_its_source() -> None:
    for name, row in TABLES.vitals.items():
        assert row.reject.above is not None, name
        assert row.reject.below is not None or row.reject.at_or_below is not None, name
        assert row.source, name


@pytest.mark.parametrize(
    ("vital", "unit", "bad", "good"),
    [
        (
            "rr_interval",
            "ms",
            ["1878949389", "0.8", "1.02", "0", "60001", "149"],
            ["150", "812.5", "3500", "60000"],
        ),
        ("rr_interval", "s", ["800", "0.1"], ["0.8", "1.5"]),
        ("oxygen_saturation", "%", ["0.97", "1"], ["97", "50"]),
        ("inspired_oxygen", "%", ["0.28", "1"], ["28", "21"]),
        ("body_fat", "%", ["0.21", "1"], ["21", "3.2"]),
        ("battery", "%", ["0.85", "0.01", "101"], ["0", "1", "85", "1.0"]),
        ("height", "cm", ["1.75", "5.9"], ["175", "49"]),
        ("height", "[ft_i]", ["0.5", "10"], ["5.75"]),
        ("fev1", "L", ["0.0025", "2500"], ["2.5", "0.3"]),
        ("impedance", "Ohm", ["-1", "6554"], ["512.4"]),
        ("energy_expended", "kJ", ["65536"], ["65535", "0"]),
        ("glucose", "mg/dL", ["1814", "5.6"], ["54"]),
    ],
)
def test_what_no_body_has(vital: str, unit: str, bad: list[str], good: list[str]) -> None:
    """A fraction sent as a percentage, seconds as milliseconds, metres as centimetres: refused,
    never read.
    """
    assert {value: reasons(app(vital, unit, value=value)) for value in bad} == {
        value: ["implausible"] for value in bad
    }
    assert {value: reasons(app(vital, unit, value=value)) for value in good} == {
        value: [] for value in good
    }


# --- what a meter shows instead of a number -------------------------------------------------------

METERS = ["glucose", "glucose_interstitial"]
SHOWN = {
    "LO": "negative-infinity",
    "lo": "negative-infinity",
    "Low": "negative-infinity",
    "HI": "positive-infinity",
    "Hi": "positive-infinity",
    "HIGH": "positive-infinity",
}


@pytest.mark.parametrize("unit", ["mg/dL", "mmol/L"])
@pytest.mark.parametrize("vital", METERS)
@pytest.mark.parametrize(
    ("said", "absent"), [*SHOWN.items(), (None, "negative-infinity"), (None, "positive-infinity")]
)
def test_lo_and_hi_of_an_app_alert_as_those_of_a_meter(
    vital: str, unit: str, said: str | None, absent: str
) -> None:
    entry = {
        "at": stamp(0),
        "vital": vital,
        "unit": unit,
        **({"absent": absent} if said is None else {"value": said}),
    }
    outputs = [replay_frames([frame([entry], 0)], [worn()])]
    if said is not None:
        outputs.append(as_csv(vital, unit, said))
    code = {
        "glucose": {"mg/dL": "2339-0", "mmol/L": "15074-8"},
        "glucose_interstitial": {"mg/dL": "99504-3"},
    }
    for output in outputs:
        (reading,) = of_type(output, "reading")
        assert (reading["value"], reading["absent"], reading["unit"]) == (None, absent, unit)
        assert of_type(output, "reject") == []
        alerts = of_type(output, "alert")
        assert {alert["group"] for alert in alerts} == {"glucose"}
        assert alerts[-1]["priority"] == ("high" if absent == "negative-infinity" else "medium")
    if said is not None and (loinc := code[vital].get(unit)):
        whole = {
            **WHOLE[2],
            "resources": [{**resource(loinc, 1, unit), "valueQuantity": None, "valueString": said}],
        }
        (reading,) = of_type(replay_frames([whole], [worn()]), "reading")
        assert reading["absent"] == absent


NO_VALUES = [
    "",
    " ",
    "LO ",
    "L0",
    "HI\u0301",
    "--",
    "N/A",
    "1e3",
    "+72",
    "72,5",
    "NaN",
    "Infinity",
    "0x48",
    ".5",
    "7.",
]
NO_VALUES += ["\u0667", "1" * 25, "1." + "1" * 25]


@pytest.mark.parametrize("vital", ["glucose", "heart_rate", "weight"])
@pytest.mark.parametrize("text", NO_VALUES)
def test_what_is_no_value_is_refused_and_not_repeated(vital: str, text: str) -> None:
    (reject,) = app(vital, TABLES.vitals[vital].unit, value=text).rejects
    assert reject.reason == "bad_schema"
    assert len(text.strip()) < 3 or text not in reject.detail


@pytest.mark.parametrize("text", ["LO", "HI"])
@pytest.mark.parametrize("vital", sorted(set(TABLES.vitals) - set(METERS)))
def test_only_a_glucose_meter_shows_lo(vital: str, text: str) -> None:
    assert reasons(app(vital, TABLES.vitals[vital].unit, value=text)) == ["bad_schema"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"value": None},
        {"value": "72", "absent": "negative-infinity"},
        {"absent": "error"},
        {"absent": 1},
    ],
)
def test_a_measurement_has_a_value_or_says_that_it_has_none(said: Record) -> None:
    assert reasons(app("glucose", "mg/dL", **said)) == ["bad_schema"]


def test_an_app_that_sends_lo_again_has_sent_it_once() -> None:
    low = {"at": stamp(0), "vital": "glucose", "unit": "mg/dL", "value": "LO"}
    again = {**low, "value": "low"}
    output = replay_frames([frame([low], 0, seq=1), frame([again], 0, seq=2)], [worn()])
    assert len(of_type(output, "reading")) == 1


# --- a clinic's placeholders ----------------------------------------------------------------------

PLACEHOLDERS = """
[[placeholder]]
vital = "any"
text = "--"
absent = "not-performed"
[[placeholder]]
vital = "oxygen_saturation"
text = "999"
absent = "error"
[[placeholder]]
vital = "heart_rate"
text = "-1"
absent = "unknown"
[[placeholder]]
vital = "weight"
text = ""
absent = "not-performed"
"""


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    (tmp_path / "placeholders.toml").write_text(PLACEHOLDERS)
    return tmp_path


@pytest.mark.parametrize(
    ("vital", "value", "absent"),
    [
        ("oxygen_saturation", "999", "error"),
        ("oxygen_saturation", "999.00", "error"),
        ("heart_rate", "-1", "unknown"),
        ("heart_rate", "-1.0", "unknown"),
        ("heart_rate", "--", "not-performed"),
        ("weight", "", "not-performed"),
        ("heart_rate", "999", None),
        ("oxygen_saturation", "-1", None),
        ("heart_rate", "", None),
        ("heart_rate", "---", None),
        ("heart_rate", "72", ""),
        ("oxygen_saturation", "99", ""),
    ],
)
def test_a_placeholder_of_the_clinic_is_no_value(
    clinic: Path, vital: str, value: str, absent: str | None
) -> None:
    """None: it stands for nothing there, and is refused; "": a value."""
    run = Replay(load(clinic), registry_of([worn()]))
    body = json.dumps(frame([measurement(0, vital, value)], 0)).encode()
    output = decoded(run.jsonl(body, 1))
    if absent is None:
        assert [reject["reason"] for reject in of_type(output, "reject")] in (
            ["implausible"],
            ["bad_schema"],
        )
        return
    (reading,) = of_type(output, "reading")
    assert (reading["value"], reading["absent"]) == (
        value if absent == "" else None,
        absent or None,
    )
    assert ("placeholder" in reading["flags"]) == (absent != "")


def test_nothing_is_a_placeholder_unless_a_clinic_says_so() -> None:
    assert TABLES.placeholders.placeholder == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[placeholder]]\nvital = "puls"\ntext = "-"\nabsent = "error"\n', "unknown vital puls"),
        ('[[placeholder]]\nvital = "any"\ntext = "-"\nabsent = "gone"\n', "Invalid enum value"),
        (
            2 * '[[placeholder]]\nvital = "any"\ntext = "-"\nabsent = "error"\n',
            "is listed twice",
        ),
    ],
)
def test_a_placeholder_that_is_none_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "placeholders.toml").write_text(text)
    with pytest.raises(KnowledgeError, match=said):
        load(tmp_path)


def test_encoded_rows_say_what_the_file_said(clinic: Path, tmp_path: Path) -> None:
    """LO, a placeholder and a unit as people write it: encoded and replayed they give what the
    file gives.
    """
    file = tmp_path / "diary.csv"
    file.write_text(
        "patient,measured_at,vital,value,unit\n"
        f"p,{stamp(0)},glucose,LO,mg/dL\np,{stamp(1)},oxygen_saturation,999,%\np,{stamp(2)},heart_rate,--,bpm\n"
        f"p,{stamp(3)},systolic,128,mmHg\np,{stamp(3)},diastolic,82,mmHg\n"
    )
    tables = load(clinic)
    encoder = Encoder()
    with progress_bar() as progress:
        sent = list(encoder.frames(csv_rows(str(file), progress, Written(tables))))
    run = Replay(tables, registry_of([worn(device="csv.p")]))
    encoded = decoded(line for each in sent for line in run.jsonl(encode_frame(each), 1))
    plain = Replay(tables, registry_of([]))
    read = decoded(
        line for each in frames(rows(file.read_text().splitlines(True))) for line in plain.csv(each)
    )
    said = [
        {
            (one["vital"], one["value"], one["absent"], one["unit"])
            for one in of_type(output, "reading")
        }
        for output in (encoded, read)
    ]
    # 2A35 always has one
    assert said[0] - said[1] == {("mean_arterial", None, "not-a-number", "mm[Hg]")}
    assert said[1] - said[0] == set()
    assert len(said[1]) == 5
    assert of_type(encoded, "reject") == of_type(read, "reject") == []


# --- units and codes of others --------------------------------------------------------------------

SPELT = [
    (spelling, row.unit, vital)
    for spelling, row in TABLES.spellings.items()
    for vital, known in TABLES.vitals.items()
    if row.unit in known.units
]
PLAUSIBLE = {
    "heart_rate": "72",
    "pulse_rate": "72",
    "respiratory_rate": "16",
    "systolic": "120",
    "diastolic": "80",
    "mean_arterial": "90",
    "cuff_pressure": "100",
    "glucose": "5",
    "glucose_interstitial": "5",
    "weight": "80",
    "height": "66",
    "bmi": "24",
    "impedance": "500",
    "steps": "900",
    "fev1": "2",
    "cadence": "80",
}


def plausible(vital: str, unit: str) -> str:
    """A value that a body can have."""
    known = TABLES.vitals[vital]
    for value in (PLAUSIBLE.get(vital, "37"), "0.001", "98", "6", "400", "100", "2500"):
        if not known.reject.excludes(TABLES.convert(Decimal(value), unit, known.unit)):
            return value
    raise AssertionError(f"{vital} in {unit}")


@pytest.mark.parametrize(("spelling", "unit", "vital"), SPELT)
def test_a_unit_as_others_write_it_is_the_unit(spelling: str, unit: str, vital: str) -> None:
    """App, file and FHIR alike, no digit changed; and the same value in both spellings is one
    reading.
    """
    value = plausible(vital, unit)
    assert values(app(vital, spelling, value=value)) == [(vital, value, unit)]
    (reading,) = of_type(as_csv(vital, spelling, value), "reading")
    assert (reading["value"], reading["unit"]) == (value, unit)
    known = TABLES.vitals[vital]
    if loinc := known.loinc_by_unit.get(unit, known.loinc):
        found = taken_number(loinc[0][0], value, spelling)
        assert values(found) in ([(vital, value, unit)], [("heart_rate", value, unit)])
    both = [
        frame([measurement(0, vital, value, each)], 0, seq=number)
        for number, each in enumerate((unit, spelling))
    ]
    assert len(of_type(replay_frames(both, [worn()]), "reading")) == 1


def taken_number(code: str, value: str, unit: str) -> Ingested:
    body = {**WHOLE[2], "resources": [resource(code, "<n>", unit)]}
    return taken(json.dumps(body).replace('"<n>"', value).encode())


KNOWN_UNITS = {unit for row in TABLES.vitals.values() for unit in row.units} | set(TABLES.spellings)


@given(st.text(st.sampled_from("mMgGlLdDbBpPhHfFtTiInNcC/[]{}%°1 .kK"), min_size=1, max_size=8))
def test_a_unit_that_stands_in_no_table_is_refused(unit: str) -> None:
    """Law 10, for everything that looks like a unit."""
    if unit not in KNOWN_UNITS:
        for vital in ("weight", "heart_rate", "glucose", "body_temperature"):
            assert reasons(app(vital, unit, value="50")) == ["unknown_unit"]


def test_a_spelling_of_another_vitals_unit_is_refused() -> None:
    assert reasons(app("respiratory_rate", "bpm", value="16")) == ["unknown_unit"]
    assert reasons(app("weight", "ft", value="80")) == ["unknown_unit"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["kg"]\nunit = "g"\nsource = "x"\n', "is a unit itself"),
        ('["stone"]\nunit = "[stone_av]"\nsource = "x"\n', "no vital is measured in"),
        ('["kilos"]\nunit = "kg"\n', "without a source"),
    ],
)
def test_a_spelling_that_is_none_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "spellings.toml").write_text(text)
    with pytest.raises(KnowledgeError, match=said):
        load(tmp_path)


OF_MASS = {
    "glucose": ["2339-0", "41653-7", "32016-8", "2345-7"],
    "glucose_interstitial": ["99504-3", "2344-0"],
}
OF_MOLES = {
    "glucose": ["15074-8", "14743-9", "14749-6"],
    "glucose_interstitial": ["105272-9", "105273-7", "14745-4"],
}


@pytest.mark.parametrize("vital", METERS)
def test_code_and_unit_agree_about_moles_and_mass(vital: str) -> None:
    """A 50 (of mg/dL) labelled mmol/L would be a sugar of 900: with a code of mass it is
    nobody's value.
    """
    for codes, right, wrong in (
        (OF_MASS[vital], "mg/dL", "mmol/L"),
        (OF_MOLES[vital], "mmol/L", "mg/dL"),
    ):
        for code in codes:
            assert values(observed(resource(code, 20, right))) == [(vital, "20", right)]
            (reject,) = observed(resource(code, 20, wrong)).rejects
            assert (reject.reason, code in reject.detail) == ("unknown_unit", True)
    every = {
        code
        for row in TABLES.vitals.values()
        for pairs in row.loinc_by_unit.values()
        for code, _ in pairs
    }
    every |= {
        code
        for row in TABLES.vitals.values()
        for codes in row.loinc_also_by_unit.values()
        for code in codes
    }
    assert every == {code for codes in OF_MOLES.values() for code in codes}


def test_saturation_in_blood_is_a_saturation() -> None:
    assert values(observed(resource("20564-1", 95, "%"))) == [("oxygen_saturation", "95", "%")]
