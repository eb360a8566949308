"""The allow-list: who is served, what a faulty list says, and that a name never puts readings on
the wrong device.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.app.gateway.ble.known import (
    AT_ONCE_S,
    Known,
    KnownDevice,
    from_registry,
    load,
    parse,
    plain_address,
)
from rpm_stream.app.gateway.ble.known_template import template
from rpm_stream.app.gateway.ble.radio import Sighting
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.records import DeviceEntry

CUFF, STRAP, OTHER = "C0:26:DA:01:02:03", "F0:F1:F2:F3:F4:F5", "11:22:33:44:55:66"
LIST = """
[[device]]
device = "cuff-17"
address = "c0-26-da-01-02-03"
model = "Omron"
bond = true

[[device]]
device = "strap-3"
serial = "12345678"
clock = false
stored = false

[[device]]
device = "oximeter-9"
name = "Nonin3230_501"
"""


def seen(address: str, name: str | None = None, rssi: int | None = -60, *services: str) -> Sighting:
    return Sighting(address, name, frozenset(services), rssi)


def test_each_is_found_by_what_its_entry_names() -> None:
    known = parse(LIST, "devices.toml")
    assert known.find(seen(CUFF, "anything"), 0) == KnownDevice(
        device="cuff-17", address=CUFF, model="Omron", clock=True, stored=True, bond=True
    )
    assert known.find(seen(CUFF.lower()), 0) == known.devices[0]
    assert known.find(seen(STRAP, "Polar H10 12345678"), 0) == KnownDevice(
        device="strap-3", serial="12345678", clock=False, stored=False
    )
    assert known.find(seen(OTHER, "Nonin3230_501"), 0) == known.devices[2]


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "Polar H10",
        "Polar H10 912345678",
        "Polar H10 1234567",
        "12345678 Polar",
        "nonin3230_501",
    ],
)
def test_no_other_device_is_served(name: str | None) -> None:
    assert parse(LIST, "devices.toml").find(seen(OTHER, name), 0) is None


@given(st.text(), st.text(min_size=6))
def test_whatever_is_advertised_is_an_entry_or_none(name: str, address: str) -> None:
    """Law: a name from the air raises nothing and finds no entry but its own."""
    known = parse(LIST, "devices.toml")
    found = known.find(seen(address, name), 0)
    assert (
        found is None
        or found.serial == "12345678"
        or found.name == name
        or found.address == address.upper()
    )


def test_a_name_that_two_devices_have_is_neither() -> None:
    """A neighbour's device of the same name: nobody's readings are taken until one of the two
    has gone.
    """
    known = Known([KnownDevice(device="oximeter-9", name="Nonin3230_501")])
    here, there = seen(STRAP, "Nonin3230_501"), seen(OTHER, "Nonin3230_501")
    assert known.find(here, 0) is not None
    assert known.find(there, 1) is None
    assert known.find(here, 2) is None
    assert known.doubtful == {"oximeter-9"}
    assert known.find(here, 2 + AT_ONCE_S) is not None
    assert known.doubtful == frozenset()


def test_an_address_that_changes_is_one_device() -> None:
    """A device with privacy changes its address: the old one falls silent."""
    known = Known([KnownDevice(device="oximeter-9", name="Nonin3230_501")])
    assert known.find(seen(STRAP, "Nonin3230_501"), 0) is not None
    assert known.find(seen(OTHER, "Nonin3230_501"), AT_ONCE_S + 1) is not None


def test_thousands_of_changed_addresses_keep_nothing() -> None:
    known = Known([KnownDevice(device="oximeter-9", name="Nonin3230_501")])
    for number in range(10_000):
        known.find(seen(f"{number:012X}", "Nonin3230_501"), number * 900.0)
    assert len(known._seen["oximeter-9"]) == 1


FAULTS = {
    "": "no [[device]]: each device to serve is one, with two brackets",
    "[device]\ndevice='a'": "no [[device]]: each device to serve is one, with two brackets",
    "[[devices]]\ndevice='a'": "devices: no such table: device?",
    "[[device]]\naddress='C0:26:DA:01:02:03'": (
        "device 1: device: missing: the id that the registry has for it"
    ),
    "[[device]]\ndevice=''\nname='a'": "device 1: device: empty",
    "[[device]]\ndevice=7\nname='a'": 'device 1: device: a text in quotes, "like this"',
    "[[device]]\ndevice='a'": "device 1: found by nothing: give one of address, name and serial",
    "[[device]]\ndevice='a'\nname='b'\nserial='c'": (
        "device 1: found by name and serial: give one of address, name and serial"
    ),
    "[[device]]\ndevice='a'\naddress='C0:26:DA:01:02'": (
        "device 1: address: no Bluetooth address such as C0:26:DA:01:02:03"
    ),
    "[[device]]\ndevice='a'\nadress='C0:26:DA:01:02:03'": (
        "device 1: adress: no such setting: address?"
    ),
    "[[device]]\ndevice='a'\nname='b'\nclock='yes'": "device 1: clock: true or false",
    '[[device]]\ndevice="a\\n"\nname="b"': "device 1: device: holds a control character",
    f"[[device]]\ndevice='{'a' * 129}'\nname='b'": "device 1: device: longer than 128 characters",
    "[[device]]\ndevice='a'\nname='b'\n[[device]]\ndevice='a'\nname='c'": (
        "device 2: device: as in device 1"
    ),
    "[[device]]\ndevice='a'\naddress='C0:26:DA:01:02:03'\n"
    "[[device]]\ndevice='b'\naddress='c026da010203'": ("device 2: address: as in device 1"),
}


@pytest.mark.parametrize("text", FAULTS)
def test_each_fault_is_one_clear_line(text: str) -> None:
    with pytest.raises(UsageError) as told:
        parse(text, "devices.toml")
    assert f"devices.toml: {FAULTS[text]}" in str(told.value).splitlines()


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(UsageError) as told:
        parse("[[device]]\nname='a'\n[[device]]\ndevice='b'", "d.toml")
    assert len(str(told.value).splitlines()) == 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(tmp_path / "bad.toml")
    (tmp_path / "odd.toml").write_text("device = 1 2", encoding="utf-8")
    with pytest.raises(UsageError, match=r"odd\.toml: .*line 1"):
        load(tmp_path / "odd.toml")


def test_devices_of_the_registry_that_are_called_by_their_address() -> None:
    entries = [
        DeviceEntry(device="c0:26:da:01:02:03", model="Omron"),
        DeviceEntry(device="strap-3"),
    ]
    known = from_registry(entries)
    assert known.devices == (KnownDevice(device="c0:26:da:01:02:03", address=CUFF, model="Omron"),)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("c0:26:da:01:02:03", CUFF),
        ("C0-26-DA-01-02-03", CUFF),
        ("C026DA010203", CUFF),
        ("dev_C0_26", None),
        ("C0:26:DA:01:02:03\n", None),
        ("12345678-9abc-def0-1234-56789abcdef0", "12345678-9ABC-DEF0-1234-56789ABCDEF0"),
    ],
)
def test_spellings_of_an_address(text: str, plain: str | None) -> None:
    assert plain_address(text) == plain


def test_a_template_of_what_is_near() -> None:
    """The strongest first, once each, without what is no health device; filled in, it is a list
    that loads.
    """
    near = [
        seen(OTHER, "TV", -40, "FE9F"),
        seen(CUFF, "Cuff\n[[device]]", -70, "1810"),
        seen(STRAP, "Polar H10 12345678", -50, "180D"),
        seen(CUFF, "Cuff\n[[device]]", -60, "1810"),
    ]
    text = template(near)
    with pytest.raises(UsageError, match="device 1: device: empty"):
        parse(text, "devices.toml")
    strap, cuff = parse(
        text.replace('device = ""', 'device = "s"', 1).replace('device = ""', 'device = "c"'), ""
    ).devices
    assert strap == KnownDevice(device="s", address=STRAP)
    assert cuff == KnownDevice(device="c", address=CUFF, bond=True)
    assert "-60 dBm" in text
    assert "-70 dBm" not in text


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(-127, 20)), max_size=5))
def test_no_name_from_the_air_breaks_the_template(near: list[tuple[str, int]]) -> None:
    """Law: whatever a device calls itself, the template is TOML with one table for each device."""
    sightings = [
        seen(f"{number:02X}" + ":00" * 5, name, rssi, "1809")
        for number, (name, rssi) in enumerate(near)
    ]
    text = template(sightings)
    for number in range(len(near) or 1):
        text = text.replace('device = ""', f'device = "d{number}"', 1)
    assert len(parse(text, "devices.toml").devices) == (len(near) or 1)
