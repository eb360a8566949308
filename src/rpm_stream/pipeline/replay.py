"""The whole pipeline without Kafka: messages in, output lines out, in the order of cause. Debugger, test and oracle.

Time is the records' own: ``now`` of a frame is its received_at, else sent_at. Before each record its patient's clock
ticks; with ``until`` all clocks tick once more at the end; windows still open come last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest, make_reject
from rpm_stream.pipeline.judge import Judge, Judged, Patient
from rpm_stream.pipeline.state import pack_patient, unpack_patient
from rpm_stream.normalise import Refusal
from rpm_stream.records import Position, Readings
from rpm_stream.registry import Registry

Kind = Literal["reading", "score", "alert", "observation", "reject"]
KINDS: tuple[Kind, ...] = ("reading", "score", "alert", "observation", "reject")
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)  # receipt of a frame that cannot be read, in a file without clock

_encoder = msgspec.json.Encoder()
_readings = msgspec.json.Decoder(Readings)
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Line(msgspec.Struct, frozen=True):
    """One output line: its type and the record as JSON."""

    type: Kind
    record: msgspec.Raw

    def encode(self) -> bytes:
        return b'{"type":"%s","record":%s}\n' % (self.type.encode(), bytes(self.record))


class Replay:
    """State of one replay. Feed it in order; each call gives the lines that it caused."""

    def __init__(self, knowledge: Knowledge, registry: Registry, emit: Collection[Kind] = KINDS) -> None:
        self._ingest = Ingest(knowledge, registry, recorded_time=True)
        self._judge = Judge(knowledge, registry)
        self._devices: dict[str, DeviceState] = {}
        self._patients: dict[str, Patient] = {}
        self._emit = frozenset(emit)

    def jsonl(self, value: bytes, line: int) -> Iterator[Line]:
        """A line of JSON: a frame, or a message of rpm.readings (it has the key ``readings``)."""
        position = Position(topic="file", partition=0, offset=line)
        if b'"readings"' in value:
            try:
                if "readings" in _keys.decode(value):
                    yield from self._judged(_readings.decode(value))
                    return
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                reason = "bad_schema" if isinstance(error, msgspec.ValidationError) else "bad_json"
                yield from self._refused(value, line, Refusal(reason=reason, detail=str(error)))
                return
        message = FrameMessage(key=None, value=value, position=position, received_at=UNKNOWN_TIME, lines=(line,))
        yield from self.frame(message)

    def frame(self, message: FrameMessage) -> Iterator[Line]:
        """A message of rpm.frames."""
        key = message.key or _device_of(message.value)
        state = self._devices.setdefault(key, DeviceState())
        done = self._ingest.step(state, message)
        for reject in done.rejects:
            yield from self._lines("reject", reject)
        for readings in done.readings:
            for reading in readings.readings:
                yield from self._lines("reading", reading)
            yield from self._judged(readings)

    def bad_row(self, original: bytes, line: int, why: Refusal) -> Iterator[Line]:
        """A row of a file that is no record."""
        yield from self._refused(original, line, why)

    def finish(self, until: datetime | None) -> Iterator[Line]:
        """End of the input."""
        for patient in self._patients.values() if until else ():
            yield from self._output(self._judge.tick(patient, until or UNKNOWN_TIME))
        for patient in self._patients.values():
            yield from self._output(self._judge.close(patient))

    def _judged(self, message: Readings) -> Iterator[Line]:
        patient = self._patients.get(message.patient)
        if patient is None:
            patient = self._patients[message.patient] = unpack_patient(None, message.patient)
        yield from self._output(self._judge.tick(patient, message.received_at))
        if judged := self._judge.step(patient, message):
            yield from self._output(judged)

    def _output(self, judged: Judged) -> Iterator[Line]:
        for score in judged.scores:
            yield from self._lines("score", score)
        for alert in judged.alerts:
            yield from self._lines("alert", alert)
        if "observation" in self._emit:
            for observation in judged.observations:
                yield Line("observation", msgspec.Raw(observation.body))

    def _lines(self, kind: Kind, record: Any) -> Iterator[Line]:  # Any: one of the five records
        if kind in self._emit:
            yield Line(kind, msgspec.Raw(_encoder.encode(record)))

    def _refused(self, value: bytes, line: int, why: Refusal) -> Iterator[Line]:
        message = FrameMessage(
            key=None,
            value=value,
            position=Position(topic="file", partition=0, offset=line),
            received_at=UNKNOWN_TIME,
            lines=(line,),
        )
        yield from self._lines("reject", make_reject(message, UNKNOWN_TIME, why, value, "ingest", None))

    def state_of(self, patient: str) -> bytes:
        """The sealed state of a patient, as the service would keep it."""
        return pack_patient(self._patients[patient])


def _device_of(value: bytes) -> str:
    """The device a frame names; frames that cannot be read share one (unused) state."""
    try:
        device = msgspec.json.decode(_keys.decode(value).get("device", b'""'))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    return device if isinstance(device, str) else ""
