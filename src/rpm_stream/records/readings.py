"""Readings, the messages that carry them, and the 15-minute summary of a vital."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from rpm_stream.records.base import Code, ExactText, KeptOffset, Record, SensedText, Time, Version
from rpm_stream.records.terms import Absent

# attribute of a reading: the time of the device's clock, where it was ignored
DEVICE_TIME = "device_time"


class Origin(Record, frozen=True, kw_only=True):
    """Where a reading comes from: frame id, index of the entry, part of the entry."""

    frame: Code
    index: int
    part: int


class Reading(Record, frozen=True, kw_only=True):
    """One value of one patient at one time, with value and unit as sensed."""

    v: Version = 1
    id: Code
    patient: Code
    device: Code
    vital: Code
    value: SensedText | None
    unit: Code
    measured_at: Time
    received_at: Time
    utc_offset: KeptOffset | None
    absent: Absent | None
    flags: tuple[Code, ...]
    attributes: dict[str, Any]
    origin: Origin


class Readings(Record, frozen=True, kw_only=True):
    """A message of ``rpm.readings``: the readings of one frame and patient.

    It has at most 500 readings and half a MiB. More are sent in chunks.

    - ``partition``, ``offset`` and ``chunk`` name the frame's place in ``rpm.frames``, so that the
      judge applies each message once.
    - ``refused`` has values that no body can have, each under the id of its reject and with the
      flag ``refused``. They are rejects and no readings. The judge gets them so that a person
      learns that a device measures nothing.
    - ``line`` is set if the frame was kept while its device's state could not be read. Its place
      then counts in a separate line, because later frames of other devices have been judged before
      it.
    """

    v: Version = 1
    patient: Code
    frame: Code
    partition: int
    offset: int
    chunk: int
    received_at: Time
    readings: tuple[Reading, ...]
    refused: tuple[Reading, ...] = ()
    line: int | None = None


class Window(Record, frozen=True, kw_only=True):
    """The 15-minute summary of one patient and vital.

    ``start`` and ``end`` are in UTC, values in ``unit``. ``received_at`` is the latest of its
    readings. ``device`` is ``None`` if several devices took part.
    """

    patient: Code
    vital: Code
    start: Time
    end: Time
    unit: Code
    count: Annotated[int, Meta(ge=1)]
    minimum: ExactText
    maximum: ExactText
    median: ExactText
    device: Code | None
    utc_offset: KeptOffset | None
    received_at: Time
