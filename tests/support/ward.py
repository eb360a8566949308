"""The judge of one patient, as the service runs it: messages in, alert records out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest
from rpm_stream.pipeline.judge import Judge
from rpm_stream.pipeline.patient_codec import unpack_patient
from rpm_stream.records import Action, Alert, Position, Readings
from support.frames import START, frame, measurement, registry_of, worn


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class Ward:
    """The judge of one patient, as the service runs it."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.registry = registry_of((worn(), *entries))
        self.ingest, self.judge = (
            Ingest(shipped(), self.registry, recorded_time=True),
            Judge(shipped(), self.registry),
        )
        self.device, self.patient = DeviceState(), unpack_patient(None, "p")
        self.offset = 0

    def message(self, minutes: float, *values: tuple[Any, ...]) -> Readings:
        self.offset += 1
        sent = frame([measurement(*value) for value in values], minutes, seq=self.offset)
        position = Position(topic="rpm.frames", partition=0, offset=self.offset)
        done = self.ingest.step(
            self.device,
            FrameMessage(
                key="d", value=msgspec.json.encode(sent), position=position, received_at=START
            ),
        )
        (message,) = done.readings
        return message

    def send(self, minutes: float, *values: tuple[Any, ...]) -> tuple[Alert, ...]:
        judged = self.judge.step(self.patient, self.message(minutes, *values))
        assert judged is not None
        return judged.alerts

    def now(self, vital: str, value: str, minutes: float) -> tuple[Alert, ...]:
        return self.send(minutes, (minutes, vital, value))

    def act(self, action: Any, alert: str, minutes: float = 60, **fields: Any) -> tuple[Alert, ...]:
        given = {
            "patient": "p",
            "alert": alert,
            "action": action,
            "who": "nurse",
            "at": after(minutes),
        }
        return self.judge.act(self.patient, Action(**(given | fields))).alerts

    def tick(self, minutes: float) -> tuple[Alert, ...]:
        return self.judge.tick(self.patient, after(minutes)).alerts
