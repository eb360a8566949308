"""The content of ``rpm.registry`` as a lookup: device assignments and limits at any time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import msgspec

from rpm_stream.errors import RpmStreamError
from rpm_stream.records.base import UNREADABLE, Record
from rpm_stream.records.registry import (
    Assignment,
    DeviceEntry,
    PanelEntry,
    PatientEntry,
    ProgrammeEntry,
    RegistryEntry,
)
from rpm_stream.text import is_clean


class RegistryError(RpmStreamError):
    """A line is no registry entry.

    The text has the reason without the entry's content.
    """


# by the field that names it; the first one in an entry decides its kind
KINDS: dict[str, type[RegistryEntry]] = {
    "device": DeviceEntry,
    "patient": PatientEntry,
    "panel": PanelEntry,
    "programme": ProgrammeEntry,
}
NAMED_BY = frozenset({*KINDS})  # fields with names by which entries refer to each other
OUTSIDE_UTC = "a time lies outside the years 1 to 9999 in UTC"
_decoders = {kind: msgspec.json.Decoder(kind) for kind in KINDS.values()}
_probe = msgspec.json.Decoder(dict[str, msgspec.Raw])


def plain_fault(error: Exception) -> str:
    """Return what is wrong with a message and where, without the value.

    msgspec repeats a value if all possible values are known.

    >>> plain_fault(msgspec.ValidationError("Invalid enum value 'Ada' - at `$.priority`"))
    'Invalid enum value - at `$.priority`'
    """
    return re.sub(
        r"(Invalid (?:enum )?value) .*?(?= - at `\$|$)", r"\1", str(error), flags=re.DOTALL
    )


def parse_entry(value: bytes) -> RegistryEntry:
    """Decode an entry that is to enter ``rpm.registry``.

    Raises RegistryError, also for a text with a control character and for a time that UTC does not
    have. Entries from the topic are read by ``pipeline/stored_entry.py``.
    """
    try:
        value, kind = unwrap(value)
        entry = _decoders[kind].decode(value)
    except UNREADABLE as error:
        raise RegistryError(plain_fault(error)) from None
    check(entry)
    return entry


def unwrap(value: bytes) -> tuple[bytes, type[RegistryEntry]]:
    """Return the entry in a message and its kind, without the key of a dump of the topic.

    Raises one of ``UNREADABLE``.
    """
    keys = _probe.decode(value)
    if "key" in keys and "value" in keys:
        value = bytes(keys["value"])
        keys = _probe.decode(value)
    return value, next((kind for name, kind in KINDS.items() if name in keys), PatientEntry)


def check(record: Record | dict[str, Any], kept: Collection[str] = ()) -> None:
    """Raise RegistryError for a time or text that is not allowed in the registry.

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
    """Yield every time and text with its place.

    A field name that is not clean is itself such a text.
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
    """Return the Kafka key of an entry."""
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

    It changes only by whole entries, like the compacted topic.
    """

    def __init__(self, entries: Iterable[RegistryEntry] = ()) -> None:
        self.devices: dict[str, DeviceEntry] = {}
        self.patients: dict[str, PatientEntry] = {}
        self.panels: dict[str, PanelEntry] = {}
        self.programmes: dict[str, ProgrammeEntry] = {}
        self.expecting: dict[
            str, None
        ] = {}  # patients of whom something is expected, in the order of their entries
        # key of an entry -> its parts that cannot be read
        self.left_out: dict[str, tuple[str, ...]] = {}
        # patient -> devices that were ever assigned to the patient
        self._worn: dict[str, set[str]] = {}
        for entry in entries:
            self.put(entry)

    def put(self, entry: RegistryEntry, left_out: tuple[str, ...] = ()) -> None:
        """Take an entry in place of the one with the same key.

        ``left_out`` has its parts that could not be read.
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
        """Apply a tombstone for a key such as ``device/<id>``.

        The other kinds are ``patient``, ``panel`` and ``programme``.
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
        """Return the entry of a key such as ``device/<id>``, or None."""
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
        """Yield the devices that were ever assigned to ``patient``, in the order of their names."""
        yield from (self.devices[device] for device in sorted(self._worn.get(patient, ())))

    def entries(self) -> Iterator[RegistryEntry]:
        """Yield all entries, as a dump of the topic would."""
        yield from self.devices.values()
        yield from self.patients.values()
        yield from self.panels.values()
        yield from self.programmes.values()

    def patient(self, patient: str) -> PatientEntry:
        """Return the patient's entry.

        An unregistered patient is an adult with the shipped limits.
        """
        return self.patients.get(patient) or PatientEntry(patient=patient)


def holders(device: DeviceEntry, at: datetime) -> list[Assignment]:
    """Return the assignments of ``device`` at ``at``.

    There are several if the device is shared, or if the registry has an error.
    """
    return [
        assignment
        for assignment in device.assignments
        if (assignment.from_ is None or assignment.from_ <= at)
        and (assignment.until is None or at < assignment.until)
    ]


def wearers(device: DeviceEntry, at: datetime) -> list[str]:
    """Return the patients to whom ``device`` belonged at ``at``."""
    return list(dict.fromkeys(assignment.patient for assignment in holders(device, at)))


def _in_utc(moment: datetime) -> datetime:
    """Return the moment in UTC, or UTC's first or last moment if it is outside of UTC."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return (
            datetime.min.replace(tzinfo=UTC)
            if moment.year == 1
            else datetime.max.replace(tzinfo=UTC)
        )


def first_not_worn(assignments: Iterable[Assignment], since: datetime) -> datetime | None:
    """Return the first moment from ``since`` on without any of ``assignments``, in UTC.

    Returns None if one of them has no end.
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
UP_TO_ZONES = 1  # days: a birthday is a date in the patient's zone, which may be ahead of UTC


@cache
def _birthday(born: str) -> date | None:
    if _BORN.fullmatch(born) is None:
        return None
    try:
        return date.fromisoformat(born + "-01-01"[len(born) - 4 :])
    except ValueError:
        return None


def has_unreadable_birth(entry: PatientEntry, at: datetime | None = None) -> bool:
    """Return whether ``born`` is given and cannot be used, so that the age is unknown.

    It is no YYYY, YYYY-MM or YYYY-MM-DD, or was in the future at ``at`` (a 2062 for 1962).
    """
    if entry.born is None:
        return False
    born = _birthday(entry.born)
    return born is None or (at is not None and born.toordinal() > at.toordinal() + UP_TO_ZONES)


def months_old(entry: PatientEntry, at: datetime) -> int:
    """Return whole months at ``at``, at least 0.

    ``born`` must be readable.
    """
    born = _birthday(entry.born or "")
    assert born is not None
    return max(0, 12 * (at.year - born.year) + at.month - born.month - (at.day < born.day))


def years_old(entry: PatientEntry, at: datetime) -> int | None:
    """Return whole years at ``at``, or None if ``born`` is unknown or unreadable.

    ``born`` has the form YYYY, YYYY-MM or YYYY-MM-DD.
    """
    born = _birthday(entry.born or "")
    if born is None:
        return None
    return at.year - born.year - ((at.month, at.day) < (born.month, born.day))
