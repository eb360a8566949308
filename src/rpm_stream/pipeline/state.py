"""State as bytes: sealed with the versions of layout and River and a CRC, all checked before anything is restored."""

from __future__ import annotations

from importlib.metadata import version
from zlib import crc32

import msgspec

from rpm_stream.pipeline.device import DeviceState
from rpm_stream.pipeline.patient import Patient, PatientState

LAYOUT = 2
_RIVER = version("river").encode()
_encoder = msgspec.msgpack.Encoder()
_device = msgspec.msgpack.Decoder(DeviceState)
_patient = msgspec.msgpack.Decoder(PatientState)


class StateError(Exception):
    """A state cannot be restored; the text says why, without the state's content."""


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """What stands in a changelog record."""

    layout: int
    river: bytes
    crc: int
    body: bytes


_sealed = msgspec.msgpack.Decoder(Sealed)


def _seal(body: bytes) -> bytes:
    return _encoder.encode(Sealed(layout=LAYOUT, river=_RIVER, crc=crc32(body), body=body))


def _unseal(blob: bytes) -> bytes:
    try:
        sealed = _sealed.decode(blob)
    except msgspec.MsgspecError:
        raise StateError("it is no sealed state") from None
    if sealed.layout != LAYOUT:
        raise StateError(f"its layout is {sealed.layout}, this release reads {LAYOUT}")
    if sealed.river != _RIVER:
        written = sealed.river.decode(errors="replace")
        raise StateError(f"it was written with River {written}, this is {_RIVER.decode()}")
    if crc32(sealed.body) != sealed.crc:
        raise StateError("its checksum is wrong")
    return sealed.body


def pack_device(state: DeviceState) -> bytes:
    """The sealed state of one device."""
    return _seal(_encoder.encode(state))


def unpack_device(blob: bytes | None) -> DeviceState:
    """The state, or a fresh one for a device that was not seen before. Raises StateError."""
    if blob is None:
        return DeviceState()
    try:
        return _device.decode(_unseal(blob))
    except msgspec.MsgspecError:
        raise StateError("its fields do not fit this release") from None


def pack_patient(patient: Patient) -> bytes:
    """The sealed state of one patient, detectors included; the patient keeps it to undo a step that fails."""
    patient.detectors.store(patient.state.score)
    blob = _seal(_encoder.encode(patient.state))
    patient.note_sealed(blob)
    return blob


def unpack_patient(blob: bytes | None, patient: str) -> Patient:
    """The patient, or a fresh one. Raises StateError."""
    if blob is None:
        return Patient(PatientState(patient=patient))
    try:
        return Patient(_patient.decode(_unseal(blob)), sealed=blob)
    except msgspec.MsgspecError:
        raise StateError("its fields do not fit this release") from None
