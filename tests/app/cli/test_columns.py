"""``--columns`` from outside: the same file by other names gives the same bytes; a wrong name exits 2 in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

OURS = "patient,measured_at,vital,value,unit\np,2026-03-01T08:00:00Z,heart_rate,135,/min\n"
LONG = "pid,when,what,value,unit,note\np,2026-03-01T08:00:00Z,heart_rate,135,/min,x\n"
WIDE = "pid,when,hr,kilos\np,2026-03-01T08:00:00Z,135,\n"
LONG_MAP = "patient=pid,measured_at=when,vital=what"
WIDE_MAP = "patient=pid,measured_at=when,heart_rate=hr:/min,weight=kilos:kg"


def call(*arguments: str | Path) -> tuple[int, bytes, str]:
    command = [sys.executable, "-m", "rpm_stream", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("command", [["replay", "--emit", "all"], ["gateway", "encode"]])
def test_other_names_and_another_shape_give_the_same_bytes(tmp_path: Path, command: list[str]) -> None:
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
