"""Glucose Measurement Context (2A34): no reading, joins a 2A18 of the same sequence number.

flags u8, sequence u16, extended flags u8 (bit 7), carbohydrate id u8 + SFLOAT kg (bit 0), meal u8
(bit 1), tester (low nibble) and health (high) u8 (bit 2), exercise u16 s + intensity u8 % (bit 3),
medication id u8 + SFLOAT (bit 4) in kg or L (bit 5), HbA1c SFLOAT % (bit 6). Source: GATT
Specification Supplement and Glucose Service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.medfloat import sfloat_text
from rpm_stream.ingest.gatt.notes import describe, numbered
from rpm_stream.records import Payload

_CARBOHYDRATE, _MEAL, _TESTER, _EXERCISE, _MEDICATION, _LITRE, _HBA1C, _EXTENDED = (
    1 << bit for bit in range(8)
)
_KG_TO_G = 3  # powers of ten
_KG_TO_MG = 6
_L_TO_ML = 3
_EXERCISE_OVERRUN = 0xFFFF

CARBOHYDRATES = numbered(
    """
    1 breakfast
    2 lunch
    3 dinner
    4 snack
    5 drink
    6 supper
    7 brunch
    """
)
MEALS = numbered(
    """
    1 preprandial
    2 postprandial
    3 fasting
    4 casual
    5 bedtime
    """
)
TESTERS: dict[int, str] = {1: "self", 2: "hcp", 3: "lab", 15: "not_available"}
HEALTH = numbered(
    """
    1 minor
    2 major
    3 menses
    4 stress
    5 none
    15 not_available
    """
)
MEDICATIONS: dict[int, str] = {1: "rapid", 2: "short", 3: "intermediate", 4: "long", 5: "pre_mixed"}


def decode_glucose_context(data: bytes, meals: Mapping[int, str] = MEALS) -> Payload:
    """Decode 2A34: attribute ``sequence``, and the other fields if sent.

    These are carbohydrate, meal, tester, health, exercise, medication and HbA1c. ``meals`` has the
    meal codes, of which some models have more.
    """
    cursor = Cursor(data)
    flags = cursor.u8()
    attributes: dict[str, Any] = {"sequence": cursor.u16()}
    if flags & _EXTENDED:
        attributes["extended_flags"] = cursor.u8()
    if flags & _CARBOHYDRATE:
        describe(attributes, "carb", CARBOHYDRATES, cursor.u8())
        attributes["carb_g"] = sfloat_text(cursor.u16(), _KG_TO_G)
    if flags & _MEAL:
        describe(attributes, "meal", meals, cursor.u8())
    if flags & _TESTER:
        octet = cursor.u8()
        describe(attributes, "tester", TESTERS, octet & 0x0F)
        describe(attributes, "health", HEALTH, octet >> 4)
    if flags & _EXERCISE:
        attributes.update(_exercise(cursor.u16(), cursor.u8()))
    if flags & _MEDICATION:
        describe(attributes, "medication", MEDICATIONS, cursor.u8())
        name, shift = ("med_ml", _L_TO_ML) if flags & _LITRE else ("med_mg", _KG_TO_MG)
        attributes[name] = sfloat_text(cursor.u16(), shift)
    if flags & _HBA1C:
        attributes["hba1c_pct"] = sfloat_text(cursor.u16())
    cursor.finish()
    return Payload(attributes=attributes)


def _exercise(seconds: int, intensity_pct: int) -> dict[str, Any]:
    if intensity_pct > 100:
        raise DecodeError("reserved_value", "exercise intensity above 100 %")
    return {
        "exercise_s": "overrun" if seconds == _EXERCISE_OVERRUN else seconds,
        "exercise_pct": intensity_pct,
    }
