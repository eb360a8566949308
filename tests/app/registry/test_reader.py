"""What a worker makes of the registry's messages: a setting that cannot be used is told, never
passed over.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from rpm_stream.app.registry.file import read_registry
from rpm_stream.app.registry.reader import RegistryReader
from rpm_stream.app.runtime import metrics
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.knowledge import shipped

GOOD = {"vital": "heart_rate", "high": 120, "unit": "/min", "owner": "dr"}
WRONG = {**GOOD, "unit": "kg"}


def patient(*limits: dict[str, Any]) -> bytes:
    return json.dumps({"v": 1, "patient": "ada-lovelace", "limits": limits}).encode()


def faulty() -> float:
    return metrics.REGISTRY_FAULTS._value.get()


def test_a_limit_in_a_wrong_unit_is_told_loudly_and_names_nobody() -> None:
    reader = RegistryReader("nowhere", shipped())
    with capture_logs() as logs:
        reader.apply(b"patient/ada-lovelace", patient(WRONG, GOOD))
    (told,) = logs
    assert (told["log_level"], told["of"]) == ("error", "patient")
    assert (
        told["fault"] == "limit 1: heart rate is not measured in 'kg'; it may be /min, {beats}/min"
    )
    assert "ada" not in str(told)
    assert faulty() == 1
    reader.apply(b"patient/ada-lovelace", patient(GOOD))  # mended
    assert faulty() == 0
    reader.apply(b"patient/ada-lovelace", patient(WRONG, WRONG))
    assert faulty() == 2
    reader.apply(b"patient/ada-lovelace", None)  # gone
    assert (faulty(), reader.registry.patients) == (0, {})


def test_what_cannot_be_read_is_told_and_counted_and_the_rest_holds() -> None:
    reader = RegistryReader("nowhere", shipped())
    with capture_logs() as logs:
        reader.apply(
            b"patient/ada",
            b'{"v":1,"patient":"ada","born":"2022-01-01\\n","oxygen_scale":3,"panel":"x"}',
        )
    assert [each["fault"] for each in logs] == [
        "oxygen_scale cannot be read and is left out",
        "born is not YYYY, YYYY-MM or YYYY-MM-DD, so it is not known whether this is a child",
    ]
    assert faulty() == 2
    assert reader.registry.patients["ada"].panel == "x"
    assert reader.registry.left_out == {"patient/ada": ("oxygen_scale",)}
    reader.apply(b"patient/ada", None)
    assert (faulty(), reader.registry.left_out) == (0, {})


def test_panels_and_programmes_are_kept_and_told_alike() -> None:
    reader = RegistryReader("nowhere", shipped())
    with capture_logs() as logs:
        for kind in ("panel", "programme"):
            reader.apply(f"{kind}/x".encode(), json.dumps({kind: "x", "limits": [WRONG]}).encode())
    assert [each["of"] for each in logs] == ["panel", "programme"]
    assert (list(reader.registry.panels), list(reader.registry.programmes)) == (["x"], ["x"])
    for kind in ("panel", "programme"):
        reader.apply(f"{kind}/x".encode(), None)
    assert (reader.registry.panels, reader.registry.programmes, faulty()) == ({}, {}, 0)


def test_a_file_is_refused_whole_with_line_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "registry.jsonl"
    file.write_bytes(patient(GOOD) + b"\n" + patient(GOOD, WRONG) + b"\n")
    assert len(list(read_registry(file))) == 2  # as a replay reads what is on the topic already
    with pytest.raises(UsageError, match=r"line 2: limit 2: heart rate is not measured in 'kg'"):
        list(read_registry(file, shipped()))


def test_all_settings_that_cannot_be_used_are_told_a_line_each_and_name_nobody(
    tmp_path: Path,
) -> None:
    file = tmp_path / "registry.jsonl"
    born = json.dumps({"patient": "Ada", "born": "01.05.2017"}).encode()
    file.write_bytes(patient(GOOD, WRONG, WRONG) + b"\n" + born + b"\n" + patient(GOOD) + b"\n")
    with pytest.raises(UsageError) as raised:
        list(read_registry(file, shipped()))
    said = str(raised.value).splitlines()
    assert [line.removeprefix(f"{file}: ").split(": ")[:2] for line in said] == [
        ["line 1", "limit 2"],
        ["line 1", "limit 3"],
        [
            "line 2",
            ("born is not YYYY, YYYY-MM or YYYY-MM-DD, so it is not known whether this is a child"),
        ],
    ]
    assert "Ada" not in str(raised.value)


class Consumer:
    """As much of a consumer as says how far the registry was read."""

    def __init__(self) -> None:
        self.read, self.end, self.away = 0, 3, 1

    async def end_offsets(self, partitions: list[str]) -> dict[str, int]:
        if self.away:
            self.away -= 1
            raise KafkaConnectionError
        return dict.fromkeys(partitions, self.end)

    async def position(self, _partition: str) -> int:
        return self.read


@pytest.mark.asyncio
async def test_it_has_caught_up_when_all_is_read_that_stood_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before a frame that is sent again: the entry that was mended for it is known then, also
    after a pause.
    """
    monkeypatch.setattr("rpm_stream.app.registry.reader.AWAY_SECONDS", 0.01)
    reader, consumer = RegistryReader("nowhere"), Consumer()
    reader._reading = consumer, ["0"]  # type: ignore[assignment]
    waiting = asyncio.create_task(reader.caught_up())
    await asyncio.sleep(0.05)
    assert not waiting.done(), "the registry was not read once yet"
    reader.ready.set()
    await asyncio.sleep(0.05)
    assert not waiting.done()
    consumer.end = 4  # what comes later is not waited for
    consumer.read = 3
    await asyncio.wait_for(waiting, 10)
