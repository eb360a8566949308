"""The whole pipeline without Kafka: messages in, output lines out, in the order of cause.

It serves as debugger, test and oracle. Time is that of the records: ``now`` of a frame is its
received_at, else its sent_at. Before each record its patient's clock ticks. With ``until`` all
clocks tick once more at the end, including patients from whom something is expected and nothing was
heard. Windows that are still open come last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from rpm_stream.entries import Refusal
from rpm_stream.ingest.csv.rows import BadRow, CsvFrame
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry, plain_fault
from rpm_stream.pipeline.actions import read_action
from rpm_stream.pipeline.frame_output import Rejected, make_reject
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest, Ingested
from rpm_stream.pipeline.judge import Judge, Judged, Patient, act_once
from rpm_stream.pipeline.order import is_forwarded, read_message
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.pipeline.patient_state import is_applied
from rpm_stream.records import UNREADABLE, Action, Forwarded, Position, Readings, Time

LineType = Literal["reading", "score", "alert", "observation", "reject"]
KINDS: tuple[LineType, ...] = ("reading", "score", "alert", "observation", "reject")
# the receipt time of input that has no time and is before all that has one
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
# no partition of Kafka: a frame of a file is never taken for a repeated message of rpm.readings
FILE = -1

_encoder = msgspec.json.Encoder()
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ReplayLine(msgspec.Struct, frozen=True):
    """One output line: its type and the record as JSON."""

    type: LineType
    record: msgspec.Raw

    def encode(self) -> bytes:
        """Return the line with its line end."""
        return b'{"type":"%s","record":%s}\n' % (self.type.encode(), bytes(self.record))


class _Glance(msgspec.Struct, frozen=True):
    """The fields that any JSON object may have, before it is known to be a frame."""

    device: Any = None  # Any: the value may have any type
    sent_at: Any = None
    received_at: Any = None


_glance = msgspec.json.Decoder(_Glance)


class FileInput:
    """Numbers the messages of the input. ``clock`` is the time of those that name none."""

    def __init__(self) -> None:
        self.count = 0
        self.clock = UNKNOWN_TIME

    def message(self, key: str | None, value: bytes, lines: tuple[int, ...]) -> FrameMessage:
        """Return the next message of the input.

        Time and device are read from the value if possible, also for a frame that will be refused.
        """
        self.count += 1
        at = None
        if key is None:
            key, at = _key_and_time(value)
        position = Position(topic="file", partition=FILE, offset=self.count)
        return FrameMessage(
            key=key, value=value, position=position, received_at=at or self.clock, lines=lines
        )


class ReplayLines:
    """Makes the lines of the wanted kinds."""

    def __init__(self, wanted: frozenset[LineType]) -> None:
        self._wanted = wanted

    def of(self, judged: Judged) -> Iterator[ReplayLine]:
        """Yield the lines of what the judge returned."""
        for reject in judged.rejects:
            yield from self.record("reject", reject)
        for score in judged.scores:
            yield from self.record("score", score)
        for alert in judged.alerts:
            yield from self.record("alert", alert)
        if "observation" in self._wanted:
            for observation in judged.observations:
                yield ReplayLine("observation", msgspec.Raw(observation.body))

    def record(self, kind: LineType, record: msgspec.Struct) -> Iterator[ReplayLine]:
        """Yield the line of a record."""
        if kind in self._wanted:
            yield ReplayLine(kind, msgspec.Raw(_encoder.encode(record)))


class Replay:
    """The state of one replay.

    Feed it in order. Each call yields the lines that it caused. With ``recorded_time`` the
    received_at of a frame is its own, as in a file. Otherwise it is that of the message.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        registry: Registry,
        emit: Collection[LineType] = KINDS,
        recorded_time: bool = True,
    ) -> None:
        self._ingest = Ingest(knowledge, registry, recorded_time)
        self._judge = Judge(knowledge, registry)
        self._registry = registry
        self._devices: dict[str, DeviceState] = {}
        self._patients: dict[str, Patient] = {}
        self._lines = ReplayLines(frozenset(emit))
        self._input = FileInput()

    @property
    def messages(self) -> int:
        """The number of frames, messages and bad rows so far."""
        return self._input.count

    def jsonl(self, value: bytes, line: int) -> Iterator[ReplayLine]:
        """Process a line of JSON.

        A line is a frame by default. With the key ``readings`` it is a message of rpm.readings, and
        with ``action`` a decision. In a message of rpm.actions ``action`` is a text. Such a line
        may also have ``readings``, as a correction has. In a message of rpm.readings ``action`` is
        an object.
        """
        try:
            message = _message_of(value)
        except UNREADABLE as error:
            is_schema = isinstance(error, msgspec.ValidationError)
            why = Refusal(
                reason="bad_schema" if is_schema else "bad_json", detail=plain_fault(error)
            )
            yield from self._refused(self._input.message(None, value, (line,)), why)
            return
        if message is None:
            yield from self.frame(self._input.message(None, value, (line,)))
        else:
            yield from self.applied(message)

    def message(self, value: bytes) -> Iterator[ReplayLine]:
        """Process a message of rpm.readings or rpm.actions.

        An unreadable message causes nothing, as in the service.
        """
        try:
            message = _message_of(value)
        except UNREADABLE:
            return
        if message is not None:
            yield from self.applied(message)

    def applied(self, message: Readings | Forwarded | Action) -> Iterator[ReplayLine]:
        """Process a decoded message of rpm.readings or rpm.actions.

        A message of rpm.readings that was applied before causes nothing.
        """
        if isinstance(message, Action):
            yield from self._acted(message)
        elif not is_applied(self._patient(message.patient).state, message):
            yield from (
                self._forwarded(message)
                if isinstance(message, Forwarded)
                else self._judged(message)
            )

    def csv(self, found: CsvFrame | BadRow) -> Iterator[ReplayLine]:
        """Process a frame of a CSV file, or a row that is no record."""
        if isinstance(found, CsvFrame):
            message = self._input.message(found.device, found.value, found.lines)
            yield from self.frame(msgspec.structs.replace(message, patient=found.patient))
            return
        message = self._input.message(found.device, found.original, (found.line,))
        if found.at is not None:
            message = msgspec.structs.replace(message, received_at=found.at.astimezone(UTC))
        yield from self._refused(message, Refusal(reason=found.reason, detail=found.detail))

    def frame(self, message: FrameMessage) -> Iterator[ReplayLine]:
        """Process a message of rpm.frames."""
        done = self.ingested(message)
        yield from self.refused(done)
        for readings in done.readings:
            yield from self.read(readings)

    def ingested(self, message: FrameMessage) -> Ingested:
        """Return ingest's results for a message of rpm.frames, without judging or output."""
        done = self._ingest.step(
            self._devices.setdefault(message.key or "", DeviceState()), message
        )
        self._input.clock = done.account.received_at
        return done

    def refused(self, done: Ingested) -> Iterator[ReplayLine]:
        """Yield the rejects of a frame."""
        for reject in done.rejects:
            yield from self._lines.record("reject", reject)

    def read(self, message: Readings) -> Iterator[ReplayLine]:
        """Process readings that were made of a frame here.

        Yields a line for each, then the lines of the judge.
        """
        for reading in message.readings:
            yield from self._lines.record("reading", reading)
        yield from self._judged(message)

    def finish(self, until: datetime | None) -> Iterator[ReplayLine]:
        """Process the end of the input."""
        if until is not None:
            for name in dict.fromkeys([*self._patients, *self._registry.expecting]):
                yield from self._lines.of(self._judge.tick(self._patient(name), until))
        for patient in self._patients.values():
            yield from self._lines.of(self._judge.close(patient))

    def state_of(self, patient: str) -> bytes:
        """Return the sealed state of a patient as the service would keep it.

        The state is new if the patient did not occur.
        """
        return pack_patient(self._patient(patient))

    def _judged(self, message: Readings) -> Iterator[ReplayLine]:
        patient = self._patient(message.patient)
        yield from self._lines.of(self._judge.tick(patient, message.received_at))
        if judged := self._judge.step(patient, message):
            yield from self._lines.of(judged)

    def _forwarded(self, message: Forwarded) -> Iterator[ReplayLine]:
        patient = self._patient(message.patient)
        yield from self._lines.of(self._judge.tick(patient, message.received_at))
        if judged := act_once(self._judge, patient, message):
            yield from self._lines.of(judged)

    def _acted(self, action: Action) -> Iterator[ReplayLine]:
        patient = self._patient(action.patient)
        yield from self._lines.of(self._judge.tick(patient, action.at))
        yield from self._lines.of(self._judge.act(patient, action))

    def _patient(self, name: str) -> Patient:
        if name not in self._patients:
            self._patients[name] = unpack_patient(None, name)
        return self._patients[name]

    def _refused(self, message: FrameMessage, why: Refusal) -> Iterator[ReplayLine]:
        rejected = Rejected(original=message.value, why=why, stage="ingest")
        yield from self._lines.record("reject", make_reject(message, message.received_at, rejected))


def _message_of(value: bytes) -> Readings | Forwarded | Action | None:
    """Return the message of a topic other than rpm.frames, or None for a possible frame.

    Raises msgspec.MsgspecError for a line that has the keys of such a message and is none.
    """
    if b'"readings"' not in value and b'"action"' not in value:
        return None
    keys = _keys.decode(value)
    if "action" in keys and not is_forwarded(keys):
        return read_action(value)
    return read_message(value) if keys.keys() & {"action", "readings"} else None


def _key_and_time(value: bytes) -> tuple[str | None, datetime | None]:
    """Return the device and the receipt time that a line of JSON names.

    Each is None if the line does not name it.
    """
    try:
        glance = _glance.decode(value)
    except UNREADABLE:
        return None, None
    device = (
        glance.device if isinstance(glance.device, str) and 0 < len(glance.device) <= 128 else None
    )
    try:
        return device, msgspec.convert(glance.received_at or glance.sent_at, Time).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return device, None
