"""The devices that a gateway serves. It connects to no other: whose readings they would be, nobody
has said.

What lives here: the allow-list (a TOML file), its faults in words, and which entry an advertisement
belongs to. What must not: a guess. A name that two devices advertise at once belongs to neither,
because a neighbour's strap of the same make would put its readings on the wrong patient.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rpm_stream.app.gateway.ble.radio import Sighting
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.records import DeviceEntry, Record
from rpm_stream.text import is_clean

AT_ONCE_S = (
    # two addresses under one name within so many seconds are two devices, not one that changed its
    # address
    60.0
)
LONGEST_ID = 128  # characters, as in a frame

_ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")
# what macOS gives in place of an address
_MAC_UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_FOUND_BY = ("address", "name", "serial")
_TEXTS = ("device", *_FOUND_BY, "model")
_SWITCHES = ("clock", "stored", "bond")


class KnownDevice(Record, frozen=True, kw_only=True):
    """One entry of the allow-list, found by exactly one of ``address``, ``name`` and ``serial``."""

    device: str
    """The id in the frames, as the registry has it."""
    address: str | None = None
    """``F0:F1:F2:F3:F4:F5`` in capitals; on macOS a UUID."""
    name: str | None = None
    """The advertised name, whole."""
    serial: str | None = None
    """The end of the advertised name, where the maker puts the serial number (``Polar H10
    12345678``).
    """
    model: str | None = None
    """The model in the registry; the gateway itself reads it only to say what a device is."""
    clock: bool = True
    """Set the device's clock after connecting."""
    stored: bool = True
    """Ask for stored records after connecting."""
    bond: bool = False
    """Pair and bond before anything else; without it only where the device asks for it."""


class Known:
    """The allow-list, and which of its entries an advertisement belongs to.

    >>> known = Known([KnownDevice(device="strap-1", name="HR-70A")])
    >>> here, next_door = (Sighting(end * 6, "HR-70A", frozenset(), -50) for end in ("AA", "BB"))
    >>> known.find(here, at=0.0).device, known.find(next_door, at=1.0), known.doubtful
    ('strap-1', None, frozenset({'strap-1'}))
    """

    def __init__(self, devices: Iterable[KnownDevice]) -> None:
        self.devices = tuple(devices)
        self._by_address = {each.address: each for each in self.devices if each.address}
        self._by_name = {each.name: each for each in self.devices if each.name}
        self._by_serial = [each for each in self.devices if each.serial]
        # device -> address -> when it advertised the device's name last
        self._seen: dict[str, dict[str, float]] = {}
        self._doubtful: set[str] = set()

    @property
    def doubtful(self) -> frozenset[str]:
        """Devices of whose name two were near at once when it was advertised last: each needs
        its address instead.
        """
        return frozenset(self._doubtful)

    def find(self, sighting: Sighting, at: float) -> KnownDevice | None:
        """The entry of an advertisement, None for an unknown device and for a doubtful one.

        ``at`` is in seconds of any clock that does not go back.
        """
        if (by_address := self._by_address.get(sighting.address.upper())) is not None:
            return by_address
        name = sighting.name or ""
        found = next(
            (each for each in self._by_serial if _ends_with(name, each.serial or "")), None
        )
        found = found or self._by_name.get(name)
        return (
            found
            if found is not None and self._is_alone(found.device, sighting.address, at)
            else None
        )

    def _is_alone(self, device: str, address: str, at: float) -> bool:
        seen = self._seen.setdefault(device, {})
        seen[address] = at
        for old in [other for other, when in seen.items() if at - when > AT_ONCE_S]:
            del seen[old]
        if len(seen) > 1:
            self._doubtful.add(device)
        else:
            self._doubtful.discard(device)
        return len(seen) == 1


def from_registry(entries: Iterable[DeviceEntry]) -> Known:
    """The devices whose id in the registry is their Bluetooth address, in any of its spellings."""
    devices = []
    for entry in entries:
        address = plain_address(entry.device)
        if address is not None:
            devices.append(KnownDevice(device=entry.device, address=address, model=entry.model))
    return Known(devices)


