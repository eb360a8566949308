"""Who wears what, and whose limits: the content of ``rpm.registry`` as a lookup, valid at the
time of a reading.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import msgspec

from rpm_stream.errors import RpmStreamError
from rpm_stream.records import (
    UNREADABLE,
    Assignment,
    DeviceEntry,
    PanelEntry,
    PatientEntry,
    ProgrammeEntry,
    Record,
    RegistryEntry,
)
from rpm_stream.text import is_clean


class RegistryError(RpmStreamError):
    """A line is no registry entry; the text says why, without the entry's content."""


# by the field that names it; the first that an entry has tells its kind
KINDS: dict[str, type[RegistryEntry]] = {
    "device": DeviceEntry,
    "patient": PatientEntry,
    "panel": PanelEntry,
    "programme": ProgrammeEntry,
}
NAMED_BY = frozenset({*KINDS})  # fields that name something: by these entries find each other
OUTSIDE_UTC = "a time lies outside the years 1 to 9999 in UTC"
_decoders = {kind: msgspec.json.Decoder(kind) for kind in KINDS.values()}
_probe = msgspec.json.Decoder(dict[str, msgspec.Raw])


def plain_fault(error: Exception) -> str:
    """What is wrong with a message and where, without the value, which msgspec repeats where it
    knows all that may be.

    >>> plain_fault(msgspec.ValidationError("Invalid enum value 'Ada' - at `$.priority`"))
    'Invalid enum value - at `$.priority`'
    """
    return re.sub(
        r"(Invalid (?:enum )?value) .*?(?= - at `\$|$)", r"\1", str(error), flags=re.DOTALL
    )


def parse_entry(value: bytes) -> RegistryEntry:
    """An entry that is to enter ``rpm.registry``. Raises RegistryError, also for a text with a
    control character and for a time that UTC does not have. What stands on the topic is read by
    ``pipeline/stored_entry.py``.
    """
    try:
        value, kind = unwrap(value)
        entry = _decoders[kind].decode(value)
    except UNREADABLE as error:
        raise RegistryError(plain_fault(error)) from None
    check(entry)
    return entry


def unwrap(value: bytes) -> tuple[bytes, type[RegistryEntry]]:
    """The entry in a message, without the key that a dump of the topic has, and its kind.

    Raises ``UNREADABLE``.
    """
    keys = _probe.decode(value)
    if "key" in keys and "value" in keys:
        value = bytes(keys["value"])
        keys = _probe.decode(value)
    return value, next((kind for name, kind in KINDS.items() if name in keys), PatientEntry)


def check(record: Record | dict[str, Any], kept: Collection[str] = ()) -> None:
    """Raises RegistryError for a time or text in a part of the registry that may not be there.

    Texts of the fields ``kept`` may be anything.
    """
    for place, value in _leaves(msgspec.to_builtins(record, builtin_types=(datetime,)), "$"):
        if isinstance(value, datetime):
            try:
                value.astimezone(UTC)
            except OverflowError:
                raise RegistryError(OUTSIDE_UTC) from None
        elif place.rpartition(".")[2] not in kept and not is_clean(value):
            raise RegistryError(f"a text holds a control character - at `{place}`")


def _leaves(value: Any, place: str) -> Iterator[tuple[str, datetime | str]]:
    """Every time and text with its place; a name of a field that is somebody's own stands for
    itself.
    """
    if isinstance(value, datetime | str):
        yield place, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, f"{place}.{name}" if is_clean(name) else place)
            if not is_clean(name):
                yield place, name
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _leaves(each, f"{place}[{number}]")


def entry_key(entry: RegistryEntry) -> str:
    """The Kafka key of an entry."""
    match entry:
        case DeviceEntry():
            return f"device/{entry.device}"
        case PanelEntry():
            return f"panel/{entry.panel}"
        case ProgrammeEntry():
            return f"programme/{entry.programme}"
        case _:
            return f"patient/{entry.patient}"


