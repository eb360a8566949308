"""``rpm-stream knowledge check`` from outside: 0 and what holds, 1 and each fault, 2 for no
folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def call(*arguments: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    command = [sys.executable, "-m", "rpm_stream", "knowledge", "check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return (
        done.returncode,
        [json.loads(line) for line in done.stdout.splitlines()],
        done.stderr.decode(),
    )


def test_good_tables_are_shown() -> None:
    status, lines, error = call()
    assert (status, error) == (0, "")
    assert {line["table"] for line in lines} == {
        "vitals",
        "limits",
        "news2",
        "charts",
        "rules",
        "spellings",
    }
    assert {"table": "spellings", "unit": "mm[Hg]", "spellings": "mmHg, mm Hg"} in lines
    glucose = [line for line in lines if line["table"] == "limits" and line["vital"] == "glucose"]
    assert {line["limit"] for line in glucose} == {
        "below 54 mg/dL",
        "below 70 mg/dL",
        "above 250 mg/dL",
    }
    assert all(line["source"] for line in lines if "source" in line)
    assert {"rule": "trend.joined", "priority": "medium"}.items() <= next(
        line for line in lines if line.get("rule") == "trend.joined"
    ).items()


def test_a_clinics_placeholders_are_shown(tmp_path: Path) -> None:
    row = (
        'vital = "weight"\ntext = "--"\nabsent = "not-performed"\nsource = "the diary\'s manual"\n'
    )
    (tmp_path / "placeholders.toml").write_text(f"[[placeholder]]\n{row}")
    _, lines, _ = call(tmp_path)
    said = {
        "vital": "weight",
        "text": "--",
        "absent": "not-performed",
        "source": "the diary's manual",
    }
    assert [line for line in lines if line.get("table") == "placeholders"] == [
        {"table": "placeholders", **said}
    ]


def test_shipped_limits_that_a_clinic_left_out_are_shown(tmp_path: Path) -> None:
    """All [[limit]] rows are one entry: whoever writes one has taken the others away."""
    row = (
        'vital = "systolic"\nunit = "mm[Hg]"\nabove = "170"\nrecover = "165"\nfirst ='
        ' "medium"\nsource = "Dr. A"\n'
    )
    (tmp_path / "limits.toml").write_text(f"[[limit]]\n{row}")
    _, lines, _ = call(tmp_path)
    dropped = [(line["vital"], line["limit"]) for line in lines if line.get("table") == "dropped"]
    assert ("glucose", "below 54 mg/dL") in dropped
    assert ("systolic", "above 170 mm[Hg]") not in dropped


def test_each_fault_is_told_with_file_key_and_reason(tmp_path: Path) -> None:
    (tmp_path / "vitals.toml").write_text('[mood]\ndisplay = "x"\n')
    (tmp_path / "device_rules.toml").write_text('[battery]\nbelow = "20"\nrecover = "30"\n')
    status, lines, error = call(tmp_path)
    assert status == 1
    assert lines[0] == {
        "file": "vitals.toml",
        "key": "mood",
        "reason": "Object missing required field `source`",
    }
    assert {
        "file": "device_rules.toml",
        "key": "battery.below",
        "reason": "a number without a source",
    } in lines
    assert error.splitlines() == [f"rpm-stream: {len(lines)} faults in the tables"]


def test_no_folder_is_wrong_use(tmp_path: Path) -> None:
    status, lines, error = call(tmp_path / "none")
    assert (status, lines, len(error.splitlines())) == (2, [], 1)
