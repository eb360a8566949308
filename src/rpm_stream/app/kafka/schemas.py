"""The JSON Schemas of the topics, generated from the records so that the two cannot differ.

``topics/<n>-<name>/schema-1.json`` holds what ``schemas`` returns. A test compares them, and
``rpm-stream topics schemas --write`` renews them. The schema of ``rpm.observations`` is kept by
hand, because FHIR owns that format. It only names the fields that every Observation of the service
has.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from rpm_stream.app.kafka.topics import FOLDERS
from rpm_stream.records import (
    APP_VALUE,
    Account,
    Action,
    Alert,
    DeviceEntry,
    Forwarded,
    Frame,
    PanelEntry,
    PatientEntry,
    ProgrammeEntry,
    Readings,
    Record,
    Reject,
    Score,
)

RECORDS: dict[str, tuple[type[Record], ...]] = {
    "rpm.frames": (Frame,),
    "rpm.readings": (Readings, Forwarded),
    "rpm.scores": (Score,),
    "rpm.alerts": (Alert,),
    "rpm.actions": (Action,),
    "rpm.registry": (DeviceEntry, PatientEntry, PanelEntry, ProgrammeEntry),
    "rpm.accounts": (Account,),
    "rpm.rejects": (Reject,),
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Most validators take "format" as a remark only, and a time without a zone must fail.
TIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt"
    r" ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})(?!\n)$"
)
NO_LINE_END = r"(?!\n)"  # before ``$``, which in Python allows one
HEXADECIMAL_PATTERN = r"^([0-9A-Fa-f]{2})*(?!\n)$"
KINDS = ("notifications", "measurements", "resources")
VALUE_OR_NOT = ("value", "absent")  # a measurement has exactly one of them
CORRECTIONS = ("void", "adopt")  # actions about readings; every other one is about an alert

Schema = dict[str, Any]


def schemas() -> dict[str, bytes]:
    """Return the text of each topic's schema, for every topic whose records are generated."""
    return {
        name: _text(_patched(name, _generated(name, records))) for name, records in RECORDS.items()
    }


def schema_path(root: Path, topic: str) -> Path:
    """Return the path of a topic's schema under ``topics/``."""
    return root / FOLDERS[topic] / "schema-1.json"


def drift(root: Path) -> list[str]:
    """Return the topics whose schema file differs from the records, or is missing."""
    paths = {name: schema_path(root, name) for name in RECORDS}
    texts = schemas()
    return [
        name
        for name, path in paths.items()
        if not path.is_file() or path.read_bytes() != texts[name]
    ]


def write(root: Path) -> list[str]:
    """Renew the schema files that differ, and return their topics."""
    texts = schemas()
    drifted = drift(root)
    for name in drifted:
        schema_path(root, name).write_bytes(texts[name])
    return drifted


def _generated(topic: str, records: tuple[type[Record], ...]) -> Schema:
    references, definitions = msgspec.json.schema_components(records, ref_template="#/$defs/{name}")
    root = references[0] if len(references) == 1 else {"anyOf": list(references)}
    return {"$schema": DIALECT, "title": f"{topic}, version 1", **root, "$defs": definitions}


def _patched(topic: str, schema: Schema) -> Schema:
    """Add the rules that the types cannot express."""
    patched: Schema = _refine(schema)
    if topic == "rpm.frames":
        frame = patched["$defs"]["Frame"]
        notification = patched["$defs"]["Notification"]
        frame["oneOf"] = [
            {"required": [kind], "properties": {kind: {"type": "array"}}} for kind in KINDS
        ]
        notification["properties"]["payload"]["pattern"] = HEXADECIMAL_PATTERN
        measurement = patched["$defs"]["Measurement"]
        measurement["properties"]["value"]["anyOf"][0]["pattern"] = APP_VALUE
        measurement["oneOf"] = [
            {"required": [name], "properties": {name: {"type": "string"}}} for name in VALUE_OR_NOT
        ]
    if "Action" in patched["$defs"]:
        about_readings = {
            "required": ["readings"],
            "properties": {"action": {"enum": list(CORRECTIONS)}},
        }
        named = {"required": ["alert"], "properties": {"alert": {"type": "string"}}}
        patched["$defs"]["Action"]["anyOf"] = [named, about_readings]
    return patched


def _refine(node: Any) -> Any:
    """Return the schema with clean descriptions, zoned times and patterns without a line end."""
    if isinstance(node, list):
        return [_refine(each) for each in node]
    if not isinstance(node, dict):
        return node
    refined = {name: _refine(value) for name, value in node.items()}
    if isinstance(description := refined.get("description"), str):
        refined["description"] = inspect.cleandoc(description).replace("``", "")
    if refined.get("format") == "date-time":
        refined["pattern"] = TIME_PATTERN
    elif isinstance(pattern := refined.pop("pattern", None), str):
        refined["pattern"] = pattern.removesuffix("$").removesuffix(NO_LINE_END) + NO_LINE_END + "$"
    return refined


def _text(schema: Schema) -> bytes:
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()