def load(path: Path) -> Known:
    """The allow-list of a file. Raises ``UsageError`` with a line for each fault."""
    try:
        return parse(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: no UTF-8 text") from None


def parse(text: str, source: str) -> Known:
    """The allow-list in ``text``; ``source`` is what the faults name.

    Raises ``UsageError`` with a line for each.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: {error}") from None
    rows = table.pop("device", None)
    faults = [f"{name}: no such table{_meant(name, ('device',))}" for name in table]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        faults.append("no [[device]]: each device to serve is one, with two brackets")
        rows = []
    devices = []
    for number, row in enumerate(rows, start=1):
        wrong = list(_faults(row))
        faults += [f"device {number}: {fault}" for fault in wrong]
        if not wrong:
            devices.append(_entry(row))
    if not faults:
        faults = list(_twice(devices))
    if faults:
        raise UsageError("\n".join(f"{source}: {fault}" for fault in faults))
    return Known(devices)


def plain_address(text: str) -> str | None:
    """An address in capitals with colons (on macOS a UUID with hyphens), None for anything else.

    >>> plain_address("c0-26-da-01-02-03"), plain_address("cuff-17")
    ('C0:26:DA:01:02:03', None)
    """
    capitals = text.upper()
    if _MAC_UUID.fullmatch(capitals):
        return capitals
    colons = capitals.replace("-", ":").replace("_", ":")
    if re.fullmatch(r"[0-9A-F]{12}", colons):
        colons = ":".join(colons[at : at + 2] for at in range(0, 12, 2))
    return colons if _ADDRESS.fullmatch(colons) else None


def _ends_with(name: str, serial: str) -> bool:
    """Whether ``name`` ends with the whole number ``serial``: not with the last digits of a
    longer one.
    """
    head = name[: -len(serial)]
    return name[len(head) :].casefold() == serial.casefold() and not head[-1:].isalnum()


def _entry(row: dict[str, Any]) -> KnownDevice:
    address = plain_address(row["address"]) if "address" in row else None
    return KnownDevice(**{**row, **({"address": address} if address else {})})


def _faults(row: dict[str, Any]) -> Iterable[str]:
    for name in row:
        if name not in (*_TEXTS, *_SWITCHES):
            yield f"{name}: no such setting{_meant(name, (*_TEXTS, *_SWITCHES))}"
    for name in _TEXTS:
        if name in row and (fault := _text_fault(row[name])):
            yield f"{name}: {fault}"
    for name in _SWITCHES:
        if name in row and not isinstance(row[name], bool):
            yield f"{name}: true or false"
    if "device" not in row:
        yield "device: missing: the id that the registry has for it"
    given = [name for name in _FOUND_BY if name in row]
    if len(given) != 1:
        yield f"found by {' and '.join(given) or 'nothing'}: give one of address, name and serial"
    if (
        isinstance(row.get("address"), str)
        and row["address"]
        and plain_address(row["address"]) is None
    ):
        yield "address: no Bluetooth address such as C0:26:DA:01:02:03"


def _text_fault(value: object) -> str | None:
    if not isinstance(value, str):
        return 'a text in quotes, "like this"'
    if not value.strip():
        return "empty"
    if len(value) > LONGEST_ID:
        return f"longer than {LONGEST_ID} characters"
    return None if is_clean(value) else "holds a control character"


def _twice(devices: list[KnownDevice]) -> Iterable[str]:
    """What two entries have in common; the later one is named."""
    first: dict[tuple[str, str], int] = {}
    for number, each in enumerate(devices, start=1):
        for what in ("device", *_FOUND_BY):
            value = getattr(each, what)
            if value is not None and first.setdefault((what, value.casefold()), number) != number:
                yield f"device {number}: {what}: as in device {first[what, value.casefold()]}"


def _meant(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f": {close[0]}?" if close else f": one of {', '.join(names)}"
