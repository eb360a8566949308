"""Read an entry of ``rpm.registry`` as far as possible, and name the parts that cannot be read.

Entries are checked when they enter the registry. An entry on the topic may still come from an older
release or another writer. If such an entry were dropped whole for one bad field, its patient would
be judged as an unregistered adult. So each field, limit and assignment is read by itself. An
unreadable one is left out, and the next level applies. A name by which entries refer to each other
stays as it is, whatever characters it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from rpm_stream.knowledge.registry import (
    NAMED_BY,
    Registry,
    RegistryError,
    check,
    parse_entry,
    unwrap,
)
from rpm_stream.records import (
    UNREADABLE,
    Assignment,
    DeviceEntry,
    Limit,
    PanelEntry,
    PatientEntry,
    ProgrammeEntry,
    Record,
    RegistryEntry,
)
from rpm_stream.text import cleaned, is_clean

NO_DATE = "?"  # an unreadable date of birth; without any the patient would count as an adult
WHOLE = "the entry"
# TypeError: the entry lacks its name
NOT_READ: tuple[type[Exception], ...] = (*UNREADABLE, RegistryError, TypeError)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
PARTS: dict[str, tuple[str, type[Record]]] = {
    "limits": ("limit", Limit),
    "assignments": ("assignment", Assignment),
}


class Stored(Record, frozen=True, kw_only=True):
    """An entry, and the names of its parts that could not be read."""

    entry: RegistryEntry
    left_out: tuple[str, ...] = ()


def read_entry(value: bytes) -> Stored:
    """Return the entry of a message of ``rpm.registry``.

    Raises RegistryError if not even the entry's name can be read.
    """
    try:
        return Stored(entry=parse_entry(value))  # nearly always
    except RegistryError as error:
        fault = error
    try:
        value, kind = unwrap(value)
        given = _fields.decode(value)
        taken: dict[str, Any] = {}
        left_out: list[str] = []
        for field in msgspec.structs.fields(kind):
            if field.encode_name in given:
                left_out += _take(field, given[field.encode_name], taken)
        if "v" in left_out:  # in a later version any field may have another meaning
            raise fault
        return Stored(entry=kind(**taken), left_out=tuple(left_out))
    except NOT_READ:
        raise fault from None


def put_unreadable(registry: Registry, key: str) -> None:
    """Note that the newest entry of a key cannot be read at all.

    The previous entry stays and is marked, so that the problem is reported. Without a previous
    entry it is unknown whether the patient is a child.
    """
    kind, _, name = key.partition("/")
    known = registry.entry(key)
    if known is None:
        known = _nothing_of(kind, name)
    if known is not None:
        registry.put(msgspec.structs.replace(known), (WHOLE,))


def _nothing_of(kind: str, name: str) -> RegistryEntry | None:
    match kind:
        case "patient":
            return PatientEntry(patient=name, born=NO_DATE)
        case "panel":
            return PanelEntry(panel=name)
        case "programme":
            return ProgrammeEntry(programme=name)
        case _:
            return None  # a device that belongs to no patient: the rejects of its frames report it


def stored_faults(stored: Stored) -> list[str]:
    """Return what is wrong with how an entry is written, in texts without names of people."""
    found = [f"{name} cannot be read and is left out" for name in stored.left_out]
    return found + [f"{place} holds a control character" for place in _unclean_names(stored.entry)]


def _unclean_names(entry: RegistryEntry) -> Iterator[str]:
    for name in sorted(NAMED_BY):
        if not is_clean(getattr(entry, name, None) or ""):
            yield name
    if isinstance(entry, DeviceEntry) and not all(
        is_clean(each.patient) for each in entry.assignments
    ):
        yield "the patient of an assignment"


def _take(field: msgspec.structs.FieldInfo, given: msgspec.Raw, taken: dict[str, Any]) -> list[str]:
    """Put what can be read of a field into ``taken``, and return the names of what cannot."""
    name = field.encode_name
    try:
        value = msgspec.json.decode(given)
    except NOT_READ:
        value = UNSET
    if name in PARTS and isinstance(value, list):
        taken[field.name], left_out = _parts(name, value)
        return left_out
    if name == "expected_every" and isinstance(value, dict):
        read_each = {key: _read(field.type, {key: each}, name) for key, each in value.items()}
        taken[field.name] = {
            key: value[key] for key, read in read_each.items() if read is not UNSET
        }
        return [name] if len(taken[field.name]) < len(value) else []
    if name == "born":
        # reported where the age is used
        taken[field.name] = value if value is None or isinstance(value, str) else NO_DATE
        return []
    read = _read(field.type, value, name)
    if read is UNSET:
        return [name]
    taken[field.name] = read
    return []


def _parts(name: str, values: list[Any]) -> tuple[tuple[Any, ...], list[str]]:
    """Return the limits or assignments that can be read, and the names of the others."""
    word, kind = PARTS[name]
    found: list[Any] = []
    left_out: list[str] = []
    for number, value in enumerate(values, start=1):
        given = value
        owner = value.get("owner") if isinstance(value, dict) else None
        # the limit holds even if its owner is badly written
        if isinstance(owner, str) and not is_clean(owner):
            given = {**value, "owner": cleaned(owner)}
            left_out.append(f"the owner of {word} {number}")
        if (part := _read(kind, given, name)) is UNSET:
            left_out.append(f"{word} {number}")
        else:
            found.append(part)
    return tuple(found), left_out


def _read(kind: Any, value: Any, name: str) -> Any:
    """Return a value of a field's type, or UNSET if it is none or not allowed."""
    try:
        read = msgspec.convert(value, kind)
        check({name: read}, kept=NAMED_BY)
    except NOT_READ:
        return UNSET
    return read
