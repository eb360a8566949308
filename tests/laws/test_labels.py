"""Law 11: label values come from enums, and no label names a person or a device."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support.source import MODULES, metric_calls, name_of, tree

LABELS = {
    "stage": "the agents, sink and feed; for clocks also reconcile, for restarts also kafka",
    "outcome": "in, reading, duplicate, reject, context",
    "reason": "records.Reason",
    "priority": "records.Priority",
    "state": "records.State",
    "kind": "kinds of Observation; FHIR resource types that we write",
    "detector": "score.detectors.table.DETECTORS",
    "group": "the consumer groups of app.kafka.names",
    "topic": "app.kafka.names.TOPICS",
    "exit": "app.stages.restarts.EXITS",
    "way": "how a token was shown: app.feed.auth.guesses.WAYS",
    "cause": "why a request is sent again: app.ehr.client.Cause",
}
IDENTIFYING = frozenset("patient device gateway alert frame who ref id ids".split())


def label_names(call: ast.Call) -> list[str]:
    given = (
        call.args[2]
        if len(call.args) > 2
        else next((k.value for k in call.keywords if k.arg == "labelnames"), None)
    )
    if given is None:
        return []
    # fails on anything but a literal, because a list that is made at run time would hide a label
    names = ast.literal_eval(given)
    assert isinstance(names, list | tuple)
    return [str(name) for name in names]


@pytest.mark.parametrize("path", [path for path in MODULES if any(metric_calls(path))], ids=name_of)
def test_labels_come_from_enums(path: Path) -> None:
    """Law 11: a label is in the table, so its values are few and identify no person."""
    unknown = {name for call in metric_calls(path) for name in label_names(call)} - set(LABELS)
    assert not unknown, (
        f"{name_of(path)}: {sorted(unknown)}: add it to LABELS with the enum that its values come"
        " from"
    )


def value_names(value: ast.expr) -> set[str]:
    """Return what a value is called.

    That is ``priority`` for ``alert.priority``, and ``patient`` for ``str(reading.patient)``.
    """
    if isinstance(value, ast.Attribute):
        return {value.attr}
    if isinstance(value, ast.Name):
        return {value.id}
    children = [child for child in ast.iter_child_nodes(value) if isinstance(child, ast.expr)]
    return {name for child in children for name in value_names(child)}


def naming_labels(path: Path) -> list[str]:
    """Yield places where a label's value is made of text.

    Also those where it is called by a word of IDENTIFYING.
    """
    found = []
    for node in ast.walk(tree(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "labels"
        ):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            words = {word for value in given for word in value_names(value)}
            wrong = sorted(
                word for word in words if not IDENTIFYING.isdisjoint(word.lower().split("_"))
            )
            made_up = any(
                isinstance(one, ast.JoinedStr) for value in given for one in ast.walk(value)
            )
            found += [
                f"{path.name}:{node.lineno}: {word}" for word in wrong + ["f-string"] * made_up
            ]
    return found


def test_no_label_value_names_anyone() -> None:
    """Law 11, the other side.

    Nothing that is called a patient, a device, a gateway or an id is given to a label.
    """
    assert [text for path in MODULES for text in naming_labels(path)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("X.labels(reading.patient)", ["module.py:1: patient"]),
        ("X.labels(kind=str(device_id))", ["module.py:1: device_id"]),
        ("X.labels(f'{a}')", ["module.py:1: f-string"]),
        ("X.labels(alert.priority, stage='ingest')", []),
    ],
)
def test_the_label_check_sees(source: str, found: list[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source, encoding="utf-8")
    assert naming_labels(path) == found
