"""Whose a reading is, on devices that change hands or are shared; and refused parts that can be
read later.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.device import Device, counts
from support.frames import START, frame, measurement, stamp, worn
from support.replaying import of_type, replay_frames

from rpm_stream.app.operate.assignments import IDENTITY, assigned, covers, taken_back
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import wearers
from rpm_stream.normalise.wearer import claim, wearer
from rpm_stream.pipeline.ingest import Ingest, Ingested
from rpm_stream.records import Assignment, DeviceEntry

Record = dict[str, Any]


def weight(user: int | None) -> str:
    """2A9D: 70 kg, with a user index where there is one."""
    return f"{0 if user is None else 4:02x}{(14000).to_bytes(2, 'little').hex()}" + (
        "" if user is None else f"{user:02x}"
    )


def patients(done: Ingested) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (reading.patient, reading.flags)
        for message in done.readings
        for reading in message.readings
    ]


def scale(user: int | None, minutes: float = 0) -> Record:
    return frame(
        [{"at": stamp(minutes), "characteristic": "2A9D", "payload": weight(user)}], minutes
    )


SHARED = {
    "v": 1,
    "device": "d",
    "assignments": [{"patient": "ada", "user": 0}, {"patient": "ben", "user": 1}],
}


@pytest.mark.parametrize(
    ("entry", "user", "expected"),
    [
        (SHARED, 0, ("ada", ())),
        (SHARED, 1, ("ben", ())),
        (SHARED, 2, "unassigned"),
        (SHARED, 255, "identity_conflict"),
        (SHARED, None, "identity_conflict"),
        ({**SHARED, "assignments": SHARED["assignments"][:1]}, 255, ("ada", ("user_unknown",))),
        ({**SHARED, "assignments": SHARED["assignments"][:1]}, None, ("ada", ("user_unknown",))),
        ({**SHARED, "assignments": SHARED["assignments"][:1]}, 1, "unassigned"),
        (worn("ada"), 3, ("ada", ())),
        (worn("ada"), None, ("ada", ())),
        (worn("ada"), 255, ("ada", ("user_unknown",))),
        (
            {**SHARED, "assignments": [{"patient": "ada"}, {"patient": "ben"}]},
            0,
            "identity_conflict",
        ),
        (
            {**SHARED, "assignments": [{"patient": "ada", "user": 0}, {"patient": "ben"}]},
            4,
            ("ben", ()),
        ),
        ({**SHARED, "assignments": []}, 0, "unassigned"),
    ],
)
def test_the_user_index_says_who_stood_on_a_scale(
    entry: Record, user: int | None, expected: Any
) -> None:
    """Never a guess: where more than one person is left, it is nobody's."""
    done = Device(entry).send(scale(user))
    found = patients(done)[0] if done.readings else done.rejects[0].reason
    assert found == expected


def test_a_resource_that_names_its_subject_is_known_on_a_shared_device() -> None:
    def of(*subject: str) -> object:
        entry = msgspec.convert(SHARED, DeviceEntry)
        return wearer(entry, None, claim(START, {}, subject))[0]

    assert of("ben") == "ben"
    assert getattr(of("eve"), "reason", None) == "identity_conflict"
    assert getattr(of(), "reason", None) == "identity_conflict"


def test_what_was_unassigned_is_read_once_somebody_has_the_device() -> None:
    """Sent again as it was: the refused parts are new now, those read before are duplicates,
    each once.
    """
    device = Device({"v": 1, "device": "d", "assignments": [{"patient": "ada", "from": stamp(10)}]})
    sent = frame([measurement(minute, "heart_rate", "70") for minute in (0, 5, 10, 15)], 20)
    assert counts(device.send(sent)) == (2, 0, 2)
    assert counts(device.send(sent)) == (0, 4, 0)  # nothing was mended
    device.put({"v": 1, "device": "d", "assignments": [{"patient": "ben", "until": stamp(10)}]})
    again = device.send(sent)
    assert counts(again) == (2, 2, 0)
    assert patients(again) == [("ben", ())] * 2
    assert counts(device.send(sent)) == (0, 4, 0)


def test_a_whole_frame_refused_for_an_unknown_device_is_read_later_and_refused_but_once() -> None:
    """More entries than the state remembers refusals of."""
    device = Device(worn(device="other"))
    sent = frame([measurement(minute / 60, "heart_rate", "70") for minute in range(1000)], 20)
    assert counts(device.send(sent)) == (0, 0, 1000)
    assert counts(device.send(sent)) == (0, 1000, 0)
    device.put(worn("ada"))
    assert counts(device.send(sent)) == (1000, 0, 0)
    assert counts(device.send(sent)) == (0, 1000, 0)


