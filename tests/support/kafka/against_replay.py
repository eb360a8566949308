"""What the topics must hold after any fault: the output of ``rpm-stream replay`` (CONTRACT 4).

The replay reads the same frames.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from aiokafka.structs import ConsumerRecord
from support.kafka.service import Service, read

from rpm_stream.app.kafka import names
from rpm_stream.pipeline.held import RULE

# A tick may come between two records. What it changes is compared by id and opened_at.
TIME_DRIVEN = ("stale", "updated_at", "historical", "escalation")
POISON = "poison"  # the device of messages beside the load
Wanted: TypeAlias = dict[str, dict[str, dict[str, Any]]]


def replay_command(file: Path, registry: Path) -> list[str]:
    """Return the command that replays a file and emits all that comes of it."""
    replay = [sys.executable, "-m", "rpm_stream", "replay", str(file)]
    return [*replay, "--registry", str(registry), "--emit", "all"]


def replayed(folder: Path, registry: Path, frames: list[bytes]) -> Wanted:
    """Return the last record of each id, by type, as ``rpm-stream replay`` gives them."""
    file = folder / "frames.jsonl"
    file.write_bytes(b"\n".join(frames))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with subprocess.Popen(replay_command(file, registry), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            body = msgspec.json.decode(line)
            found.setdefault(body["type"], {})[body["record"]["id"]] = body["record"]
    assert process.returncode == 0
    return found


def without_time_driven(body: dict[str, Any]) -> dict[str, Any]:
    """Return what readings alone decide.

    Ticks of wall time come between these records, which are of a year long past.
    """
    kept = {key: value for key, value in body.items() if key not in TIME_DRIVEN}
    kept["history"] = [step for step in body["history"] if step.get("event") != "escalated"]
    return kept


def is_summary(body: dict[str, Any]) -> bool:
    return any(part.get("valueInteger") is not None for part in body.get("component", ()))


class Identified(msgspec.Struct):
    """The part of a record that identifies it in a comparison."""

    id: str


def last_by_id(records: list[ConsumerRecord], what: str) -> tuple[dict[str, dict[str, Any]], int]:
    """Return the last record of each id, and how many records only repeated another.

    One id never has two contents. Only an alert and a summary change under one id, and their last
    record counts (CONTRACT 4 a). It is the last by time, because a patient is in two partitions
    after a growth.
    """
    last: dict[str, bytes] = {}
    repeated = 0
    for record in sorted(records, key=lambda each: each.timestamp):
        value = record.value
        identity = msgspec.json.decode(value, type=Identified).id
        before = last.get(identity)
        repeated += before == value
        assert before is None or before == value or what in ("alert", "observation"), (
            f"two contents of one {what}"
        )
        last[identity] = value
    return {identity: msgspec.json.decode(value) for identity, value in last.items()}, repeated


async def check_readings(service: Service, wanted: dict[str, dict[str, Any]]) -> int:
    """Check that each message of readings has one content, and that they hold the replay's
    readings.

    Return the number of repeated messages.
    """
    messages: dict[Any, bytes] = {}
    repeated = 0
    readings: dict[str, dict[str, Any]] = {}
    for record in await read(service.bootstrap, names.READINGS):
        body = msgspec.json.decode(record.value)
        if "action" in body:
            continue
        place = (body["partition"], body["offset"], body["chunk"], body["patient"])
        repeated += place in messages
        assert messages.setdefault(place, record.value) == record.value, (
            "two contents of one message of readings"
        )
        readings.update((reading["id"], reading) for reading in body["readings"])
    assert readings == wanted
    return repeated


async def check_accounts(service: Service, frames: int, readings: int) -> None:
    """Check that each frame has one account and that the books balance."""
    accounts = {}
    for record in await read(service.bootstrap, names.ACCOUNTS):
        body = msgspec.json.decode(record.value)
        assert accounts.setdefault((body["partition"], body["offset"]), body) == body
        assert body["parts"] == body["readings"] + body["duplicates"] + sum(
            body["rejects"].values()
        )
    assert len(accounts) == frames
    assert sum(body["readings"] for body in accounts.values()) == readings


async def check_against_replay(
    service: Service,
    wanted: Wanted,
    frames: int,
    extra: int = 0,
    alert_as: Callable[[dict[str, Any]], dict[str, Any]] = without_time_driven,
) -> dict[str, int]:
    """Check that the topics hold what the replay of the file gives.

    Each patient's data came under one device key. ``frames`` is the number of messages of
    rpm.frames in the replay, ``extra`` that of others, all refused. ``alert_as`` returns the part
    of an alert that is compared. Return how many records of each kind only repeat another.
    """
    repeated = {"readings": await check_readings(service, wanted["reading"])}
    await check_accounts(service, frames + extra, len(wanted["reading"]))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for what, topic in (
        ("alert", names.ALERTS),
        ("reject", names.REJECTS),
        ("score", names.SCORES),
        ("observation", names.OBSERVATIONS),
    ):
        found[what], repeated[what] = last_by_id(await read(service.bootstrap, topic), what)
    # A damaged state is not part of the order of record.
    found["alert"] = {
        key: body for key, body in found["alert"].items() if not body["rule"].startswith(RULE)
    }
    refused = {key for key, body in found["reject"].items() if body["device"] != POISON}
    assert refused == wanted.get("reject", {}).keys()
    assert found["score"] == wanted["score"]
    for key, body in wanted["alert"].items():
        ours, theirs = alert_as(found["alert"][key]), alert_as(body)
        differing = {
            name: (ours.get(name), theirs.get(name))
            for name in theirs
            if ours.get(name) != theirs.get(name)
        }
        assert not differing, f"alert {key} differs from the replay: {differing}"
    assert found["alert"].keys() == wanted["alert"].keys()
    missing = wanted["observation"].keys() - found["observation"].keys()
    # windows still open when it was read
    assert all(is_summary(wanted["observation"][key]) for key in missing)
    assert found["observation"] == {
        key: body for key, body in wanted["observation"].items() if key not in missing
    }
    return repeated
