"""Encode and decode a patient's state as sealed bytes, detectors included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from river.__version__ import __version__ as river_version

from rpm_stream.envelope import StateError, checked, unseal
from rpm_stream.pipeline.old_members import fill_in
from rpm_stream.pipeline.patient_state import Patient, PatientState
from rpm_stream.pipeline.state_envelope import seal
from rpm_stream.score.detectors.codec import readable_rivers

_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(PatientState).decode


def _with_members(body: bytes) -> PatientState:
    """Return a state whose members all have kind and key.

    The first states of layout 3 have members with names alone.
    """
    state = _decode(body)
    fill_in(state.episodes)
    return state


PATIENTS: Final[Mapping[int, Callable[[bytes], PatientState]]] = {3: _with_members}


def pack_patient(patient: Patient) -> bytes:
    """Return the sealed state of one patient.

    The patient keeps it to undo a step that fails.
    """
    patient.detectors.store(patient.state.score)
    blob = seal(_encoder.encode(patient.state), river_version.encode())
    patient.note_sealed(blob)
    return blob


def _rivers() -> frozenset[bytes]:
    return frozenset(river.encode() for river in readable_rivers())


def check_patient(blob: bytes) -> None:
    """Check a sealed state cheaply: checksum, layout and versions only.

    Raises StateError.
    """
    checked(blob, _rivers(), PATIENTS)


def unpack_patient(blob: bytes | None, patient: str) -> Patient:
    """Return the patient, or a new one if ``blob`` is None.

    Raises StateError.
    """
    if blob is None:
        return Patient(PatientState(patient=patient))
    state = unseal(blob, _rivers(), PATIENTS)
    if state.patient != patient:
        raise StateError("it is the state of another patient")
    return Patient(state, sealed=blob)
