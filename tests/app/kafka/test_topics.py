"""The contract of the topics: schemas, example messages, and how topics come to a broker."""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource
from aiokafka.errors import MessageSizeTooLargeError
from jsonschema import Draft202012Validator

from rpm_stream.app.broker.broker import Broker
from rpm_stream.app.kafka import schemas as topic_schemas
from rpm_stream.app.kafka import topics
from rpm_stream.app.kafka.names import READINGS
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.decoders import decode
from rpm_stream.pipeline.order import read_message

ROOT = topics.topics_root()
FHIR = "rpm.observations"

# What only the schema can say; ingest says it in code (frames) or rejects the entry alone
# (payloads).
BEYOND_THE_TYPES = {
    "two-kinds-of-entries",
    "no-entries-at-all",
    "payload-in-base64",
    "payload-with-odd-number-of-digits",
    # a clinic may name texts that are no value: tests/ingest/test_written_oddly.py
    "value-with-comma",
    "value-with-exponent",
    "value-in-words",
    "value-and-absent",
    "neither-value-nor-absent",
    "no-alert",
}


def _messages(kind: str) -> list[Any]:
    return [
        pytest.param(topic, path, id=f"{folder}/{path.stem}")
        for topic, folder in topics.FOLDERS.items()
        for path in sorted((ROOT / folder / kind).glob("*.json"))
    ]


def _validator(topic: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(topic_schemas.schema_path(ROOT, topic).read_bytes()))


def _decode(topic: str, text: bytes) -> object:
    """As a consumer of ours would; a registry message is told by its key, whose first word its
    value repeats.
    """
    if topic == READINGS:
        return read_message(text)
    kinds, fields = topic_schemas.RECORDS[topic], json.loads(text)
    names = {kind: kind.__name__.removesuffix("Entry").lower() for kind in kinds}
    told = [
        kind
        for word in ("device", "patient")
        for kind in kinds
        if names[kind] == word and word in fields
    ]
    told += [kind for kind in kinds if names[kind] in fields]
    return msgspec.json.decode(text, type=(told or kinds)[0])


@pytest.mark.parametrize(("topic", "path"), _messages("pass"))
def test_a_good_message_fits_schema_and_record(topic: str, path: Path) -> None:
    text = path.read_bytes()
    errors = [error.message for error in _validator(topic).iter_errors(json.loads(text))]
    assert errors == []
    if topic != FHIR:
        _decode(topic, text)


@pytest.mark.parametrize(("topic", "path"), _messages("fail"))
def test_a_bad_message_fits_neither(topic: str, path: Path) -> None:
    text = path.read_bytes()
    assert not _validator(topic).is_valid(json.loads(text))
    if topic != FHIR and path.stem not in BEYOND_THE_TYPES:
        with pytest.raises(msgspec.ValidationError):
            _decode(topic, text)


@pytest.mark.parametrize("folder", topics.FOLDERS.values())
def test_every_topic_has_several_examples_of_both(folder: str) -> None:
    assert len(list((ROOT / folder / "pass").glob("*.json"))) >= 2
    assert len(list((ROOT / folder / "fail").glob("*.json"))) >= 3


def test_payloads_of_the_good_frames_are_real() -> None:
    """Every notification decodes, but the one that shows that a bad entry is rejected alone."""
    refused = []
    for path in (ROOT / "01-frames" / "pass").glob("*.json"):
        for entry in json.loads(path.read_bytes()).get("notifications") or ():
            try:
                decode(entry["characteristic"], bytes.fromhex(entry["payload"]))
            except DecodeError as error:
                refused.append((path.stem, error.reason))
    assert refused == [("entry-that-will-be-rejected-alone", "truncated")]


def test_schemas_do_not_drift_from_the_records(tmp_path: Path) -> None:
    """Mend with: rpm-stream topics schemas --write."""
    assert topic_schemas.drift(ROOT) == []
    for folder in topics.FOLDERS.values():
        (tmp_path / folder).mkdir()
    assert topic_schemas.write(tmp_path) == list(topic_schemas.RECORDS)
    assert topic_schemas.drift(tmp_path) == []


@pytest.mark.parametrize("topic", topics.FOLDERS)
def test_schema_is_one(topic: str) -> None:
    Draft202012Validator.check_schema(
        json.loads(topic_schemas.schema_path(ROOT, topic).read_bytes())
    )


@pytest.mark.parametrize(("topic", "folder"), topics.FOLDERS.items())
def test_topic_file_is_a_strimzi_topic(topic: str, folder: str) -> None:
    said = yaml.safe_load((ROOT / folder / "topic.yaml").read_text())
    assert (said["apiVersion"], said["kind"]) == ("kafka.strimzi.io/v1", "KafkaTopic")
    assert said["metadata"]["name"] == said["spec"]["topicName"] == topic


def test_partitions_are_the_same_everywhere() -> None:
    """An alert lies in its patient's partition: that needs one number for all."""
    assert {topic.partitions for topic in topics.wanted()} == {4}
    assert {(topic.partitions, topic.replicas) for topic in topics.wanted(12, 3)} == {(12, 3)}


DAY_MS = 86_400_000


