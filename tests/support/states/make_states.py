"""Write the files of the present state layout.

Usage: ``PYTHONPATH=tests python -m support.states.make_states``.

Run it once after ``LAYOUT`` was increased, and keep the files for good. A release reads the states
of earlier ones, and ``test_states.py`` reads every file. Each file holds the state of a device or a
patient after one fixed course: a panel of five vitals every five minutes, then an oxygen saturation
that stays low, which a nurse acknowledges. In the two further rounds the pulse rises.
"""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
from support.frames import START, frame, measurement, registry_of, worn
from support.paths import repository

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest, Ingested
from rpm_stream.pipeline.judge import Judge, Patient
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import LAYOUT, pack_device, unpack_device
from rpm_stream.records import Action, Position

FOLDER = repository("tests", "pipeline", "states")
PANEL = {
    "heart_rate": (72, 3),
    "oxygen_saturation": (97, 1),
    "respiratory_rate": (15, 1),
    "body_temperature": (36.7, 0.2),
    "systolic": (125, 5),
}
ROUNDS = 250
LOW = 246  # from this round on the saturation is low


def panel(turn: int) -> bytes:
    """Return the frame of one round. The same arguments give the same bytes."""
    chance, minutes = random.Random(turn), 5 * turn
    values = []
    for vital, (usual, spread) in PANEL.items():
        value = (
            f"{usual + spread * chance.uniform(-1, 1):.{1 if vital == 'body_temperature' else 0}f}"
        )
        if vital == "oxygen_saturation" and turn >= LOW:
            value = "85"
        if vital == "heart_rate" and turn >= ROUNDS:
            value = "135"
        values.append(measurement(minutes, vital, value))
    return msgspec.json.encode(frame(values, minutes, seq=turn))


class Course:
    """One device and its patient, from the beginning or from what a file holds."""

    def __init__(self, device: DeviceState, patient: Patient) -> None:
        registry = registry_of([worn()])
        self._ingest, self._judge = (
            Ingest(shipped(), registry, recorded_time=True),
            Judge(shipped(), registry),
        )
        self.device, self.patient = device, patient

    def ingested(self, turn: int, offset: int) -> Ingested:
        """Return the frame of a round, ingested at a place of rpm.frames."""
        position = Position(topic="rpm.frames", partition=0, offset=offset)
        message = FrameMessage(key="d", value=panel(turn), position=position, received_at=START)
        self.device.applied[0] = offset
        return self._ingest.step(self.device, message)

    def judged(self, done: Ingested) -> dict[str, Any]:
        """Return what the judge makes of a frame's readings.

        A release may not change it silently.
        """
        said: dict[str, Any] = {"alerts": [], "scores": {}, "observations": 0}
        for message in done.readings:
            judged = self._judge.step(self.patient, message)
            assert judged is not None
            said["alerts"] += [
                [each.id, each.priority, each.state, len(each.history)] for each in judged.alerts
            ]
            said["scores"] |= {
                f"{each.detector} {each.vital}": f"{each.score:.6g}" for each in judged.scores
            }
            said["observations"] += len(judged.observations)
        return said

    def acknowledge(self, alert: str) -> None:
        """A nurse has seen the alert."""
        given = Action(
            patient="p",
            alert=alert,
            action="acknowledge",
            who="nurse",
            at=self.patient.state.now or START,
        )
        assert [each.state for each in self._judge.act(self.patient, given).alerts] == [
            "acknowledged"
        ]


def whole() -> Course:
    """Return the course at its end."""
    course = Course(DeviceState(), unpack_patient(None, "p"))
    opened = [course.judged(course.ingested(turn, turn))["alerts"] for turn in range(ROUNDS)]
    course.acknowledge(next(each for each in reversed(opened) if each)[-1][0])
    return course


def next_steps(device: bytes, patient: bytes) -> dict[str, Any]:
    """Return what becomes of the states: the last frame again, and two further rounds.

    The result can be written as JSON.
    """
    course = Course(unpack_device(device), unpack_patient(patient, "p"))
    again = course.ingested(ROUNDS - 1, ROUNDS).account
    further = [course.ingested(turn, turn + 1) for turn in (ROUNDS, ROUNDS + 1)]
    return {
        "again": [again.readings, again.duplicates],
        "readings": [
            [each.id for message in done.readings for each in message.readings] for done in further
        ],
        "judged": [course.judged(done) for done in further],
        "learned": sorted(course.patient.state.score.detectors),
        "episodes": sorted(course.patient.state.episodes),
    }


def main() -> None:
    course = whole()
    device, patient = pack_device(course.device), pack_patient(course.patient)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"layout-{LAYOUT}.device").write_bytes(device)
    (FOLDER / f"layout-{LAYOUT}.patient").write_bytes(patient)
    said = json.dumps(next_steps(device, patient), indent=1, sort_keys=True)
    (FOLDER / f"layout-{LAYOUT}.json").write_text(said + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
