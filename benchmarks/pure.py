"""Measure how many notifications a second the pure pipeline takes on one core.

Run: ``python benchmarks/pure.py [--profile] [--quick]`` (``--quick``: 10 patients).

There are 200 patients, each with a strap (2A37 with one RR interval) and an oximeter (2A5F) at 1
Hz, uplinked every 30 seconds. A frame goes through ``Ingest.step`` and its messages through
``Judge.step``, and all outputs are encoded to JSON. Beats differ by
some 30 ms (RMSSD of adults at rest: 20 to 70 ms). Vitals wander as a person's do, and a tenth of
the patients is unwell. Detectors are warm before the clock starts.
"""

from __future__ import annotations

import cProfile
import pstats
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import process_time

import msgspec
from rig import options

from rpm_stream.app.runtime.collector import settle_collector
from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge, Patient
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.state_envelope import pack_device
from rpm_stream.records import Assignment, DeviceEntry, Position

PATIENTS = 200
QUICK_PATIENTS = 10
NOTIFICATIONS = 30  # a frame
ROUNDS = 24
WARM_UP = 8
START = datetime(2026, 3, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class Wearer:
    """One simulated patient: a pulse that wanders, and a saturation that follows."""

    def __init__(self, number: int) -> None:
        self.chance = random.Random(number)
        self.pulse, self.saturation = (118.0, 91.5) if number % 10 == 0 else (72.0, 97.0)
        self.usual = self.pulse

    def payloads(self) -> tuple[str, str]:
        """Return a second's 2A37 and 2A5F in hexadecimal."""
        self.pulse += self.chance.gauss(0, 0.8) + (self.usual - self.pulse) * 0.02
        pulse = round(self.pulse)
        interval = round(1024 * (60 / self.pulse + self.chance.gauss(0, 0.03)))
        saturation = min(100, round(self.saturation + self.chance.gauss(0, 0.7)))
        strap = bytes([0x16, pulse]) + interval.to_bytes(2, "little")
        oximeter = b"\x00" + saturation.to_bytes(2, "little") + pulse.to_bytes(2, "little")
        return strap.hex(), oximeter.hex()


def frames_of(number: int, rounds: int) -> Iterator[tuple[str, bytes]]:
    """Yield (device, frame) of one patient: two frames a round."""
    wearer = Wearer(number)
    for turn in range(rounds):
        begin = START + timedelta(seconds=turn * NOTIFICATIONS)
        seconds = [
            (begin + timedelta(seconds=second), *wearer.payloads())
            for second in range(NOTIFICATIONS)
        ]
        for kind, place in (("2A37", 1), ("2A5F", 2)):
            device = f"{kind}-{number}"
            frame = {
                "v": 1,
                "frame": f"{device}/{turn}",
                "gateway": f"g{number}",
                "device": device,
                "seq": turn,
                "boot": 1,
                "sent_at": begin + timedelta(seconds=NOTIFICATIONS),
                "notifications": [
                    {"at": row[0], "characteristic": kind, "payload": row[place]} for row in seconds
                ],
            }
            yield device, _encode(frame)


class Bench:
    """The two agents without Kafka."""

    def __init__(self, patients: int = PATIENTS) -> None:
        owners = {f"{kind}-{n}": f"p{n}" for n in range(patients) for kind in ("2A37", "2A5F")}
        registry = Registry(
            DeviceEntry(device=device, assignments=(Assignment(patient=patient),))
            for device, patient in owners.items()
        )
        self.ingest = Ingest(shipped(), registry, recorded_time=True)
        self.judge = Judge(shipped(), registry)
        self.devices: dict[str, DeviceState] = {device: DeviceState() for device in owners}
        self.patients: dict[str, Patient] = {
            name: unpack_patient(None, name) for name in set(owners.values())
        }
        self.written = self.offset = self.readings = 0

    def apply(self, device: str, value: bytes) -> None:
        """Process one frame, to the last byte of its outputs."""
        self.offset += 1
        message = FrameMessage(
            key=device,
            value=value,
            position=Position(topic="rpm.frames", partition=0, offset=self.offset),
            received_at=START,
        )
        done = self.ingest.step(self.devices[device], message)
        outputs: list[bytes] = [_encode(done.account), *map(_encode, done.rejects)]
        for readings in done.readings:
            self.readings += len(readings.readings)
            outputs.append(_encode(readings))
            if judged := self.judge.step(self.patients[readings.patient], readings):
                outputs += [_encode(record) for record in (*judged.scores, *judged.alerts)]
                outputs += [observation.body for observation in judged.observations]
        self.written += sum(map(len, outputs))


def main() -> None:
    parser = options.parser(__doc__)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    patients = QUICK_PATIENTS if asked.quick else PATIENTS
    feed = [list(frames_of(number, ROUNDS)) for number in range(patients)]
    ordered = [
        frame for turn in range(2 * ROUNDS) for patient in feed for frame in (patient[turn],)
    ]
    split = 2 * WARM_UP * patients
    bench = Bench(patients)
    for device, value in ordered[:split]:
        bench.apply(device, value)
    bench.readings = bench.written = 0
    settle_collector()  # as in the stages
    profile = cProfile.Profile() if asked.profile else None
    if profile:
        profile.enable()
    began = process_time()
    for device, value in ordered[split:]:
        bench.apply(device, value)
    took = process_time() - began
    if profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(32)
    notifications = (len(ordered) - split) * NOTIFICATIONS
    sizes = sorted(len(pack_patient(patient)) for patient in bench.patients.values())
    devices = sorted(len(pack_device(state)) for state in bench.devices.values())
    print(f"{'notifications/s':24}{notifications / took:12,.0f}")
    print(f"{'readings/s':24}{bench.readings / took:12,.0f}")
    print(f"{'µs a notification':24}{took / notifications * 1e6:12.1f}")
    print(f"{'output, bytes/reading':24}{bench.written / bench.readings:12,.0f}")
    print(f"{'patient state, bytes':24}{sizes[len(sizes) // 2]:12,} median {sizes[-1]:,} largest")
    print(
        f"{'device state, bytes':24}{devices[len(devices) // 2]:12,} median {devices[-1]:,} largest"
    )


if __name__ == "__main__":
    main()
