"""A patient's state as sealed bytes, detectors included."""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from rpm_stream.pipeline.patient import Patient, PatientState
from rpm_stream.pipeline.sealed import StateError, seal, unseal

_RIVER = version("river").encode()
_encoder = msgspec.msgpack.Encoder()
_patient = msgspec.msgpack.Decoder(PatientState)


def pack_patient(patient: Patient) -> bytes:
    """The sealed state of one patient; the patient keeps it to undo a step that fails."""
    patient.detectors.store(patient.state.score)
    blob = seal(_encoder.encode(patient.state), _RIVER)
    patient.note_sealed(blob)
    return blob


def unpack_patient(blob: bytes | None, patient: str) -> Patient:
    """The patient, or a fresh one. Raises StateError."""
    if blob is None:
        return Patient(PatientState(patient=patient))
    try:
        return Patient(_patient.decode(unseal(blob, _RIVER)), sealed=blob)
    except msgspec.MsgspecError:
        raise StateError("its fields do not fit this release") from None