@pytest.mark.parametrize(("topic", "folder"), topics.FOLDERS.items())
def test_each_topic_has_a_short_readme_that_is_true(topic: str, folder: str) -> None:
    """The folder's and the table's: the key, who writes and reads, how long it is kept, what is
    guaranteed.
    """
    lines = (ROOT / folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert 5 <= len(lines) <= 12
    assert lines[0].startswith(f"# `{topic}`: ")
    text, table = "\n".join(lines), (ROOT / "README.md").read_text(encoding="utf-8")
    said = (
        "- **Message**: ",
        "- **Key**: ",
        "**Order**: ",
        "- **Written by** ",
        "**Read by** ",
        "- **Guarantee**: ",
    )
    assert [word for word in said if word not in text] == []
    config = yaml.safe_load((ROOT / folder / "topic.yaml").read_text())["spec"]["config"]
    kept = (
        "for good, compacted"
        if config["cleanup.policy"] == "compact"
        else f"{config['retention.ms'] // DAY_MS} days"
    )
    assert f"- **Kept** {kept}" in text
    assert re.search(rf"\| \[`{re.escape(topic)}`\]\({folder}/README.md\) \|.*\| {kept}\b", table)


def test_what_the_readmes_link_to_exists() -> None:
    wrong = []
    for path in ROOT.rglob("*.md"):
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
            file, _, heading = link.partition("#")
            target = path.parent / file if file else path
            titles = (
                re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
                if target.exists()
                else []
            )
            anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
            if not titles or (heading and heading not in anchors):
                wrong.append(f"{path.relative_to(ROOT)}: {link}")
    assert wrong == []


def test_readme_names_every_topic_reason_and_unit() -> None:
    readme = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.md")))
    reasons = _validator("rpm.rejects").schema["$defs"]["Reject"]["properties"]["reason"]["enum"]
    vitals = tomllib.loads(
        files("rpm_stream.knowledge").joinpath("vitals.toml").read_text(encoding="utf-8")
    )
    units = {unit for vital in vitals.values() for unit in vital["units"]}
    words = (*topics.FOLDERS, *reasons, *vitals, *units)
    assert [word for word in words if f"`{word}`" not in readme] == []


@pytest.mark.asyncio
async def test_apply_creates_mends_and_keeps(tmp_path: Path) -> None:
    """On a broker of its own: the names are fixed, and other tests may use them."""
    with Broker(tmp_path, port=0) as broker:
        names = set(topics.FOLDERS)
        assert {line.split(":")[0] for line in await topics.check(broker.bootstrap)} == names
        assert {line.split(":")[0] for line in await topics.apply(broker.bootstrap)} == names
        assert await topics.check(broker.bootstrap) == []
        assert await topics.apply(broker.bootstrap) == []

        await _set(broker.bootstrap, "rpm.frames", {"retention.ms": "5000", "flush.messages": "77"})
        assert [line.split(" is ")[0] for line in await topics.check(broker.bootstrap)] == [
            "rpm.frames: retention.ms",
            "rpm.frames: max.message.bytes",
            "rpm.frames: message.timestamp.type",
        ]
        assert len(await topics.apply(broker.bootstrap)) == 3
        assert await topics.check(broker.bootstrap) == []
        assert await _setting(broker.bootstrap, "rpm.frames", "flush.messages") == "77"

        assert len(await topics.check(broker.bootstrap, partitions=8)) == len(names)
        # says so, and changes nothing
        assert len(await topics.apply(broker.bootstrap, partitions=8)) == len(names)
        assert await topics.check(broker.bootstrap) == []
        await _frames_carry_the_time_of_the_broker(broker.bootstrap)
        await _a_frame_too_large_still_arrives(broker.bootstrap)


@pytest.mark.asyncio
async def test_no_broker_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^no Kafka answers at 127\.0\.0\.1:1 .*: start one"):
        await topics.check("127.0.0.1:1")
    with pytest.raises(UsageError, match="not a Kafka address"):
        await topics.check("127.0.0.1:kafka")


async def _set(bootstrap: str, topic: str, config: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.alter_configs([ConfigResource("TOPIC", topic, config)])
    await admin.close()
    async with asyncio.timeout(15):
        for name, value in config.items():
            # a broker shows it a moment after the controller
            while await _setting(bootstrap, topic, name) != value:
                await asyncio.sleep(0.05)


async def _setting(bootstrap: str, topic: str, name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    [response] = await admin.describe_configs([ConfigResource("TOPIC", topic)])
    await admin.close()
    return str({entry[0]: entry[1] for entry in response.resources[0][4]}[name])


async def _frames_carry_the_time_of_the_broker(bootstrap: str) -> None:
    device = str(uuid4()).encode()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        sent = await producer.send_and_wait("rpm.frames", b"{}", key=device, timestamp_ms=1)
    assert sent.timestamp_type == 1
    assert sent.timestamp > 1_700_000_000_000


async def _a_frame_too_large_still_arrives(bootstrap: str) -> None:
    """So that it becomes a reject with a name instead of an error at the gateway only."""
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_request_size=4_000_000
    ) as producer:
        sent = await producer.send_and_wait("rpm.frames", b"x" * 300_000, key=b"big")
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait("rpm.frames", b"x" * 2_000_000, key=b"bigger")
    async with AIOKafkaConsumer(
        "rpm.frames", bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        async for message in consumer:
            if (message.partition, message.offset) == (sent.partition, sent.offset):
                assert len(message.value) == 300_000
                return
