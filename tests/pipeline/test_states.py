"""States as bytes: a release reads what those before it wrote, and begins nothing anew because
it could not.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.states.make_states import FOLDER, next_steps

from rpm_stream.envelope import enclose
from rpm_stream.pipeline import patient_codec as state
from rpm_stream.pipeline import state_envelope as sealed
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.pipeline.state_envelope import (
    LAYOUT,
    StateError,
    pack_device,
    seal,
    unpack_device,
    unseal,
)
from rpm_stream.score.detectors import codec

LAYOUTS = sorted(int(path.stem.removeprefix("layout-")) for path in FOLDER.glob("layout-*.json"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_states_of_every_release_are_read_and_carried_on(layout: int) -> None:
    """Their duplicates are known, their detectors go on learning, their alert is the same one:
    by the next steps.
    """
    device, patient = (
        (FOLDER / f"layout-{layout}.{kind}").read_bytes() for kind in ("device", "patient")
    )  # as they stood in a changelog
    expected = json.loads((FOLDER / f"layout-{layout}.json").read_text(encoding="utf-8"))
    assert next_steps(device, patient) == expected
    assert expected["again"][0] == 0 < expected["again"][1], "the frame was known"
    assert any(step["alerts"] for step in expected["judged"]), "the alert went on"
    assert "half_space_trees" in expected["learned"]


def test_the_present_layout_has_its_files_and_readers() -> None:
    """Whoever counts LAYOUT up writes the files (make_states.py) and says how the layout before
    is read.
    """
    assert LAYOUTS[-1] == LAYOUT == max(sealed.DEVICES) == max(state.PATIENTS)
    assert set(LAYOUTS) == set(sealed.DEVICES) == set(state.PATIENTS)
    assert {path.name for path in FOLDER.iterdir()} == {
        f"layout-{layout}.{kind}" for layout in LAYOUTS for kind in ("device", "patient", "json")
    }


def test_an_older_layout_is_read_by_its_own_reader() -> None:
    """Layout 1 here: a device's state with its offsets as pairs."""

    def of_1(body: bytes) -> DeviceState:
        return DeviceState(applied=dict(msgspec.msgpack.decode(body)))

    body = msgspec.msgpack.encode([(3, 17)])
    old = enclose(body, b"", 1)
    readers = {1: of_1, **sealed.DEVICES}
    assert unseal(old, sealed.NO_RIVER, readers).applied == {3: 17}
    assert unseal(pack_device(DeviceState(applied={1: 2})), sealed.NO_RIVER, readers).applied == {
        1: 2
    }
    with pytest.raises(StateError, match=f"its layout is 1, this release reads {LAYOUT}$"):
        unpack_device(old)


def test_a_state_under_another_river(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that builds the same trees it is read, learning included; else it is refused, in
    words.
    """
    patient = (FOLDER / f"layout-{LAYOUT}.patient").read_bytes()
    device = (FOLDER / f"layout-{LAYOUT}.device").read_bytes()
    expected = json.loads((FOLDER / f"layout-{LAYOUT}.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(codec, "river_version", "9.9.9")
    with pytest.raises(
        StateError, match=r"the River that wrote it is 0\.26\.1, this release reads 9\.9\.9$"
    ):
        unpack_patient(patient, "p")
    monkeypatch.setattr(codec, "RIVERS", frozenset({"0.26.1", "9.9.9"}))
    assert next_steps(device, patient) == expected


@given(st.data())
def test_any_damage_is_refused_in_words_that_name_nobody(data: st.DataObject) -> None:
    """One octet changed, or the end cut off, anywhere."""
    kind = data.draw(st.sampled_from(("device", "patient")))
    blob = bytearray((FOLDER / f"layout-{LAYOUT}.{kind}").read_bytes())
    place = data.draw(st.integers(0, len(blob) - 1))
    if data.draw(st.booleans()):
        blob[place] ^= data.draw(st.integers(1, 255))
    else:
        del blob[place:]
    with pytest.raises(StateError) as refused:
        unpack_device(bytes(blob)) if kind == "device" else unpack_patient(bytes(blob), "p")
    assert str(refused.value).startswith(("it is no sealed state", "its checksum is wrong"))


def test_what_is_whole_but_not_this_patients_or_of_other_fields_is_refused() -> None:
    patient = (FOLDER / f"layout-{LAYOUT}.patient").read_bytes()
    with pytest.raises(StateError, match=r"^it is the state of another patient$"):
        unpack_patient(patient, "zaphod")
    with pytest.raises(StateError, match=r"^its fields do not fit this release$"):
        unpack_device(seal(msgspec.msgpack.encode({"applied": "zaphod"}), b""))
    marks = msgspec.msgpack.encode({"seen": {"exact": {"2A37": b"zaphod"}}})
    with pytest.raises(StateError, match=r"^its fields do not fit this release$"):
        unpack_device(seal(marks, b""))
