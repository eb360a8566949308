"""Law: every event that is logged stands in one table, and every row of the table is logged.

Operators search and alert by these names. The list in ``deploy/README.md`` is the table.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import repository
from support.source import MODULES, name_of, tree

from rpm_stream.app.runtime.events import EVENTS

LEVELS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
LOGGERS = frozenset({"log", "_log"})
NAMED = re.compile(r"[a-z]+\.[a-z]+(_[a-z]+)*")
PASSED_ON = {
    (
        "app/runtime/end.py",
        "event",
    ): "``die`` logs what it is called with"
}


def loggers(path: Path) -> Iterator[str]:
    """Yield the names that a module binds a logger to."""
    for node in ast.walk(tree(path)):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and ast.unparse(node.value.func) == "structlog.get_logger"
        ):
            yield from (ast.unparse(target) for target in node.targets)


def is_logging(call: ast.Call) -> bool:
    """Return whether a call is ``log.error(...)``, ``self.log.error(...)`` or ``die(...)``."""
    if isinstance(call.func, ast.Name):
        return call.func.id == "die"
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in LEVELS:
        return False
    of = call.func.value
    name = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
    return name in LOGGERS


def logged(module: ast.Module) -> Iterator[str | ast.expr]:
    """Yield the event of each call, or its expression if it is no literal."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and is_logging(node):
            event = node.args[0]
            is_literal = isinstance(event, ast.Constant) and isinstance(event.value, str)
            yield ast.literal_eval(event) if is_literal else event


def unlisted(path: Path) -> list[str]:
    """Return what a module logs that is no row of the table."""
    found = []
    for event in logged(tree(path)):
        if isinstance(event, str):
            found += [event] if event not in EVENTS else []
        elif (name_of(path), ast.unparse(event)) not in PASSED_ON:
            found.append(ast.unparse(event))
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_event_is_in_the_table(path: Path) -> None:
    assert unlisted(path) == [], f"{name_of(path)}: add it to EVENTS in app/runtime/events.py"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_logger_is_called_log_and_only_logs(path: Path) -> None:
    """A logger that is bound or passed on would hide an event from the law above."""
    names = set(loggers(path))
    assert names <= LOGGERS, f"{name_of(path)}: call the logger log or _log"
    used = [
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load)
    ]
    seen = [
        node.func.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and is_logging(node) and isinstance(node.func, ast.Attribute)
    ]
    assert [ast.unparse(node) for node in used if node not in seen] == []


def test_every_row_of_the_table_is_logged() -> None:
    found = {event for path in MODULES for event in logged(tree(path)) if isinstance(event, str)}
    assert set(EVENTS) - found == set(), "nothing logs it any more: delete its row"


def test_an_event_is_named_by_its_stage_and_has_one_sentence() -> None:
    assert list(EVENTS) == sorted(EVENTS)
    for event, meaning in EVENTS.items():
        assert NAMED.fullmatch(event), event
        assert meaning[0].isupper() and meaning.endswith(".") and ". " not in meaning, event


def test_the_readme_for_operators_has_the_table() -> None:
    text = repository("deploy", "README.md").read_text(encoding="utf-8")
    _, _, after = text.partition("## Events of the log\n")
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \|$", after.split("\n## ")[0], re.MULTILINE)
    assert rows == list(EVENTS.items()), "copy EVENTS of app/runtime/events.py"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('log.error("feed.lost", fault=1)', ["feed.lost"]),
        ('self.log.info("feed.lost")', ["feed.lost"]),
        ('die("feed.lost", 65)', ["feed.lost"]),
        ('other.error("feed.lost")', []),
        ("math.log(3)", []),
    ],
)
def test_the_law_sees_an_event(text: str, found: list[str]) -> None:
    assert list(logged(ast.parse(text))) == found
