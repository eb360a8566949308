"""The stories: tables of vitals over time and of the devices that measure them.

``load`` and ``load_ward`` read them.
"""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta

from rpm_stream.records import Offset, Record

StoryName: TypeAlias = Literal[
    "copd",
    "heart-failure",
    "hypertension",
    "diabetes-sensor",
    "diabetes-meter",
    "sepsis",
    "post-operative",
    "quiet",
]
STORIES: tuple[StoryName, ...] = get_args(StoryName)
StoryDeviceKind: TypeAlias = Literal[
    "oximeter",
    "strap",
    "breathing",
    "cuff",
    "thermometer",
    "scale",
    "meter",
    "glucose_sensor",
    "battery",
]
Minutes: TypeAlias = Annotated[int, Meta(ge=1)]


class VitalCourse(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The value of one vital over the time of a story.

    It follows straight lines between ``anchors`` (hour of the story, value). A daily wave and noise
    are added. ``low`` and ``high`` are the bounds of the result.
    """

    anchors: Annotated[tuple[tuple[float, float], ...], Meta(min_length=1)]
    low: float
    high: float
    swing: float = 0.0  # half the height of the daily wave, which is highest at 16:00 local time
    noise: float = 0.0  # standard deviation of a measurement
    spread: float = 0.0  # standard deviation between patients
    digits: int = 0  # decimals that the device shows
    step: float | None = None  # the device's grid, if it is coarser than its digits


class StoryDevice(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One device of the patient: its kind, and how often it measures.

    ``seconds`` is for a strap, which then measures at 1 Hz.
    """

    name: str
    kind: StoryDeviceKind
    every_minutes: Minutes
    offset_minutes: int = 0
    seconds: int = 30


class Story(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A course of several days, for any patient."""

    name: StoryName
    title: str
    hours: Annotated[int, Meta(ge=1)]
    utc_offset: Offset
    oxygen_scale: Literal[1, 2]
    expected_every: dict[str, Minutes]
    courses: dict[str, VitalCourse]
    devices: tuple[StoryDevice, ...]


class Bed(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patient of the ward, with a story and the hour of it at which the patient enters."""

    story: StoryName
    enter_hour: float
    display: str
    born: str


class _Ward(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    beds: Annotated[tuple[Bed, ...], Meta(min_length=1)]


def load(name: StoryName) -> Story:
    """Return a story by its name."""
    return msgspec.toml.decode(_text(name), type=Story)


def load_ward() -> tuple[Bed, ...]:
    """Return the beds of the ward, in order."""
    return msgspec.toml.decode(_text("ward"), type=_Ward).beds


def _text(name: str) -> str:
    return (resources.files(__package__) / f"{name}.toml").read_text(encoding="utf-8")
