"""The client and the simulator: the simulator may import the client, never the other way round."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rpm_stream
import rpm_stream.gateway

SOURCE = Path(rpm_stream.__file__).parent
CLIENT = SOURCE / "app" / "gateway"


def client_modules() -> list[Path]:
    return sorted(CLIENT.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_of_simulator(name: str) -> bool:
    return name.split(".")[:3] == ["rpm_stream", "app", "simulator"]


def test_the_check_sees() -> None:
    assert len(client_modules()) > 30
    assert is_of_simulator("rpm_stream.app.simulator.encode.gatt.weight")
    assert is_of_simulator("rpm_stream.app.simulator.encode.gatt")
    assert not is_of_simulator("rpm_stream.app.gateway.ble.commands.scan")
    assert not is_of_simulator("rpm_stream.app.gateway.Gateway")


@pytest.mark.parametrize(
    "path", client_modules(), ids=lambda path: path.relative_to(CLIENT).as_posix()
)
def test_the_client_does_not_import_the_simulator(path: Path) -> None:
    assert not [name for name in imported(path) if is_of_simulator(name)]


def test_the_public_package_loads_the_client_alone() -> None:
    """A gateway on a small computer loads no engine, no page, no simulator."""
    code = "import sys, rpm_stream.gateway\nprint(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert "rpm_stream.app.gateway.client" in loaded
    assert not {"faust", "fastapi", "nicegui", "river"} & set(loaded)
    assert not [name for name in loaded if is_of_simulator(name)]


def test_every_public_name_is_there() -> None:
    for name in rpm_stream.gateway.__all__:
        assert getattr(rpm_stream.gateway, name).__module__.startswith("rpm_stream.")
