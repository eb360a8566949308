"""``--columns`` from outside: the same file by other names gives the same bytes; a wrong name
exits 2 in one line.
"""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from support.paths import shared_data

OURS = "patient,measured_at,vital,value,unit\np,2026-03-01T08:00:00Z,heart_rate,135,/min\n"
LONG = "pid,when,what,value,unit,note\np,2026-03-01T08:00:00Z,heart_rate,135,/min,x\n"
WIDE = "pid,when,hr,kilos\np,2026-03-01T08:00:00Z,135,\n"
LONG_MAP = "patient=pid,measured_at=when,vital=what"
WIDE_MAP = "patient=pid,measured_at=when,heart_rate=hr:/min,weight=kilos:kg"

RECORDED = shared_data("cgm.csv.gz")


def call(*arguments: str | Path) -> tuple[int, bytes, str]:
    command = [sys.executable, "-m", "rpm_stream", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("command", [["replay", "--emit", "all"], ["gateway", "encode"]])
def test_other_names_and_another_shape_give_the_same_bytes(
    tmp_path: Path, command: list[str]
) -> None:
    outputs = []
    for name, text, columns in (("1", OURS, None), ("2", LONG, LONG_MAP), ("3", WIDE, WIDE_MAP)):
        file = tmp_path / f"{name}.csv"
        file.write_text(text)
        outputs.append(call(*command, file, *(["--columns", columns] if columns else [])))
    assert outputs[0][0] == 0 and outputs[0][1]
    assert outputs[1] == outputs[2] == outputs[0]


@pytest.mark.parametrize("command", [["replay"], ["gateway", "encode"]])
@pytest.mark.parametrize("columns", ["patient=nobody", "pulse=hr:/min", "heart_rate=hr:bpm"])
def test_wrong_names_exit_2_in_one_line(tmp_path: Path, command: list[str], columns: str) -> None:
    file = tmp_path / "wide.csv"
    file.write_text(WIDE)
    status, output, error = call(*command, file, "--columns", columns)
    assert (status, output, len(error.splitlines())) == (2, b"", 1)


def test_help_shows_an_example() -> None:
    assert "heart_rate=hr:/min" in call("replay", "--help")[1].decode()


@pytest.mark.skipif(
    not RECORDED.exists(), reason="needs the recorded glucose of ../shared (RPM_SHARED)"
)
def test_recorded_glucose_in_a_makers_own_columns_gives_the_same_bytes(tmp_path: Path) -> None:
    """A day of a real sensor, as a maker's export has it: one column for the value, other names,
    other order.
    """
    with gzip.open(RECORDED, "rt", encoding="utf-8", newline="") as file:
        rows = list(islice(csv.DictReader(file), 288))
    assert {(row["vital"], row["unit"]) for row in rows} == {("glucose_interstitial", "mg/dL")}
    ours, makers = tmp_path / "ours.csv", tmp_path / "export.csv"
    with ours.open("w", newline="") as one, makers.open("w", newline="") as other:
        plain, export = csv.DictWriter(one, list(rows[0])), csv.writer(other)
        plain.writeheader()
        plain.writerows(rows)
        export.writerow(["Sensor Glucose", "Event", "Timestamp", "Person"])
        export.writerows([row["value"], "EGV", row["measured_at"], row["patient"]] for row in rows)
    columns = "patient=Person,measured_at=Timestamp,glucose_interstitial=Sensor Glucose:mg/dL"
    status, expected, _ = call("replay", ours, "--emit", "all")
    assert (status, expected.count(b'"type":"reading"')) == (0, 288)
    assert call("replay", makers, "--emit", "all", "--columns", columns) == (0, expected, "")
