"""The sink, which writes Observations from ``rpm.observations`` to the FHIR server.

Each is written at least once and under one id. An offset is committed when the server has answered
for everything before it. A resource that the server refuses for good goes with the answer to
``sink-refused.jsonl`` in the data folder, and is counted. Nothing is dropped.

Patients and Devices are put before the first Observation that names them, from the registry or from
the bare id. One that the EHR owns lacks our identifier and is left as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import get_args

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError
from prometheus_client import Counter

from rpm_stream.app.ehr.client import FailureCause, FhirClient, Resource, ResourceKind
from rpm_stream.app.ehr.outcome import issue_codes
from rpm_stream.app.ehr.refused_file import RefusedFile
from rpm_stream.app.ehr.subjects import Named, Subjects
from rpm_stream.app.kafka.clients import consumer, gone
from rpm_stream.app.kafka.follow import reached
from rpm_stream.app.kafka.names import GROUP_SINK, OBSERVATIONS, REGISTRY
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.ready import tell_ready
from rpm_stream.app.runtime.settings import Settings
from rpm_stream.records import UNREADABLE

BATCH_RECORDS = 500
POLL_MS = 500
SESSION_MS = 10_000
# A FHIR server may be away for hours. Heartbeats show that the sink lives.
POLL_INTERVAL_MS = 24 * 3600 * 1000

READ = Counter("rpm_sink_read_records", "Records read from rpm.observations")
EMPTY = Counter("rpm_sink_empty_records", "Records without a value, which ask for nothing")
SUPERSEDED = Counter(
    "rpm_sink_superseded_records", "Records overtaken in their batch by a later one of the same id"
)
WRITTEN = Counter("rpm_sink_written_resources", "Resources that the FHIR server took", ["kind"])
REFUSED = Counter(
    "rpm_sink_refused_resources", "Resources that went to sink-refused.jsonl", ["kind"]
)
RETRIED = Counter("rpm_sink_retried_requests", "Requests that had to be sent again", ["cause"])
for _kind in get_args(ResourceKind):
    WRITTEN.labels(kind=_kind), REFUSED.labels(kind=_kind)
for _cause in get_args(FailureCause):
    RETRIED.labels(cause=_cause)

_log = structlog.get_logger("rpm_stream.sink")


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of an Observation that the sink needs. The body is passed on unchanged."""

    resource_type: str
    id: str
    subject: Named
    device: Named | None = None