class Registry:
    """Devices, patients, panels and programmes by id.

    Changed only by whole entries, as the compacted topic is.
    """

    def __init__(self, entries: Iterable[RegistryEntry] = ()) -> None:
        self.devices: dict[str, DeviceEntry] = {}
        self.patients: dict[str, PatientEntry] = {}
        self.panels: dict[str, PanelEntry] = {}
        self.programmes: dict[str, ProgrammeEntry] = {}
        self.expecting: dict[
            str, None
        ] = {}  # the patients of whom something is expected, in the order of their entries
        # key of an entry -> what of it cannot be read
        self.left_out: dict[str, tuple[str, ...]] = {}
        self._worn: dict[str, set[str]] = {}  # patient -> devices that have an assignment of theirs
        for entry in entries:
            self.put(entry)

    def put(self, entry: RegistryEntry, left_out: tuple[str, ...] = ()) -> None:
        """Take an entry in place of the one of the same key.

        ``left_out``: what of it could not be read.
        """
        self.left_out.pop(entry_key(entry), None)
        if left_out:
            self.left_out[entry_key(entry)] = left_out
        match entry:
            case DeviceEntry():
                self._unlink(entry.device)
                self.devices[entry.device] = entry
                for assignment in entry.assignments:
                    self._worn.setdefault(assignment.patient, set()).add(entry.device)
            case PanelEntry():
                self.panels[entry.panel] = entry
            case ProgrammeEntry():
                self.programmes[entry.programme] = entry
            case _:
                self.patients[entry.patient] = entry
                if entry.expected_every:
                    self.expecting[entry.patient] = None
                else:
                    self.expecting.pop(entry.patient, None)

    def remove(self, key: str) -> None:
        """Apply a tombstone of ``device/<id>``, ``patient/<id>``, ``panel/<id>`` or
        ``programme/<id>``.
        """
        kind, _, name = key.partition("/")
        self.left_out.pop(key, None)
        match kind:
            case "device":
                self._unlink(name)
                self.devices.pop(name, None)
            case "panel":
                self.panels.pop(name, None)
            case "programme":
                self.programmes.pop(name, None)
            case _:
                self.patients.pop(name, None)
                self.expecting.pop(name, None)

    def entry(self, key: str) -> RegistryEntry | None:
        """The entry of a key, such as ``device/<id>``."""
        kind, _, name = key.partition("/")
        by_kind: dict[str, Mapping[str, RegistryEntry]] = {
            "device": self.devices,
            "patient": self.patients,
            "panel": self.panels,
            "programme": self.programmes,
        }
        return by_kind.get(kind, {}).get(name)

    def _unlink(self, device: str) -> None:
        known = self.devices.get(device)
        for assignment in known.assignments if known else ():
            self._worn[assignment.patient].discard(device)

    def worn_by(self, patient: str) -> Iterator[DeviceEntry]:
        """The devices that have ever been assigned to ``patient``, in the order of their names."""
        yield from (self.devices[device] for device in sorted(self._worn.get(patient, ())))

    def entries(self) -> Iterator[RegistryEntry]:
        """All entries: what a dump of the topic would hold."""
        yield from self.devices.values()
        yield from self.patients.values()
        yield from self.panels.values()
        yield from self.programmes.values()

    def patient(self, patient: str) -> PatientEntry:
        """The entry, or that of an unregistered patient: an adult with the shipped limits."""
        return self.patients.get(patient) or PatientEntry(patient=patient)


def holders(device: DeviceEntry, at: datetime) -> list[Assignment]:
    """The assignments of ``device`` that hold at ``at``: several where it is shared, or the
    registry errs.
    """
    return [
        assignment
        for assignment in device.assignments
        if (assignment.from_ is None or assignment.from_ <= at)
        and (assignment.until is None or at < assignment.until)
    ]


def wearers(device: DeviceEntry, at: datetime) -> list[str]:
    """The patients to whom ``device`` belonged at ``at``."""
    return list(dict.fromkeys(assignment.patient for assignment in holders(device, at)))


def _in_utc(moment: datetime) -> datetime:
    """The moment in UTC; the first or last one of UTC where it lies before or after all of them."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return (
            datetime.min.replace(tzinfo=UTC)
            if moment.year == 1
            else datetime.max.replace(tzinfo=UTC)
        )


def first_not_worn(assignments: Iterable[Assignment], since: datetime) -> datetime | None:
    """The first moment from ``since`` on at which none of ``assignments`` holds, in UTC; None
    where one has no end.
    """
    spans = list(assignments)
    at = since
    while True:
        here = [
            each.until
            for each in spans
            if (each.from_ is None or each.from_ <= at) and (each.until is None or at < each.until)
        ]
        ends = [until for until in here if until is not None]
        if len(ends) < len(here):
            return None
        if not here:
            return _in_utc(at)
        at = max(ends)


_BORN = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
UP_TO_ZONES = 1  # day: a birthday is a date of the patient's zone, which may be ahead of UTC


@cache
def _birthday(born: str) -> date | None:
    if _BORN.fullmatch(born) is None:
        return None
    try:
        return date.fromisoformat(born + "-01-01"[len(born) - 4 :])
    except ValueError:
        return None


def has_unreadable_birth(entry: PatientEntry, at: datetime | None = None) -> bool:
    """Whether ``born`` is given and is no YYYY, YYYY-MM or YYYY-MM-DD, or was ahead at ``at`` (a
    2062 for 1962): then nobody knows whether it is an adult.
    """
    if entry.born is None:
        return False
    born = _birthday(entry.born)
    return born is None or (at is not None and born.toordinal() > at.toordinal() + UP_TO_ZONES)


def months_old(entry: PatientEntry, at: datetime) -> int:
    """Whole months at ``at``, not below 0. ``born`` must be readable."""
    born = _birthday(entry.born or "")
    assert born is not None
    return max(0, 12 * (at.year - born.year) + at.month - born.month - (at.day < born.day))


def years_old(entry: PatientEntry, at: datetime) -> int | None:
    """Whole years at ``at``; None when ``born`` (YYYY, YYYY-MM or YYYY-MM-DD) is unknown or
    unreadable.
    """
    born = _birthday(entry.born or "")
    if born is None:
        return None
    return at.year - born.year - ((at.month, at.day) < (born.month, born.day))
