"""The devices that a gateway serves.

The gateway connects to no other device, because it would not know whose readings they are.

This module reads the allow-list (a TOML file), describes its errors and finds the entry for an
advertisement. It never guesses. If two devices advertise a name at the same time, the name belongs
to neither of them. A neighbour's strap of the same make would otherwise put its readings on the
wrong patient.
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

# Two addresses under one name within this many seconds are two devices, not one device that changed
# its address.
AT_ONCE_S = 60.0
LONGEST_ID = 128  # characters, as in a frame

_ADDRESS = re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){5}")
# macOS gives a UUID in place of an address
_MAC_UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_FOUND_BY = ("address", "name", "serial")
_TEXTS = ("device", *_FOUND_BY, "model")
_SWITCHES = ("clock", "stored", "bond")


class KnownDevice(Record, frozen=True, kw_only=True):
    """One entry of the allow-list, found by exactly one of ``address``, ``name`` and ``serial``."""

    device: str
    """The device's id in the frames and in the registry."""
    address: str | None = None
    """``F0:F1:F2:F3:F4:F5`` in capitals, on macOS a UUID."""
    name: str | None = None
    """The whole advertised name."""
    serial: str | None = None
    """The serial number at the end of the advertised name, as in ``Polar H10 12345678``.

    Some makers put it there.
    """
    model: str | None = None
    """The model in the registry. The gateway itself uses it only for display."""
    clock: bool = True
    """Set the device's clock after connecting."""
    stored: bool = True
    """Read stored records after connecting."""
    bond: bool = False
    """Pair and bond before anything else. Otherwise the gateway pairs only if the device asks."""


class Known:
    """The allow-list, which finds the entry of an advertisement.

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
        # device -> address -> time of its last advertisement with the device's name
        self._seen: dict[str, dict[str, float]] = {}
        self._doubtful: set[str] = set()

    @property
    def doubtful(self) -> frozenset[str]:
        """The devices whose name two devices advertised at the same time.

        Such a device must be listed by its address instead. It stays in the set until the name is
        advertised by one device alone.
        """
        return frozenset(self._doubtful)

    def find(self, sighting: Sighting, at: float) -> KnownDevice | None:
        """Return the entry of an advertisement, None for an unknown or a doubtful device.

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
    """Return the devices whose id in the registry is a Bluetooth address in any spelling."""
    devices = []
    for entry in entries:
        address = plain_address(entry.device)
        if address is not None:
            devices.append(KnownDevice(device=entry.device, address=address, model=entry.model))
    return Known(devices)


def load(path: Path) -> Known:
    """Load the allow-list from a file. Raises ``UsageError`` with a line for each error."""
    try:
        return parse(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None


def parse(text: str, source: str) -> Known:
    """Parse the allow-list in ``text``.

    Raises ``UsageError`` with a line for each error, which starts with ``source``.
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
    """Return an address in capitals with colons, None for a text that is no address.

    The identifier that macOS gives is a UUID and keeps its hyphens.

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
    """Whether ``name`` ends with the whole number ``serial``.

    The last digits of a longer number do not count.
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
    """Yield a line for each value that two entries share. It names the later entry."""
    first: dict[tuple[str, str], int] = {}
    for number, each in enumerate(devices, start=1):
        for what in ("device", *_FOUND_BY):
            value = getattr(each, what)
            if value is not None and first.setdefault((what, value.casefold()), number) != number:
                yield f"device {number}: {what}: as in device {first[what, value.casefold()]}"


def _meant(name: str, names: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f": {close[0]}?" if close else f": one of {', '.join(names)}"
