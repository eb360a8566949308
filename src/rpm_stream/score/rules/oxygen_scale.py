"""The scales of oxygen saturation, by which NEWS2 and the limits judge it."""

from __future__ import annotations

from typing import Literal

from rpm_stream.records.registry import PatientEntry

# The scale of oxygen saturation. Scale 2 is used by prescription only.
OxygenScale = Literal["1", "2 on air", "2 on oxygen", "2 unknown"]
SATURATION = "oxygen_saturation"
OXYGEN_WORDS: dict[OxygenScale, str] = {
    "2 on air": "on air",
    "2 on oxygen": "on oxygen",
    "2 unknown": "oxygen not known",
}
SCALE_WORDS: dict[OxygenScale, str] = {
    scale: f"scale 2, {words}" for scale, words in OXYGEN_WORDS.items()
}


def has_scale_2(patient: PatientEntry) -> bool:
    """Whether a patient's saturation is judged on scale 2.

    A pregnant woman has a chart of her own without it.
    """
    return patient.oxygen_scale == 2 and not patient.pregnant
