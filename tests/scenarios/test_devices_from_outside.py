"""What devices really sent, and what senders really wrote: each case through the command line, as a
user would run it.

The cases are lines of ``../shared/data/cases/devices/cases.jsonl``, each with its source and what
must come out. Without that file they are skipped by its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from support.paths import shared_data
from typer.testing import CliRunner

from rpm_stream.app.cli.main import app
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.records import RANK

CASES = shared_data("cases", "devices", "cases.jsonl")
Record: TypeAlias = dict[str, Any]


class Ran:
    """What a command said of a case."""

    def __init__(self, case: Record, folder: Path) -> None:
        arguments, given = _order(case, folder)
        result = CliRunner().invoke(app, arguments, input=given)
        if not isinstance(result.exception, UsageError | SystemExit | None):
            raise result.exception
        # as the entry point does
        self.status = 2 if isinstance(result.exception, UsageError) else result.exit_code
        self.lines = result.stdout.splitlines()
        records = [msgspec.json.decode(line) for line in self.lines]
        if case["command"] == "decode":
            self.readings = [
                {**each, "measured_at": each.get("device_time")}
                for each in records[0].get("readings", [])
            ]
            self.rejects = [each["reject"]["reason"] for each in records if "reject" in each]
            self.alerts: list[Record] = []
        else:
            self.readings = [each["record"] for each in records if each["type"] == "reading"]
            self.rejects = [
                each["record"]["reason"] for each in records if each["type"] == "reject"
            ]
            self.alerts = [each["record"] for each in records if each["type"] == "alert"]

    @property
    def priority(self) -> int:
        """The rank of the highest alert; 0: none."""
        return max((RANK[alert["priority"]] for alert in self.alerts), default=0)

    def of(self, vital: str) -> list[Record]:
        return [reading for reading in self.readings if reading["vital"] == vital]


def _text(line: Any) -> str:
    """A line as it was sent: some are no JSON that could be written again."""
    return line if isinstance(line, str) else msgspec.json.encode(line).decode()


def _order(case: Record, folder: Path) -> tuple[list[str], str | None]:
    """The command of a case, and what it reads on stdin."""
    given, command = case["input"], case["command"]
    if command == "decode":
        return ["decode"], _text(given) + "\n"
    if command in ("csv", "encode"):
        file = folder / "input.csv"
        file.write_bytes(given["csv"].encode())
        columns = ["--columns", given["columns"]] if given.get("columns") else []
        if command == "encode":
            return ["gateway", "encode", str(file), *columns], None
        return ["replay", str(file), "--emit", "all", *columns], None
    frames, registry = folder / "frames.jsonl", folder / "registry.jsonl"
    frames.write_text("".join(f"{_text(frame)}\n" for frame in given["frames"]))
    registry.write_text("".join(f"{_text(entry)}\n" for entry in given["registry"]))
    return ["replay", str(frames), "--registry", str(registry), "--emit", "all"], None


def faults(expect: Record, ran: Ran) -> Iterator[str]:
    """What came out otherwise than expected."""
    wanted = [tuple(each) for each in expect.get("readings", ())]
    fields = ("vital", "value", "measured_at")[: len(wanted[0]) if wanted else 2]
    found = [tuple(reading[each] for each in fields) for reading in ran.readings]
    if "readings" in expect and Counter(wanted) != Counter(found):
        yield f"readings {found}"
    if "rejects" in expect and Counter(expect["rejects"]) != Counter(ran.rejects):
        yield f"rejects {ran.rejects}"
    if "one_of_rejects" in expect and not (
        ran.rejects and set(ran.rejects) <= set(expect["one_of_rejects"])
    ):
        yield f"rejects {ran.rejects}"
    if "max_priority" in expect and ran.priority > RANK.get(expect["max_priority"], 0):
        yield f"an alert of rank {ran.priority}"
    if "min_priority" in expect and ran.priority < RANK.get(expect["min_priority"], 0):
        yield f"no alert above rank {ran.priority}"
    if "patients" in expect and not {reading["patient"] for reading in ran.readings} <= set(
        expect["patients"]
    ):
        yield "a reading of somebody else"
    for vital, reason in expect.get("absent", {}).items():
        if not any(each["value"] is None and each["absent"] == reason for each in ran.of(vital)):
            yield f"{vital} is not absent: {ran.of(vital)}"
    for vital, flags in expect.get("flags", {}).items():
        if not any(set(flags) <= set(each["flags"]) for each in ran.of(vital)):
            yield f"{vital} lacks {flags}"
    if expect.get("rc", ran.status) != ran.status:
        yield f"exit status {ran.status}"
    if expect.get("lines", len(ran.lines)) != len(ran.lines):
        yield f"{len(ran.lines)} lines"


def _cases() -> list[Record]:
    return (
        [msgspec.json.decode(line) for line in CASES.read_bytes().splitlines()]
        if CASES.exists()
        else []
    )


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in _cases()])
def test_case(case: Record, tmp_path: Path) -> None:
    assert not list(faults(case["expect"], Ran(case, tmp_path))), case.get("note") or case["source"]


def test_the_cases_are_there() -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES} is not there: set RPM_SHARED to the folder with data/")
    understood = {
        "readings",
        "rejects",
        "one_of_rejects",
        "max_priority",
        "min_priority",
        "patients",
        "absent",
        "flags",
        "rc",
        "lines",
        "json_lines",
    }
    assert _cases() and {key for case in _cases() for key in case["expect"]} <= understood
