"""Law: no code parses text that the service has written in order to decide something.

Typed fields hold what a finding, a member or an alert's step is. A prefix of a name or the words of
a reason may change with the next release, and stored ones stay as they were.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.source import MODULES, exceptions, name_of, tree, unit_of

CUTS = frozenset(
    "startswith endswith split rsplit partition rpartition removeprefix removesuffix match search"
    " fullmatch sub findall finditer".split()
)
SPOKEN = frozenset("reason member members group groups rule rules why episode".split())
# in these no text at all is cut except those in the table
STAGES = frozenset({"score", "alert", "pipeline"})

OLD_MEMBERS = "the one file that reads names of members, of an older release"
EXCEPTIONS = exceptions(
    {
        "pipeline/old_members.py": dict.fromkeys(("name", "rest", "shown", "of"), OLD_MEMBERS),
        "publish/old_life.py": dict.fromkeys(
            (
                "reason",
                "step.reason",
                "reason.removeprefix(ASSIGNED)",
                "why",
                "step.reason.removeprefix(words)",
            ),
            "the one file that reads steps of an alert's life of an older release",
        ),
        "publish/feed/rows.py": {
            "rule": "an alert's record on the topic has its rule as text, "
            "and the feed only the record"
        },
        "text.py": {
            "group": "the topics fix the family in a group's text; the one place that reads it"
        },
        "alert/decisions.py": {"action.to or ''": "a name that a person typed"},
        "alert/snapshots.py": {
            "key": "the state's own key of vital and side, written and read in this file"
        },
        "score/baseline/learned.py": {"key": "the state's own key of a row in shadow"},
        "pipeline/order.py": {"bytes(keys.get('action', b''))": "bytes of a message"},
        "pipeline/stored_entry.py": {"key": "the key of a registry message"},
    }
)


def words_of(node: ast.expr) -> set[str]:
    """Return the words in the names that an expression is made of."""
    named = [each for each in ast.walk(node) if isinstance(each, ast.Name | ast.Attribute)]
    return {
        word
        for each in named
        for word in (each.id if isinstance(each, ast.Name) else each.attr).split("_")
    }


def cut(path: Path) -> Iterator[str]:
    """Yield the texts that a module cuts or searches against the law, as its source has them."""
    for node in ast.walk(tree(path)):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in CUTS
        ):
            continue
        texts = [node.func.value, *node.args]  # "a".startswith(b), and re.match(a, b)
        if unit_of(path) in STAGES:
            yield ast.unparse(node.func.value)
        else:
            yield from (
                ast.unparse(text) for text in texts if not SPOKEN.isdisjoint(words_of(text))
            )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_name_and_no_reason_is_read_back(path: Path) -> None:
    wrong = {text for text in cut(path) if (name_of(path), text) not in EXCEPTIONS}
    assert not wrong, (
        f"{name_of(path)} reads {sorted(wrong)}: use kind, key, event or another field"
    )


def test_no_exception_outlives_its_need() -> None:
    used = {(name_of(path), text) for path in MODULES for text in cut(path)}
    assert set(EXCEPTIONS) <= used, f"not needed any more: {sorted(set(EXCEPTIONS) - used)}"


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("score/a.py", "x = name.startswith('limit:')"),
        ("alert/a.py", "x = [each for each in episode.members if each.split(':')[0] == 'news2']"),
        ("app/feed/a.py", "import re\nx = re.match('a', alert.history[0].reason)"),
        ("app/feed/a.py", "x = PATTERN.search(step.reason)"),
        ("publish/a.py", "x = row.group.removeprefix('device:')"),
        ("app/a.py", "x = old_member.partition(':')"),
    ],
)
def test_the_check_sees(
    place: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check itself: each way to cut a text is seen."""
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(source, encoding="utf-8")
    monkeypatch.setattr("support.source.SOURCE", tmp_path)
    assert list(cut(path))


def test_stages_import_no_patterns() -> None:
    with_patterns = [
        name_of(path)
        for path in MODULES
        if unit_of(path) in STAGES
        and any(
            isinstance(node, ast.Import) and node.names[0].name == "re"
            for node in ast.walk(tree(path))
        )
    ]
    assert not with_patterns
