"""Every program of benchmarks/ still works: with ``--quick`` it ends with 0 and prints its figures.

What the figures are on a small load says nothing. The programs with a broker are heavy.
"""

from __future__ import annotations

import gzip
import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.command_line import ended
from support.paths import repository

SECONDS = 120
NUMBER = r"\d[\d,]*(\.\d+)?"
START = datetime(2026, 1, 1, tzinfo=UTC)
VITALS = {
    "heart_rate": ("72", "131", "/min"),
    "oxygen_saturation": ("97", "84", "%"),
    "respiratory_rate": ("16", "27", "/min"),
}

# The arguments besides --quick, and what the output must match, line by line in this order.
ALONE = {
    "pure.py": rf"notifications/s +{NUMBER}\n(.*\n)*device state, bytes +{NUMBER} median",
    "detectors.py": rf"(.*\n)*half_space_trees( +{NUMBER}){{4}}\n",
    "detectors.py --quality": (
        rf"2 stays, (.*\n)*drift( +{NUMBER} \(\d+\)){{3}} +{NUMBER} +{NUMBER} \(\d+\)\n\n"
        rf"1 people, (.*\n)*drift +{NUMBER} alarms/day +{NUMBER} of [1-9]"
    ),
    "signal_quality.py": rf"(.*\n)*vital_signs +0*[1-9.]\d*\.?\d* +{NUMBER}\n",
    "glucose.py": (
        rf"fitted: 1 people\n  30 minutes: {NUMBER} forecasts, error {NUMBER}, (.*\n)*"
        rf"  below 54: {NUMBER} events on {NUMBER} days; told {NUMBER}"
    ),
    "alerts.py": (
        rf"sepsis2019.csv.gz: 2 patients, (.*\n)* *alerts a patient-day {NUMBER} \(high 0?[1-9.]"
        rf"(.*\n)* *share of the time with something open {NUMBER}\n"
    ),
}
WITH_A_BROKER = {
    "worker.py": (
        rf"(.*\n)*worker / plain, through: +{NUMBER}\n(.*\n)*worker / pure, .* +{NUMBER}\n"
    ),
    "latency.py": rf"(.*\n)*alert( +{NUMBER}){{4}}\nfeed( +{NUMBER}){{4}}\n",
    "recovery.py": (
        rf"(.*\n)*ingest +first output after {NUMBER} s, CPU {NUMBER} s; with no state .*\n"
        rf"judge +first output after {NUMBER} s, CPU {NUMBER} s; with no state .*\n"
    ),
    "backlog.py": r"(.*\n)*ingest: [+-]\d+ MB for .*\njudge: [+-]\d+ MB for .*\n",
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as RPM_SHARED names it, with two people in each file; one of them gets worse."""
    shared = tmp_path_factory.mktemp("shared")
    data = shared / "data"
    data.mkdir()
    for name in ("sepsis2019", "sepsis2019_home"):
        write(data / f"{name}.csv.gz", hourly())
    write(data / "cgm.csv.gz", glucose())
    onset = (START + timedelta(hours=26)).isoformat()
    (data / "sepsis2019_events.csv").write_text(f"patient,onset_at\np1,{onset}\np2,\n")
    return shared


def write(path: Path, lines: Iterator[str]) -> None:
    with gzip.open(path, "wt") as file:
        file.write("patient,measured_at,vital,value,unit\n")
        file.writelines(f"{line}\n" for line in lines)


def hourly() -> Iterator[str]:
    for patient in ("p1", "p2"):
        for hour in range(30):
            for vital, (usual, bad, unit) in VITALS.items():
                value = bad if patient == "p1" and hour >= 24 else usual
                at = (START + timedelta(hours=hour)).isoformat()
                yield f"{patient},{at},{vital},{value},{unit}"


def glucose() -> Iterator[str]:
    """A value every five minutes for three days; low in the last hour of each day."""
    for count in range(3 * 288):
        value = 60 if count % 288 >= 276 else 110 + count % 7
        at = (START + timedelta(minutes=5 * count)).isoformat()
        yield f"p1,{at},glucose_interstitial,{value},mg/dL"


def ran(program: str, folder: Path, shared: Path | None = None) -> str:
    """Return what a program prints. It must end with 0."""
    name, *words = program.split()
    environment = {each: value for each, value in os.environ.items() if not each.startswith("RPM_")}
    if shared is not None:
        environment["RPM_SHARED"] = str(shared)
    command = [sys.executable, str(repository("benchmarks", name)), *words, "--quick"]
    done = ended(command, environment, folder, SECONDS)
    assert done.returncode == 0, f"{program}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_program_is_tried() -> None:
    tried = {program.split()[0] for program in (*ALONE, *WITH_A_BROKER)}
    assert tried == {path.name for path in repository("benchmarks").glob("*.py")}


@pytest.mark.parametrize(("program", "figures"), ALONE.items(), ids=ALONE)
def test_a_program_without_a_broker(
    program: str, figures: str, recordings: Path, tmp_path: Path
) -> None:
    said = ran(program, tmp_path, recordings)
    assert re.match(figures, said), said


@pytest.mark.heavy
@pytest.mark.e2e
@pytest.mark.parametrize(("program", "figures"), WITH_A_BROKER.items(), ids=WITH_A_BROKER)
def test_a_program_with_a_broker(program: str, figures: str, tmp_path: Path) -> None:
    said = ran(program, tmp_path)
    assert re.match(figures, said), said
