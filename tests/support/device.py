"""The ingest of one device, as the service runs it, over a registry that may change."""

from __future__ import annotations

from typing import Any

import msgspec

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import parse_entry
from rpm_stream.pipeline.frame_output import parts_of
from rpm_stream.pipeline.ingest import DeviceState, FrameMessage, Ingest, Ingested
from rpm_stream.pipeline.state_envelope import pack_device, unpack_device
from rpm_stream.records import Position
from support.frames import START, registry_of

Record = dict[str, Any]


class Device:
    """The ingest of one device over a registry that may change, restarted before every frame."""

    def __init__(self, *entries: Record) -> None:
        self.registry = registry_of(entries)
        self.ingest = Ingest(shipped(), self.registry, recorded_time=True)
        self.state, self.offset = DeviceState(), 0

    def send(self, value: Record) -> Ingested:
        self.offset += 1
        self.state = unpack_device(pack_device(self.state))
        position = Position(topic="rpm.frames", partition=0, offset=self.offset)
        body = msgspec.json.encode(value)
        done = self.ingest.step(
            self.state, FrameMessage(key="d", value=body, position=position, received_at=START)
        )
        account = done.account
        # law 1
        assert account.parts == account.readings + account.duplicates + sum(
            map(parts_of, done.rejects)
        )
        return done

    def put(self, entry: Record) -> None:
        self.registry.put(parse_entry(msgspec.json.encode(entry)))


def counts(done: Ingested) -> tuple[int, int, int]:
    """Return the numbers of readings, duplicates and rejects."""
    return done.account.readings, done.account.duplicates, len(done.rejects)
