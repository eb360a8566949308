"""Ingest one frame of one device: readings, rejects and one account. Composition only.

The steps are: parse the frame, decode its entries (ingest), join what belongs together
(reassembly.py), normalise each entry (normalise) and collect the results (frame_output.py). Each
device has one ``DeviceState``. A step never raises for the content of a frame. A failure inside one
entry refuses that entry as ``internal_error`` and touches nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from rpm_stream.entries import BadEntry, Entry, Refusal
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.fhir.codes import codes_of
from rpm_stream.ingest.frames import Envelope, decode_entries, parse_frame
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.ingest.gatt.quirks import Read, reader
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.normalise.frame_context import FrameContext
from rpm_stream.normalise.seen_entries import frame_known
from rpm_stream.normalise.verb import Normalise
from rpm_stream.pipeline.device_state import DeviceState
from rpm_stream.pipeline.frame_message import FrameMessage, Ingested
from rpm_stream.pipeline.frame_output import FrameOutput, reject_whole
from rpm_stream.pipeline.reassembly import join
from rpm_stream.records import DeviceEntry

__all__ = ["DeviceState", "FrameMessage", "Ingest", "Ingested"]


class Ingest:
    """The pure ingest agent, bound to the tables, with one ``step`` for each frame."""

    def __init__(
        self, knowledge: Knowledge, registry: Registry, recorded_time: bool = False
    ) -> None:
        self.knowledge = knowledge
        self.registry = registry
        self.recorded_time = recorded_time
        self._normalise = Normalise(knowledge)
        self._codes = codes_of(knowledge)
        self._models: dict[str, Read] = {
            model: reader(row) for model, row in knowledge.devices.items()
        }

    def step(self, state: DeviceState, message: FrameMessage) -> Ingested:
        """Apply one frame to ``state``.

        Never raises for the content of the frame.
        """
        # 1. Parse the frame.
        try:
            envelope, kind, raw = parse_frame(message.key, message.value)
            received_at = self._received_at(envelope, message)
        except DecodeError as error:
            return reject_whole(
                message, state.seen, Refusal(reason=error.reason, detail=error.detail)
            )
        except Exception as error:  # noqa: BLE001
            # a defect here must not stop the device's other frames
            return reject_whole(message, state.seen, _internal(error))
        if message.key is None:
            message = msgspec.structs.replace(message, key=envelope.device)
        # 2. Decode its entries, as the device's model needs it.
        device = self.registry.devices.get(envelope.device)
        read = self._models.get(device.model or "", decode) if device is not None else decode
        entries = list(decode_entries(kind, raw, self._codes, read))
        # 3. Join what belongs together.
        frame = _context(message, envelope, received_at, device)
        if device is not None or message.patient is not None:
            frame.is_known = frame_known(
                state.seen, f"{envelope.gateway}\x1f{envelope.boot}", envelope.seq
            )
        if kind == "notifications":
            entries = join(state, entries, read, frame.is_known)
        frame.entries = [entry for entry in entries if isinstance(entry, Entry)]
        if kind != "notifications" and (device is not None or message.patient is not None):
            frame.conflicts = self._normalise.plausibility.conflicting(frame.entries)
        # 4. Normalise each entry and collect the results.
        output = FrameOutput(message, envelope, received_at, state.seen)
        for entry in entries:
            self._entry(state, frame, entry, output)
        return output.done(len(raw))

    def _received_at(self, envelope: Envelope, message: FrameMessage) -> datetime:
        if not self.recorded_time:
            return message.received_at
        return (envelope.received_at or envelope.sent_at).astimezone(UTC)

    def _entry(
        self, state: DeviceState, frame: FrameContext, entry: Entry | BadEntry, output: FrameOutput
    ) -> None:
        if isinstance(entry, BadEntry):
            output.reject(entry, [0], Refusal(reason=entry.reason, detail=entry.detail), "ingest")
            return
        try:
            output.add(entry, self._normalise.entry(state, frame, entry))
        except Exception as error:  # noqa: BLE001  # refuse this entry, keep all others
            parts = [decoded.part for decoded in entry.payload.readings] or [0]
            output.reject(entry, parts, _internal(error), "normalise")


def _context(
    message: FrameMessage, envelope: Envelope, received_at: datetime, device: DeviceEntry | None
) -> FrameContext:
    registered_offset = device.utc_offset if device is not None else None
    return FrameContext(
        frame=envelope.frame,
        device=envelope.device,
        received_at=received_at,
        registered=device,
        unregistered=message.patient,
        offset=registered_offset or envelope.utc_offset,
    )


def _internal(error: Exception) -> Refusal:
    return Refusal(reason="internal_error", detail=type(error).__name__)
