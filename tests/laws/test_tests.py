"""Where tests and their helpers are: one root for helpers, one module that finds the checkout."""

from __future__ import annotations

import re

from support.paths import repository

FILES = sorted(repository("tests").rglob("*.py"))
NAMES = [path.relative_to(repository("tests")).as_posix() for path in FILES]


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 100
    assert "laws/test_tests.py" in NAMES


def test_helpers_are_in_support() -> None:
    """Beside tests there are only tests and fixtures, so a helper has one place."""
    files = [(name, name.rpartition("/")[2]) for name in NAMES if not name.startswith("support/")]
    wrong = [name for name, file in files if file != "conftest.py" and not file.startswith("test_")]
    assert wrong == [], "move them to tests/support"


def test_nobody_counts_folders() -> None:
    """``repository`` and ``shared_data`` find files, so a test can be moved without a change."""
    counts = re.compile(r"__file__\)[^\n]*(\.parents\[|\.parent\.parent)")
    wrong = [
        name
        for name, path in zip(NAMES, FILES, strict=True)
        if counts.search(path.read_text(encoding="utf-8"))
    ]
    assert wrong == ["support/paths.py"], "use support.paths"
