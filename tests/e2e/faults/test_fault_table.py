"""Laws 1 to 3 on a real broker, fault by fault: ``make faults`` runs all and prints the table;
``make test`` some.

RPM_FAULTS=short|full|long chooses how many, RPM_SEED repeats a run.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from support.faults.cases import FAULTS, Fault
from support.faults.load import Load, load_of, real_load
from support.faults.run import HOW_MANY, SEED
from support.faults.stand import Stand, standing, survived

# a load that one fault hits many times; the random kills get more, to be hit all along
STAYS, PEOPLE = 30, 1
MANY_STAYS, MANY_PEOPLE = 200, 5
FEW_STAYS, NO_PEOPLE = 6, 0
SMALL_DISK = "96m"  # the nine topics' first segments and some room


def arguments(fault: Fault) -> Mapping[str, Any] | None:
    """How this run calls the fault; None: not at all."""
    if HOW_MANY == "short":
        return fault.short
    return fault.long if HOW_MANY == "long" and fault.long is not None else fault.full


def load_for(fault: Fault, given: Mapping[str, Any]) -> str:
    """The fixture with the load of a row."""
    if fault.small and HOW_MANY == "short":
        return "small_load"
    return "large_load" if given.get("times", 0) > 20 else "load"


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return real_load(tmp_path_factory.mktemp("load"), STAYS, PEOPLE)


@pytest.fixture(scope="module")
def large_load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return real_load(tmp_path_factory.mktemp("large"), MANY_STAYS, MANY_PEOPLE)


@pytest.fixture(scope="module")
def small_load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return real_load(tmp_path_factory.mktemp("small"), FEW_STAYS, NO_PEOPLE)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own with little room; needs the right to mount."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "fault", [fault for fault in FAULTS if arguments(fault) is not None], ids=lambda one: one.name
)
def test_fault_changes_nothing(
    fault: Fault, request: pytest.FixtureRequest, tmp_path: Path, table: list[list[str]]
) -> None:
    """Nothing lost, no id with two contents, every high alert in the feed, the books balance."""
    given = arguments(fault)
    assert given is not None
    chance = random.Random(f"{SEED}/{fault.name}")
    size = (
        "large_load"
        if given.get("times", 0) > 20
        else "small_load"
        if fault.small and HOW_MANY == "short"
        else "load"
    )
    load: Load = request.getfixturevalue(size)
    if fault.mangle is not None:
        mangled = load_of(tmp_path, fault.mangle(load.frames, chance), load.registry)
        fault.same(load.wanted, mangled.wanted)
        load = mangled
    print(f"RPM_SEED={SEED}")

    async def run(disk: Path | None) -> tuple[Stand, str, dict[str, int]]:
        async with standing(tmp_path, load, chance, disk) as stand:
            more = {"disk": disk} if disk else {}
            note = await fault.run(stand, **given, **more)
            return stand, note, await stand.verdict(fault.extra)

    began = monotonic()
    if fault.on_small_disk:
        with small_disk(tmp_path / "disk") as disk:
            stand, note, repeated = asyncio.run(run(disk))
    else:
        stand, note, repeated = asyncio.run(run(None))
    seconds = monotonic() - began
    table.append(survived(fault.name, note, stand, sum(repeated.values()), seconds))