def test_a_part_refused_beside_parts_that_were_read_is_no_duplicate_when_it_can_be_read() -> None:
    """2A35 with a pulse that no body has, under a table that is mended later; also by a
    gateway's own new frame.
    """
    payload = "04" + "7800" + "5000" + "5d00" + "5e01"  # 120/80, 93 mean; pulse 350
    sent = frame([{"at": stamp(0), "characteristic": "2A35", "payload": payload}], 0)
    device = Device(worn("ada"))
    assert counts(device.send(sent)) == (3, 0, 1)
    assert counts(device.send(sent)) == (0, 4, 0)
    assert counts(device.send({**sent, "frame": "anew", "seq": 7})) == (0, 4, 0)
    knowledge = shipped()
    row = knowledge.vitals["pulse_rate"]
    wider = msgspec.structs.replace(row, reject=msgspec.structs.replace(row.reject, above=400))
    mended = msgspec.structs.replace(knowledge, vitals={**knowledge.vitals, "pulse_rate": wider})
    device.ingest = Ingest(mended, device.registry, recorded_time=True)
    assert counts(device.send({**sent, "frame": "and-anew", "seq": 8})) == (1, 3, 0)
    assert counts(device.send(sent)) == (0, 4, 0)


HOURS = st.integers(0, 48)
SPANS = st.tuples(
    st.sampled_from(["ada", "ben", "eve"]), st.none() | HOURS, st.none() | st.integers(1, 24)
)
CHANGES = st.lists(st.tuples(SPANS, st.sampled_from([None, 0, 1]), st.booleans()), max_size=6)


def at(hour: float) -> Any:
    return START + timedelta(hours=hour)


def span(made: tuple[str, int | None, int | None], user: int | None = None) -> Assignment:
    patient, start, length = made
    until = None if length is None else at((start or 0) + length)
    return Assignment(
        patient=patient, from_=None if start is None else at(start), until=until, user=user
    )


def entry_of(changes: list[tuple[Any, int | None, bool]]) -> DeviceEntry:
    entry = DeviceEntry(device="d")
    for made, user, takes_back in changes:
        entry = (taken_back if takes_back else assigned)(entry, span(made, user))
    return entry


def slot_of(entry: DeviceEntry, moment: Any, user: int) -> str:
    """Whose a value of this user is, or why it is nobody's."""
    found, _ = wearer(entry, None, claim(moment, {"user_id": user}, ()))
    return found if isinstance(found, str) else found.reason


@given(CHANGES, SPANS, st.sampled_from([None, 0, 1]))
def test_an_assignment_holds_in_its_span_and_changes_nothing_outside(
    changes: list[Any], made: tuple[str, int | None, int | None], user: int | None
) -> None:
    before, new = entry_of(changes), span(made, user)
    after = assigned(before, new)
    for hour in range(-1, 74):
        moment = at(hour + 0.5)
        inside = (new.from_ is None or new.from_ <= moment) and (
            new.until is None or moment < new.until
        )
        if not inside:
            assert wearers(after, moment) == wearers(before, moment)
        elif user is None:
            assert wearers(after, moment) == [new.patient]
        else:
            assert slot_of(after, moment, user) == new.patient
            for slot in {0, 1, 2} - {user}:
                assert slot_of(after, moment, slot) == slot_of(before, moment, slot)


@settings(max_examples=60)
@given(CHANGES, st.lists(HOURS, min_size=1, max_size=6, unique=True), SPANS)
def test_every_reject_that_an_assignment_mends_is_found_by_it(
    changes: list[Any], hours: list[int], made: tuple[str, int | None, int | None]
) -> None:
    """Law of re-driving: what is not covered would be refused again."""
    before, new = entry_of(changes), span(made)
    device = Device()
    device.registry.put(before)
    sent = {
        hour: frame([measurement(hour * 60, "heart_rate", "70")], 80 * 60, seq=hour)
        for hour in hours
    }
    rejects = {hour: reject for hour in hours for reject in device.send(sent[hour]).rejects}
    assert {reject.reason for reject in rejects.values()} <= IDENTITY
    device.registry.put(assigned(before, new))
    for hour, reject in rejects.items():
        if device.send(sent[hour]).account.readings:
            assert covers("d", new, reject)
    assert not any(covers("other", new, reject) for reject in rejects.values())


def test_a_reject_by_another_fault_or_of_another_time_is_not_covered() -> None:
    device = Device({"v": 1, "device": "d", "assignments": []})
    (early,) = device.send(frame([measurement(0, "heart_rate", "70")], 0)).rejects
    (unreadable,) = device.send(
        frame([{"at": stamp(1), "characteristic": "2A37", "payload": "16"}], 1, seq=1)
    ).rejects
    later = Assignment(patient="ada", from_=START + timedelta(minutes=6))
    assert covers("d", msgspec.structs.replace(later, from_=START), early)
    assert not covers("d", later, early)
    # the device's own clock
    assert covers("d", Assignment(patient="ada", until=START - timedelta(days=29)), early)
    assert not covers("d", Assignment(patient="ada", until=START - timedelta(days=30)), early)
    assert not covers("d", Assignment(patient="ada"), unreadable)


def test_each_user_of_a_shared_scale_is_missed_when_silent() -> None:
    """The first of its wearers is not the only one."""
    expected = [
        {"v": 1, "patient": name, "expected_every": {"weight": 60}} for name in ("ada", "ben")
    ]
    output = replay_frames(
        [scale(0), {**scale(1, 1), "seq": 1, "frame": "f1"}], [SHARED, *expected], until=120
    )
    silent = {
        alert["patient"] for alert in of_type(output, "alert") if alert["group"] == "device:silence"
    }
    assert silent == {"ada", "ben"}
