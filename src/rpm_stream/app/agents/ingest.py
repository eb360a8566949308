"""The ingest agent.

It reads rpm.frames by device and writes rpm.readings, rpm.rejects and rpm.accounts. It also
forwards rpm.actions to rpm.readings.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.batches import BatchWork, TurnPolicy
from rpm_stream.app.agents.catch_up import CatchUp, LateStep
from rpm_stream.app.agents.forwarding import Forwarding
from rpm_stream.app.agents.gateway_clocks import GatewayClocks
from rpm_stream.app.agents.hold_notices import NoNotices
from rpm_stream.app.agents.holding import Holding
from rpm_stream.app.agents.kept_frames import Lines
from rpm_stream.app.agents.ready import tell_when_serving
from rpm_stream.app.agents.states import Form, KeyedStates
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.agents.strays import Strays
from rpm_stream.app.engine.application import BatchApp, Outgoing, new_app, source, state_table
from rpm_stream.app.engine.watch import watch
from rpm_stream.app.kafka.frame_record import frame_message, is_redriven
from rpm_stream.app.kafka.layout import Layout
from rpm_stream.app.kafka.names import ACCOUNTS, ACTIONS, FRAMES, GROUP_INGEST, READINGS
from rpm_stream.app.kafka.names import REJECTS as REJECTS_TOPIC
from rpm_stream.app.kafka.range_reader import KafkaClients
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.end import guarded
from rpm_stream.app.runtime.metrics import MESSAGES, PARTS, REJECTS, REPEATED, STEP_SECONDS
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.ingest.frames import MOST_BYTES
from rpm_stream.knowledge import Knowledge
from rpm_stream.pipeline.held import HeldState
from rpm_stream.pipeline.ingest import DeviceState, Ingest, Ingested
from rpm_stream.pipeline.state_envelope import check_device, pack_device, unpack_device

STAGE = "ingest"
SLICE_BYTES = 512 * 1024  # 6,600 notifications
# The judge decides by the place of a frame or an action whether it has applied it before. So those
# of a partition must not overtake each other on their way to a patient, and a device may be worn by
# another patient tomorrow. Therefore partitions take turns, not keys. Each topic has its own turns,
# so that a decision does not wait behind a backlog of frames.
PARTITIONS_IN_TURN = TurnPolicy(
    STAGE, lambda record: (record.topic, record.partition), SLICE_BYTES, SLICE_BYTES
)
DEVICE_FORM = Form(lambda blob, _: unpack_device(blob), pack_device, check_device)
_encode = msgspec.json.Encoder().encode


def ingest_app(
    settings: Settings, knowledge: Knowledge, layout: Layout, clock: Clock | None = None
) -> BatchApp:
    """The Faust application of the ingest stage, for topics with the partitions of ``layout``."""
    partitions = layout.counts[FRAMES]
    app = new_app(GROUP_INGEST, partitions, settings)
    app.clock = clock or Clock.of(settings)
    table = state_table(app, FRAMES, partitions)
    states = KeyedStates(table, DEVICE_FORM)
    reader = RegistryReader(settings.bootstrap)
    recorded_time = settings.time == "recorded"
    clocks = None if recorded_time else GatewayClocks()
    step = IngestStep(Ingest(knowledge, reader.registry, recorded_time), clocks)
    forwarding = Forwarding(recorded_time)
    steps = StateSteps(states, Holding(STAGE, app, NoNotices()))
    steps.too_large = step.refused_if_large
    if layout.grown:
        steps.elsewhere = Strays(partitions, table, step.refused).passed_on
    work = BatchWork(app, table, PARTITIONS_IN_TURN, steps)
    catch_up = CatchUp(app, steps, work.alone, step.late, settings.bootstrap)

    async def frames(stream: Any) -> None:
        await reader.ready.wait()
        async for event in stream.noack().events():
            # The registry was mended for it, perhaps a moment ago.
            if any(map(is_redriven, event.value)):
                await reader.caught_up()
            work.add(event, step.apply)

    async def actions(stream: Any) -> None:
        async for event in stream.noack().events():
            work.pass_on(event, forwarding.apply)

    app.agent(source(app, FRAMES, partitions), concurrency=1, name="ingest")(frames)
    app.agent(source(app, ACTIONS, layout.counts[ACTIONS]), concurrency=1, name="actions")(actions)
    app.task(lambda: guarded(work.run, "ingest"))
    app.task(lambda: guarded(lambda: catch_up.run(reader.ready), "looking after held states"))
    app.task(lambda: guarded(reader.run, "reading the registry"))
    app.task(lambda: guarded(lambda: watch(app, STAGE), "watching the consumer"))
    app.task(lambda: guarded(lambda: tell_when_serving(app, reader), "telling that it is ready"))
    return app


class IngestStep:
    """One frame through the pure step, counted."""

    def __init__(self, ingest: Ingest, clocks: GatewayClocks | None = None) -> None:
        """``clocks`` sees each frame. It is None where the times are those of a recording."""
        self._ingest = ingest
        self._clocks = clocks

    def apply(self, state: DeviceState, record: ConsumerRecord) -> list[Outgoing] | None:
        """Return the outputs for a frame, or None for a frame that this state has applied."""
        return self._apply(state, record, None)

    def refused(self, record: ConsumerRecord) -> list[Outgoing] | None:
        """Return the outputs for a frame that is refused whatever is known of its device."""
        return self.apply(DeviceState(), record)

    def refused_if_large(self, record: ConsumerRecord) -> list[Outgoing] | None:
        """Return the outputs for a frame that is too large, or None for any other frame."""
        return self.refused(record) if len(record.value or b"") > MOST_BYTES else None

    async def late(
        self, broker: KafkaClients, key: bytes, partition: int, held: HeldState
    ) -> LateStep[DeviceState]:
        """Return the step for the kept frames of a device. It is ``apply`` with their lines."""
        lines = await Lines.of(broker, key, partition, held)
        return lambda state, record: self._apply(state, record, lines)

    def _apply(
        self, state: DeviceState, record: ConsumerRecord, lines: Lines | None
    ) -> list[Outgoing] | None:
        if record.offset <= state.applied.get(record.partition, -1):
            REPEATED.labels(STAGE).inc()
            return None
        if self._clocks is not None:
            self._clocks.note(record)
        began = perf_counter()
        done = self._ingest.step(state, frame_message(record))
        state.applied[record.partition] = record.offset
        outputs = list(_outputs(done, record.key, lines))
        STEP_SECONDS.labels(STAGE).observe(perf_counter() - began)
        _count(done)
        return outputs


def _outputs(done: Ingested, key: bytes | None, lines: Lines | None) -> list[Outgoing]:
    messages = done.readings if lines is None else map(lines.placed, done.readings)
    outputs: list[Outgoing] = [
        (READINGS, message.patient.encode(), _encode(message), None) for message in messages
    ]
    outputs += [(REJECTS_TOPIC, key, _encode(reject), None) for reject in done.rejects]
    outputs.append((ACCOUNTS, key, _encode(done.account), None))
    return outputs


def _count(done: Ingested) -> None:
    account = done.account
    MESSAGES.labels(STAGE).inc()
    for outcome, count in (
        ("in", account.parts),
        ("reading", account.readings),
        ("duplicate", account.duplicates),
        ("reject", sum(account.rejects.values())),
        ("context", account.context),
    ):
        if count:
            PARTS.labels(STAGE, outcome).inc(count)
    for reason, count in account.rejects.items():
        REJECTS.labels(reason).inc(count)
