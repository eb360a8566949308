"""Each example in a docstring gives what it shows."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import rpm_stream

SOURCE = Path(rpm_stream.__file__).parent
WITH_EXAMPLES = [
    path for path in sorted(SOURCE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")
]


def name_of(path: Path) -> str:
    return ".".join(("rpm_stream", *path.relative_to(SOURCE).with_suffix("").parts))


@pytest.mark.parametrize("name", map(name_of, WITH_EXAMPLES))
def test_the_examples_are_right(name: str) -> None:
    module = importlib.import_module(name.removesuffix(".__init__"))
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
