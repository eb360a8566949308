"""The load of all benchmarks: people with a chest strap and an oximeter, in frames of 30.

Frames alternate between the two devices of a person, and a notification comes each second. A
strap's carries the heart rate and one RR interval (2A37), an oximeter's saturation and pulse
(2A5F): two values each. The same arguments give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from rpm_stream.app.simulator.encode.gatt import Continuous, HeartRate, continuous, heart_rate
from rpm_stream.records import Assignment, DeviceEntry, Frame, Notification, PatientEntry, Record

NOTIFICATIONS = 30  # a frame
PATIENTS = 200
# one person in so many has a heart rate and a saturation beyond the shipped limits
UNWELL_EVERY = 20
# Later than any clock here. With time as recorded, the judge's ticks are older than its data
# and do nothing.
RECORDED_START = datetime(2100, 1, 1, tzinfo=UTC)
RED_RATE = 190  # /min, beyond every limit: high at once
_encode = msgspec.json.Encoder().encode


class Load(Record, frozen=True, kw_only=True):
    """How many frames of how many people.

    ``red`` gives each person one frame with RED_RATE, in the second half.
    """

    frames: int
    patients: int = PATIENTS
    start: datetime = RECORDED_START
    red: bool = False
    seed: int = 1


def patient_name(number: int) -> str:
    """Return the name of the person with this number, from 0."""
    return f"bench-{number:04d}"


def registry_of(load: Load) -> list[DeviceEntry | PatientEntry]:
    """Return every person, and who wears which device."""
    entries: list[DeviceEntry | PatientEntry] = []
    for number in range(load.patients):
        patient = patient_name(number)
        worn = (Assignment(patient=patient),)
        entries.append(PatientEntry(patient=patient))
        entries += [
            DeviceEntry(device=f"{kind}-{number:04d}", assignments=worn)
            for kind in ("strap", "oximeter")
        ]
    return entries


def red_frames(load: Load) -> dict[int, int]:
    """Map the number of each frame with red readings to the number of its person.

    Such a frame is a strap's, in the second half.
    """
    rounds = load.frames // load.patients
    if not load.red or rounds < 2:
        return {}
    chance = Random(f"{load.seed} red")
    straps = [turn for turn in range(rounds // 2, rounds) if turn % 2 == 0]
    return {
        chance.choice(straps) * load.patients + number: number for number in range(load.patients)
    }


def frames_of(load: Load) -> Iterator[tuple[bytes, bytes]]:
    """Yield key and value of each message of rpm.frames, the people in turn."""
    chance = Random(load.seed)
    usual = [chance.uniform(60, 80) for _ in range(load.patients)]
    red = red_frames(load)
    for count in range(load.frames):
        turn, number = divmod(count, load.patients)
        began = load.start + timedelta(seconds=turn // 2 * NOTIFICATIONS)
        unwell = not load.red and number % UNWELL_EVERY == UNWELL_EVERY - 1
        rate = RED_RATE if count in red else usual[number] + 45 * unwell
        if turn % 2 == 0:
            kind = "strap"
            characteristic = "2A37"
            payloads = _strap(chance, rate)
        else:
            kind = "oximeter"
            characteristic = "2A5F"
            payloads = _oximeter(chance, rate, 92 if unwell else 97)
        device = f"{kind}-{number:04d}"
        frame = Frame(
            v=1,
            frame=f"{device}.{turn}",
            gateway=f"gw-{number:04d}",
            device=device,
            seq=turn // 2,
            boot="2100-01-01T00:00:00Z",
            sent_at=began + timedelta(seconds=NOTIFICATIONS),
            notifications=[
                Notification(
                    at=began + timedelta(seconds=second),
                    characteristic=characteristic,
                    payload=payload.hex(),
                )
                for second, payload in enumerate(payloads)
            ],
        )
        yield device.encode(), _encode(frame)


def _strap(chance: Random, rate: float) -> list[bytes]:
    rates = [chance.gauss(rate, 2) for _ in range(NOTIFICATIONS)]
    return [
        heart_rate(HeartRate(rate=round(each), rr=(round(60 * 1024 / each),))) for each in rates
    ]


def _oximeter(chance: Random, rate: float, saturation: int) -> list[bytes]:
    def saturated() -> str:
        return str(saturation + chance.choice((-1, 0, 0, 1)))

    pairs = [(saturated(), str(round(chance.gauss(rate, 2)))) for _ in range(NOTIFICATIONS)]
    return [continuous(Continuous(normal=pair)) for pair in pairs]