_decode = msgspec.json.Decoder(_Message).decode


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set.

    Raises UsageError without a FHIR server's address or without a broker.
    """
    if settings.fhir_url is None:
        raise UsageError("the sink has no FHIR server: set RPM_FHIR_URL to its base address")
    # At lower levels they log what they send, which is patient data.
    for chatty in ("httpx", "httpcore", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    token = settings.fhir_token.get_secret_value() if settings.fhir_token is not None else None
    async with FhirClient(settings.fhir_url, token, _retried) as client:
        with RefusedFile(settings.data_dir / "sink-refused.jsonl") as refused:
            await Sink(settings.bootstrap, client, refused).run(stop)


class Sink:
    """One member of the group ``rpm-sink``."""

    def __init__(self, bootstrap: str, client: FhirClient, refused: RefusedFile) -> None:
        self._client = client
        self._refused = refused
        self._subjects = Subjects(client)
        self._delivery: asyncio.Task[None] | None = None
        self._bootstrap = bootstrap
        self._registry: AIOKafkaConsumer
        self._observations: AIOKafkaConsumer

    async def run(self, stop: asyncio.Event) -> None:
        """Read the registry to its end, then deliver until ``stop``.

        Raises BrokerAway when the broker is away, then or later.
        """
        member = consumer(
            self._bootstrap,
            group_id=GROUP_SINK,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 3,
            max_poll_interval_ms=POLL_INTERVAL_MS,
        )
        registry = consumer(self._bootstrap, REGISTRY)
        try:
            async with registry as self._registry, member as self._observations:
                await self._read_registry()
                self._observations.subscribe([OBSERVATIONS], listener=_Revoked(self))
                while not stop.is_set():
                    if self._observations.assignment():
                        tell_ready()
                    await self._step(stop)
        except KafkaConnectionError as error:
            raise gone(self._bootstrap, error) from None

    async def _read_registry(self) -> None:
        """Read all records that are in ``rpm.registry`` now.

        Without a group, all partitions are assigned to this consumer.
        """
        partitions = self._registry.assignment()
        if not partitions:
            raise UsageError(f"the topic {REGISTRY} does not exist: run `rpm-stream topics apply`")
        ends = await self._registry.end_offsets(partitions)
        while not await reached(self._registry, ends):
            self._take_registry(await self._registry.getmany(timeout_ms=POLL_MS))

    def _take_registry(
        self, records: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]
    ) -> None:
        for record in (record for some in records.values() for record in some):
            if record.value is not None and not self._subjects.learn(record.value):
                _log.warning(
                    "sink.registry_entry_unreadable",
                    partition=record.partition,
                    offset=record.offset,
                )

    async def _step(self, stop: asyncio.Event) -> None:
        """Read, deliver and commit one batch.

        The batch is not committed when the sink is stopped or its partitions are taken away.
        """
        batch = await self._observations.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        if not batch:
            return
        self._take_registry(await self._registry.getmany(timeout_ms=0))
        self._delivery = asyncio.create_task(
            self._deliver([one for some in batch.values() for one in some])
        )
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({self._delivery, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            await self.abandon()
        if self._delivery.cancelled():
            return
        self._delivery.result()
        await self._commit(
            {partition: records[-1].offset + 1 for partition, records in batch.items()}
        )

    async def abandon(self) -> None:
        """Cancel a delivery under way. Its records are read again, by this member or another."""
        if self._delivery is not None and not self._delivery.done():
            self._delivery.cancel()
            await asyncio.wait({self._delivery})

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        try:
            await self._observations.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            # taken away meanwhile: the new owner writes the same again
            _log.warning("sink.commit_lost", partitions=len(offsets))

    async def _deliver(self, records: Sequence[ConsumerRecord[bytes, bytes]]) -> None:
        """Send the records, and return when the server has answered for all of them.

        Of the records with one id only the last is sent.
        """
        resources: dict[str, Resource] = {}
        named: dict[str, Named] = {}
        for record in records:
            READ.inc()
            if record.value is None:
                EMPTY.inc()
            elif (message := _read(record.value)) is None:
                self._refused.add_unreadable(record.value)
                REFUSED.labels(kind="Observation").inc()
                _log.warning(
                    "sink.observation_unreadable", partition=record.partition, offset=record.offset
                )
            else:
                if resources.pop(message.id, None) is not None:
                    SUPERSEDED.inc()
                resources[message.id] = Resource("Observation", message.id, record.value)
                named.update(
                    (one.reference, one)
                    for one in (message.subject, message.device)
                    if one is not None
                )
        missing = await self._subjects.missing(named.values())
        await self._store(missing)
        self._subjects.stored(missing)
        await self._store(list(resources.values()))

    async def _store(self, resources: Sequence[Resource]) -> None:
        refusals = await self._client.store(resources)
        unwritten = {refusal.resource.reference for refusal in refusals}
        for resource in resources:
            if resource.reference not in unwritten:
                WRITTEN.labels(kind=resource.kind).inc()
        for refusal in refusals:
            self._refused.add(refusal)
            REFUSED.labels(kind=refusal.resource.kind).inc()
            _log.warning(
                "sink.resource_refused",
                kind=refusal.resource.kind,
                status=refusal.status,
                issues=issue_codes(refusal.answer),
            )
        self._refused.sync()


class _Revoked(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Ends the delivery before another member may begin with the same records."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        await self._sink.abandon()

    async def on_partitions_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        """Do nothing, because reading begins at the committed offsets."""


def _read(value: bytes) -> _Message | None:
    try:
        message = _decode(value)
    except UNREADABLE:
        return None
    return message if message.resource_type == "Observation" else None


def _retried(cause: FailureCause) -> None:
    RETRIED.labels(cause=cause).inc()
