"""The judge agent, which reads rpm.readings by patient.

It writes rpm.scores, rpm.alerts and rpm.observations. It reads nothing else, because people's
decisions come among the readings, in their order (``pipeline/order.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from time import perf_counter
from typing import Any

import msgspec
import structlog
from aiokafka.structs import ConsumerRecord

from rpm_stream.app.agents.batches import BatchWork, TurnPolicy
from rpm_stream.app.agents.catch_up import CatchUp, LateStep
from rpm_stream.app.agents.detector_budget import report_costs
from rpm_stream.app.agents.hold_notices import FeedNotices
from rpm_stream.app.agents.holding import Holding
from rpm_stream.app.agents.ready import tell_when_serving
from rpm_stream.app.agents.states import Form, KeyedStates
from rpm_stream.app.agents.steps import StateSteps
from rpm_stream.app.agents.ticks import Barrier
from rpm_stream.app.engine.application import BatchApp, Outgoing, new_app, source, state_table
from rpm_stream.app.engine.watch import watch
from rpm_stream.app.kafka.names import ALERTS as ALERTS_TOPIC
from rpm_stream.app.kafka.names import GROUP_JUDGE, READINGS, REJECTS
from rpm_stream.app.kafka.names import OBSERVATIONS as OBSERVATIONS_TOPIC
from rpm_stream.app.kafka.names import SCORES as SCORES_TOPIC
from rpm_stream.app.kafka.partitions import home_of
from rpm_stream.app.kafka.range_reader import KafkaClients
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.runtime.clock import Clock
from rpm_stream.app.runtime.end import guarded
from rpm_stream.app.runtime.metrics import (
    ALERTS,
    MEASURED_TO_ALERT,
    MESSAGES,
    OBSERVATIONS,
    PARTS,
    RECEIVED_TO_ALERT,
    REPEATED,
    SCORES,
    STEP_SECONDS,
)
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry, plain_fault
from rpm_stream.pipeline.held import HeldState
from rpm_stream.pipeline.judge import Judge, Judged, Patient, act_once
from rpm_stream.pipeline.order import read_message
from rpm_stream.pipeline.patient_codec import check_patient, pack_patient, unpack_patient
from rpm_stream.records import UNREADABLE, Forwarded

STAGE = "judge"
SLICE_BYTES = 1024 * 1024  # 3,200 readings
TURN_BYTES = 256 * 1024  # 800 readings of one patient
log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


def judge_app(
    settings: Settings, knowledge: Knowledge, partitions: int, clock: Clock | None = None
) -> BatchApp:
    """The Faust application of the judge stage."""
    app = new_app(GROUP_JUDGE, partitions, settings)
    table = state_table(app, READINGS, partitions)
    states = KeyedStates(table, Form(unpack_patient, pack_patient, check_patient))
    patients_in_turn = TurnPolicy(STAGE, lambda record: record.key, SLICE_BYTES, TURN_BYTES)
    clock = clock or Clock.of(settings)
    app.clock = clock
    reader = RegistryReader(settings.bootstrap, knowledge)
    report_costs(knowledge)
    step = JudgeStep(Judge(knowledge, reader.registry), clock, partitions)
    steps = StateSteps(states, Holding(STAGE, app, FeedNotices(step.home)))
    work = BatchWork(app, table, patients_in_turn, steps)
    catch_up = CatchUp(app, steps, work.alone, step.late, settings.bootstrap)

    async def readings(stream: Any) -> None:
        await reader.ready.wait()
        async for event in stream.noack().events():
            work.add(event, step.apply)

    app.agent(source(app, READINGS, partitions), concurrency=1, name="judge")(readings)
    barrier = Barrier(app, settings, clock)

    async def ticks() -> None:
        await reader.ready.wait()
        async for partition, at in barrier.passed():
            silent = step.expecting(reader.registry, partition)
            keys = barrier.due(dict.fromkeys((*table.keys_of({partition}), *silent)), at)
            await work.change(partition, keys, lambda patient, at=at: step.tick(patient, at))  # type: ignore[misc]

    app.task(lambda: guarded(work.run, "judging"))
    app.task(lambda: guarded(lambda: catch_up.run(reader.ready), "looking after held states"))
    app.task(lambda: guarded(reader.run, "reading the registry"))
    app.task(lambda: guarded(ticks, "time without data"))
    app.task(lambda: guarded(lambda: watch(app, STAGE), "watching the consumer"))
    app.task(lambda: guarded(lambda: tell_when_serving(app, reader), "telling that it is ready"))
    return app


class JudgeStep:
    """One message through the pure steps, counted."""

    def __init__(self, judge: Judge, clock: Clock, partitions: int) -> None:
        self._judge = judge
        self._clock = clock
        self.home = cache(lambda name: home_of(name, partitions))

    def apply(self, patient: Patient, record: ConsumerRecord) -> list[Outgoing] | None:
        """Return the outputs for a message of rpm.readings.

        Returns None for a message that this patient's state has applied.
        """
        began = perf_counter()
        try:
            message = read_message(record.value or b"")
        except UNREADABLE as error:  # of another program: only ingest writes this topic
            log.error(
                "judge.not_readings",
                partition=record.partition,
                offset=record.offset,
                fault=plain_fault(error),
            )
            return None
        if isinstance(message, Forwarded):
            return self._forwarded(patient, message)
        judged = self._judge.step(patient, message)
        if judged is None:
            REPEATED.labels(STAGE).inc()
            return None
        outputs = self._outputs(patient, judged)
        STEP_SECONDS.labels(STAGE).observe(perf_counter() - began)
        MESSAGES.labels(STAGE).inc()
        PARTS.labels(STAGE, "in").inc(len(message.readings))
        self._count(judged, message.received_at)
        return outputs

    async def late(
        self, _broker: KafkaClients, _key: bytes, _partition: int, _held: HeldState
    ) -> LateStep[Patient]:
        """Return the step for kept messages, which is ``apply``."""
        return self.apply

    def _forwarded(self, patient: Patient, message: Forwarded) -> list[Outgoing] | None:
        """Return the outputs for a person's decision."""
        judged = act_once(self._judge, patient, message)
        if judged is None:
            REPEATED.labels(STAGE).inc()
            return None
        self._count(judged, None)
        return self._outputs(patient, judged)

    def expecting(self, registry: Registry, partition: int) -> Iterator[bytes]:
        """The patients of a partition of whom something is expected.

        They tick even before any message of theirs arrived.
        """
        names = (name.encode() for name in registry.expecting)
        return (name for name in names if self.home(name) == partition)

    def tick(self, patient: Patient, at: datetime) -> list[Outgoing]:
        """Return the outputs for time without data."""
        judged = self._judge.tick(patient, at)
        self._count(judged, None)
        return self._outputs(patient, judged)

    def _outputs(self, patient: Patient, judged: Judged) -> list[Outgoing]:
        name = patient.state.patient.encode()
        home = self.home(name)  # an alert lies where its patient does
        outputs: list[Outgoing] = [
            (SCORES_TOPIC, name, _encode(score), None) for score in judged.scores
        ]
        outputs += [
            (ALERTS_TOPIC, alert.id.encode(), _encode(alert), home) for alert in judged.alerts
        ]
        outputs += [
            (OBSERVATIONS_TOPIC, name, observation.body, None)
            for observation in judged.observations
        ]
        outputs += [
            (REJECTS, reject.device.encode(), _encode(reject), None) for reject in judged.rejects
        ]
        return outputs

    def _count(self, judged: Judged, received_at: datetime | None) -> None:
        now = self._clock.now()
        for alert in judged.alerts:
            ALERTS.labels(alert.priority, alert.state).inc()
            if received_at is not None and alert.state == "open":
                MEASURED_TO_ALERT.observe(max(0.0, (now - alert.measured_at).total_seconds()))
                RECEIVED_TO_ALERT.observe(max(0.0, (now - received_at).total_seconds()))
        for score in judged.scores:
            SCORES.labels(score.detector).inc()
        OBSERVATIONS.inc(len(judged.observations))
