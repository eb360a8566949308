"""For each kind of rule a patient for whom it finds something, and values that let it recover."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from rpm_stream.alert.episode import Member
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.pipeline.score_instant import Scoring
from rpm_stream.records import Alert, FindingKind, Reading
from support.corrections import correction
from support.frames import START, reading_of, registry_of
from support.readings import message_of

Value = tuple[float, str, str]  # minutes, vital, value
DAY = 1440.0


class Patient:
    """The judge of one patient, which gets readings as they come out of ingest."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.registry = registry_of([{"v": 1, "patient": "p", **entry}])
        self.judge = Judge(shipped(), self.registry)
        self.patient = unpack_patient(None, "p")
        self.offset = 0

    def send(self, values: Iterable[Value]) -> tuple[list[Reading], list[Alert]]:
        """Send one message for each moment. Return the readings and the alert records."""
        sent: list[Reading] = []
        alerts: list[Alert] = []
        for minutes, vital, value in values:
            self.offset += 1
            reading = reading_of(
                vital, value, shipped().vitals[vital].unit, minutes, id=f"r-{vital}-{self.offset}"
            )
            judged = self.judge.step(self.patient, message_of(reading, offset=self.offset))
            assert judged is not None
            sent.append(reading)
            alerts += judged.alerts
        return sent, alerts

    def tick(self, minutes: float) -> None:
        self.judge.tick(self.patient, START + timedelta(minutes=minutes))

    def take_back(self, wrong: list[Reading]) -> None:
        at = self.patient.state.now or START
        self.judge.act(self.patient, correction("void", wrong, at))

    def put(self, **fields: Any) -> None:
        """Change the patient's registry entry."""
        for entry in registry_of([{"v": 1, "patient": "p", **fields}]).patients.values():
            self.registry.put(entry)

    def held(self, kind: FindingKind) -> dict[str, Member]:
        """Return the members of a kind that have not recovered."""
        episodes = self.patient.state.episodes.values()
        members = {name: member for episode in episodes for name, member in episode.members.items()}
        return {
            name: member
            for name, member in members.items()
            if member.kind == kind and not member.well
        }


class Example(msgspec.Struct, frozen=True):
    """An example for one kind of rule.

    The rule finds something in ``wrong`` after ``calm``, and ``well`` lets it recover. ``again`` is
    a value in which the rule finds something only if ``wrong`` still counts. ``entry`` holds fields
    of the patient. ``late`` is sent last before the rule finds something, and first before it
    recovers.
    """

    calm: list[Value]
    wrong: list[Value]
    well: list[Value]
    again: list[Value] = []
    entry: dict[str, Any] = {}
    late: Callable[[Patient], None] = lambda patient: None
    mend: Callable[[Patient], None] = lambda patient: None


def panel(minutes: float, rate: str, saturation: str, pulse: str) -> list[Value]:
    """Return values of four vitals of NEWS2."""
    return [
        (minutes, "respiratory_rate", rate),
        (minutes, "oxygen_saturation", saturation),
        (minutes, "heart_rate", pulse),
        (minutes, "body_temperature", "36.8"),
    ]


def line(vital: str, values: Iterable[str], first: float, every: float) -> list[Value]:
    """Return values of one vital at equal distances."""
    return [(first + number * every, vital, value) for number, value in enumerate(values)]


def fail(patient: Patient) -> None:
    """Let the step for one reading fail."""

    instant = Scoring.instant

    def failing(self: Scoring, patient: Any, entry: Any, readings: Any) -> Any:
        if readings[0].value == "73":
            raise RuntimeError("a fault of the service")
        return instant(self, patient, entry, readings)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Scoring, "instant", failing)
        patient.send([(1, "heart_rate", "73")])


BAD_LIMIT = {
    "vital": "heart_rate",
    "high": "9999",
    "unit": "/min",
    "owner": "dr-7",
    "priority": "medium",
}
USUAL = [str(68 + number * 7 % 9) for number in range(230)]
EXAMPLES: dict[FindingKind, Example] = {
    "limit": Example(
        calm=line("heart_rate", ["72", "74"], 0, 5),
        wrong=[(10, "heart_rate", "145")],
        well=line("heart_rate", ["72"] * 5, 15, 5),
        again=[(12, "heart_rate", "146")],  # the second in a row is high
    ),
    "news2": Example(
        calm=panel(0, "16", "97", "72"),
        wrong=panel(5, "22", "93", "115"),
        well=[
            value for minutes in range(10, 100, 10) for value in panel(minutes, "16", "97", "72")
        ],
        again=[(7, "respiratory_rate", "22")],  # two points, six with those that were taken back
    ),
    "detector": Example(
        calm=line("heart_rate", USUAL, 0, 20),
        wrong=line("heart_rate", ["104"] * 6, 4600, 4),
        well=line("heart_rate", ["72"] * 6, 4640, 4),
    ),
    "trend": Example(
        calm=line("weight", ["80.0", "80.2"] * 15, 0, DAY),
        wrong=line("weight", ["82.5"] * 3, 30 * DAY, DAY),
        well=line("weight", ["80.0"] * 30, 33 * DAY, DAY / 3),
        again=[(33 * DAY, "weight", "80.0")],
    ),
    "rate": Example(
        calm=[(0, "glucose_interstitial", "140")],
        wrong=line("glucose_interstitial", ["120", "100", "85"], 5, 5),
        well=line("glucose_interstitial", ["95", "105", "115", "120", "120"], 20, 5),
        again=[(17, "glucose_interstitial", "80")],
    ),
    "predicted": Example(
        calm=line("glucose_interstitial", ["126"] * 12, 0, 5),
        wrong=line("glucose_interstitial", ["120", "112", "103", "93", "83"], 60, 5),
        well=line("glucose_interstitial", ["92", "110", "120", "126", "126", "126"], 85, 5),
        again=[(92, "glucose_interstitial", "77")],
    ),
    "quality": Example(
        calm=[(0, "systolic", "118")],
        wrong=[(3, "systolic", "190")],
        well=[(20, "systolic", "120"), (40, "systolic", "121")],
    ),
    "device": Example(
        calm=[(0, "battery", "60")],
        wrong=[(5, "battery", "8")],
        well=[(10, "battery", "95")],
    ),
    "silence": Example(
        calm=[(0, "heart_rate", "72")],
        wrong=[],
        well=[(201, "heart_rate", "72")],
        entry={"expected_every": {"heart_rate": 60}},
        late=lambda patient: patient.tick(200),
    ),
    "setting": Example(
        calm=[],
        wrong=[(0, "heart_rate", "72")],
        well=[(1, "heart_rate", "72")],
        entry={"limits": [BAD_LIMIT]},
        mend=lambda patient: patient.put(limits=[]),
    ),
    "not_judged": Example(
        calm=[(0, "heart_rate", "72")],
        wrong=[],
        well=[(5, "heart_rate", "72")],
        late=fail,
    ),
}


def found(kind: FindingKind) -> tuple[Patient, list[Reading]]:
    """Return the patient of an example after its rule found something, and the wrong readings."""
    example = EXAMPLES[kind]
    patient = Patient(example.entry)
    patient.send(example.calm)
    wrong, _ = patient.send(example.wrong)
    example.late(patient)
    return patient, wrong


def size_of(patient: Patient) -> int:
    """Return the number of bytes that score remembers.

    Sealed detectors are left out: the bound of each is in the table of detectors.
    """
    score = msgspec.structs.replace(patient.patient.state.score, detectors={})
    return len(msgspec.msgpack.encode(score))
