"""The load of a fault: real recordings as gateways would send them, and their replay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from support.kafka.against_replay import Wanted, replayed
from support.paths import shared_data


class Load(NamedTuple):
    """Frames in order, the registry of their people, and each id's last record in the replay."""

    frames: list[bytes]
    registry: Path
    wanted: Wanted


def real_load(folder: Path, stays: int, people: int) -> Load:
    """Return ``stays`` of the hospital recording and ``people`` with a glucose sensor.

    Each patient's data are under one key.
    """
    if not shared_data().is_dir():
        pytest.skip(
            f"no {shared_data()}: the real recordings are not here (RPM_SHARED names their folder)"
        )
    frames: list[bytes] = []
    entries = b""
    for name, count in (("sepsis2019", stays), ("cgm", people)):
        if not count:
            continue
        registry = folder / f"{name}.jsonl"
        table = shared_data(f"{name}.csv.gz")
        frames += encoded(table, registry, "--patients", str(count))
        entries += registry.read_bytes()
    (folder / "registry.jsonl").write_bytes(entries)
    return load_of(folder, frames, folder / "registry.jsonl")


def encoded(table: Path, registry: Path, *options: str) -> list[bytes]:
    """Return the frames of a CSV file; ``registry`` is written."""
    command = [sys.executable, "-m", "rpm_stream", "gateway", "encode", str(table)]
    made = subprocess.run(
        [*command, "--registry", str(registry), *options], stdout=subprocess.PIPE, check=True
    )
    return made.stdout.splitlines()


def load_of(folder: Path, frames: list[bytes], registry: Path) -> Load:
    """Return these frames with their replay."""
    return Load(frames, registry, replayed(folder, registry, frames))
