"""What of a registry file nobody will read is said, by line and name, and nothing of its
content.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rpm_stream.app.registry.file import ignored, read_registry, without_group
from rpm_stream.knowledge.registry import Registry

RIGHT = """
{"v":1,"device":"d","model":"m","assignments":[{"patient":"p","from":"2026-01-01T00:00:00Z","until":null,"user":1}]}

{"v":1,"patient":"p","born":"1950-01-01","expected_every":{"glucose":60},"limits":[{"vital":"glucose","unit":"mg/dL","low":60,"owner":"dr"}]}
{"key":"panel/x","value":{"v":1,"panel":"x","limits":[]}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "registry.jsonl"
    path.write_text(text)
    return path


def test_of_a_right_file_nothing_is_ignored(tmp_path: Path) -> None:
    path = written(tmp_path, RIGHT)
    assert len(list(read_registry(path))) == 3
    assert list(ignored(path)) == []


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('{"v":1,"patient":"p","panl":"x"}', ["panl"]),
        (
            '{"v":1,"patient":"p","limits":[{"vital":"glucose","unit":"mg/dL","hihg":250,"owner":"dr"}]}',
            ["hihg"],
        ),
        (
            '{"v":1,"device":"d","assignments":[{"patient":"p","form":"x"}],"modle":"m"}',
            ["form", "modle"],
        ),
        ('{"key":"patient/p","value":{"v":1,"patient":"p","Ada Lovelace":1}}', ["a field"]),
    ],
)
def test_a_misspelt_field_is_named_with_its_line(
    line: str, names: list[str], tmp_path: Path
) -> None:
    """It was taken for one of a later version, and somebody's limit did not hold."""
    path = written(tmp_path, f"\n{line}\n")
    assert list(ignored(path)) == [
        f"line 2: {name}: no such field, it is ignored" for name in names
    ]


def test_a_panel_that_nobody_has_made_is_said(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '{"v":1,"patient":"p","panel":"heart","programme":"copd"}\n{"v":1,"panel":"heart"}',
    )
    entries = list(read_registry(path))
    assert list(without_group(entries, Registry(entries))) == [
        "1 programme that patients name, but the registry does not have"
    ]
