"""Body Composition Measurement (2A9C).

flags u16, body fat u16 0.1 % (0xFFFF unsuccessful), Date Time (bit 1), user u8 (2), basal
metabolism u16 kJ (3), muscle 0.1 % (4), then masses in 0.005 kg or 0.01 lb (bit 0): muscle (5),
fat-free (6), soft lean (7), water (8). Then impedance 0.1 Ohm (9), weight (10), height (11). Bit 12
means that more packets follow. Bits 13-15 are RFU. Source: GATT Specification Supplement (which
contradicts itself on the impedance: 0.1 Ohm is what vendors send).
"""

from __future__ import annotations

from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.date_time import read_fields
from rpm_stream.ingest.gatt.medfloat import plain
from rpm_stream.ingest.gatt.notes import Notes, Value
from rpm_stream.ingest.gatt.weight import UNSUCCESSFUL, height_value, mass_text, weight_value
from rpm_stream.records import Payload

_IMPERIAL = 1 << 0
_DATE = 1 << 1
_USER = 1 << 2
_METABOLISM = 1 << 3
_MUSCLE = 1 << 4
_IMPEDANCE = 1 << 9
_WEIGHT = 1 << 10
_HEIGHT = 1 << 11
_MORE = 1 << 12
_RFU = 0xE000

_MASSES = (
    (1 << 5, "muscle_mass"),
    (1 << 6, "fat_free_mass"),
    (1 << 7, "soft_lean_mass"),
    (1 << 8, "water_mass"),
)


def decode_body_composition(data: bytes) -> Payload:
    """Decode 2A9C: body_fat (%), impedance (Ohm), weight (kg or [lb_av]), height (m or [in_i]).

    All but body_fat are only there if sent. Attributes: ``bmr_kj``, ``muscle_pct``, the masses with
    their unit in the name (``muscle_mass_kg`` or ``_lb``), and ``more_packets`` if the measurement
    continues in the next payload.
    """
    cursor = Cursor(data)
    flags = cursor.u16()
    imperial = bool(flags & _IMPERIAL)
    values = [_body_fat(cursor.u16())]
    notes = Notes()
    if flags & _DATE:
        notes.stamp(read_fields(cursor))
    if flags & _USER:
        notes.user(cursor.u8())
    _note_tissue(notes, cursor, flags)
    if flags & _IMPEDANCE:
        values.append(Value("impedance", "Ohm", plain(cursor.u16(), -1)))
    if flags & _WEIGHT:
        values.append(weight_value(cursor.u16(), imperial))
    if flags & _HEIGHT:
        values.append(height_value(cursor.u16(), imperial))
    cursor.finish()
    if flags & _MORE:
        notes.attributes["more_packets"] = True
    notes.rfu(flags & _RFU)
    return notes.payload(values)


def _body_fat(raw: int) -> Value:
    if raw == UNSUCCESSFUL:
        return Value("body_fat", "%", None, "error")
    return Value("body_fat", "%", plain(raw, -1))


def _note_tissue(notes: Notes, cursor: Cursor, flags: int) -> None:
    imperial = bool(flags & _IMPERIAL)
    if flags & _METABOLISM:
        notes.attributes["bmr_kj"] = cursor.u16()
    if flags & _MUSCLE:
        notes.attributes["muscle_pct"] = plain(cursor.u16(), -1)
    for mask, name in _MASSES:
        if flags & mask:
            notes.attributes[f"{name}_{'lb' if imperial else 'kg'}"] = mass_text(
                cursor.u16(), imperial
            )
