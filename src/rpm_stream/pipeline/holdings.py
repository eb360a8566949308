"""Which patient has which readings after corrections, and the actions that move them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Literal

import msgspec

from rpm_stream.ids import deterministic_id
from rpm_stream.normalise.wearer import USER
from rpm_stream.pipeline.chunks import chunks
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.records import Action, Assignment, Reading, Readings, Record

CORRECTED = -2  # no partition of Kafka: adopted readings do not come from a message of rpm.readings
# in one action: half of what the contract allows, because it also names the windows around them
MOST_READINGS = 250
ADOPTED = "adopted"  # flag of a reading that was first assigned to another person


def adopted_id(reading_id: str, patient: str) -> str:
    """Return the id of a reading as ``patient``'s own.

    The old id stays with the record of the wrong patient.
    """
    return deterministic_id("adopted", reading_id, patient)


def as_message(action: Action, patient: str, received_at: datetime | None = None) -> Readings:
    """Return the readings of a correction as a message of ``patient``.

    The message was received with the correction. None means when the correction was made.
    """
    at = action.at if received_at is None else received_at
    return correction_message(
        at, patient, tuple(_adopted(reading, patient) for reading in action.readings)
    )


def correction_message(at: datetime, patient: str, readings: tuple[Reading, ...]) -> Readings:
    """Return readings as a message that a correction causes."""
    return Readings(
        patient=patient,
        frame="",
        partition=CORRECTED,
        offset=0,
        chunk=0,
        received_at=at,
        readings=readings,
    )


def _adopted(reading: Reading, patient: str) -> Reading:
    flags = reading.flags if ADOPTED in reading.flags else (*reading.flags, ADOPTED)
    return msgspec.structs.replace(
        reading, id=adopted_id(reading.id, patient), patient=patient, flags=flags
    )


class Holdings:
    """The present owner of each reading of one device and period.

    It combines how the readings were ingested and how corrections moved them since. Fill it with
    the messages of rpm.readings and rpm.actions. Order and repetition do not matter.
    """

    def __init__(self, device: str, span: Assignment) -> None:
        self._device = device
        self._span = span
        self._readings: dict[str, Reading] = {}
        self._voided: set[str] = set()

    def add(self, readings: Sequence[Reading]) -> None:
        """Add readings of rpm.readings."""
        self._readings.update(
            (reading.id, reading) for reading in readings if self._is_meant(reading)
        )

    def act(self, action: Action) -> None:
        """Apply a message of rpm.actions."""
        if action.action == "adopt":
            self.add(as_message(action, action.patient).readings)
        elif action.action == "void":
            self._voided |= {reading.id for reading in action.readings}

    def wrong(self, patient: str | None) -> list[Reading]:
        """Return the readings that a patient other than ``patient`` has, by wearer and time.

        None means that they belong to no patient.
        """
        found = [
            reading
            for reading in self._readings.values()
            if reading.patient != patient and reading.id not in self._voided
        ]
        return sorted(
            found,
            key=lambda reading: (reading.patient, reading.measured_at, reading.vital, reading.id),
        )

    @property
    def voided(self) -> frozenset[str]:
        """The ids of readings, of any device, that were already taken back."""
        return frozenset(self._voided)

    def corrections(
        self, order: Correction, shown: Collection[str], remaining: Remaining
    ) -> list[Action]:
        """Return the actions that move the readings to ``order.patient``.

        They give ``order.patient`` the readings that it does not have yet, and take them from the
        patients who have them. ``shown`` has the ids of what was published singly. ``remaining``
        has what else is in the windows of ``wrong``.

        Readings are first adopted and then taken back. So an interrupted correction can be given
        again, and does only the rest.
        """
        actions: list[Action] = []
        for wearer, readings in groupby(
            self.wrong(order.patient), key=lambda reading: reading.patient
        ):
            for batch in chunks(list(readings), MOST_READINGS):
                if order.patient and (new := self._not_yet(batch, order.patient)):
                    actions.append(_action(order, "adopt", order.patient, new))
                singly = tuple(reading.id for reading in batch if reading.id in shown)
                void = _action(order, "void", wearer, batch)
                actions.append(
                    msgspec.structs.replace(void, shown=singly, windows=remaining.of(batch))
                )
        return actions

    def _not_yet(self, readings: Sequence[Reading], patient: str) -> tuple[Reading, ...]:
        """Return those that no earlier correction gave to ``patient``."""
        return tuple(
            reading for reading in readings if adopted_id(reading.id, patient) not in self._readings
        )

    def _is_meant(self, reading: Reading) -> bool:
        span = self._span
        at = reading.measured_at
        if reading.device != self._device or (
            span.user is not None and reading.attributes.get(USER) != span.user
        ):
            return False
        return (span.from_ is None or span.from_ <= at) and (span.until is None or at < span.until)


class Correction(Record, frozen=True, kw_only=True):
    """A person's order about a device's readings.

    ``patient`` is the owner of the readings, or None if they belong to no patient. ``who``, ``at``
    and ``reason`` describe the order itself.
    """

    patient: str | None
    who: str
    at: datetime
    reason: str


def _action(
    order: Correction, kind: Literal["adopt", "void"], patient: str, readings: tuple[Reading, ...]
) -> Action:
    return Action(
        patient=patient,
        action=kind,
        who=order.who,
        at=order.at,
        reason=order.reason,
        readings=readings,
    )
