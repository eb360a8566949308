"""Rows of devices.toml: how a device model departs from the specification.

Each column is one kind of departure.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from rpm_stream.knowledge.tables import Table
from rpm_stream.records.terms import Absent

CgmOctet = Literal["status", "calibration", "warning"]


class Placeholder(Table, frozen=True):
    """A number that means "no value".

    ``vital`` has no value if it reads ``value``, and ``absent`` is the reason.
    """

    vital: str
    value: Decimal
    absent: Absent
    flag: str


BloodPressureField = Literal["pulse", "user", "status"]


class Tail(Table, frozen=True):
    """The bytes after the time of a blood pressure: pulse, user, status.

    This is the order of the specification. ``big_endian`` has the fields whose two bytes are in
    the other order. ``unflagged`` has the fields that are there although their flag is not set.
    """

    big_endian: frozenset[Literal["pulse", "status"]] = frozenset()
    unflagged: frozenset[BloodPressureField] = frozenset()


class DeviceModel(Table, frozen=True):
    """A device model, by ``model`` of its registry entry.

    A column that is not given follows the specification.

    - ``cgm_octets``: the order of the annunciation bytes of 2AA7.
    - ``below_zero_bit``: the flag bit of 2A9D that makes the weight negative.
    - ``zeroed_stub``: characteristics that are sent with only zeros while nothing was measured.
    - ``header_octets``: the number of bytes before the first value, by characteristic.
    - ``meals``: further meal codes of 2A34.
    - ``tail``: the bytes after the time of 2A35 and 2A36 (see ``Tail``).
    - ``rr_unit``: "ms" if the RR intervals of 2A37 are milliseconds and not 1/1024 s.
    - ``placeholders``: numbers that mean "no value" (see ``Placeholder``).
    - ``not_measured``: vitals that the model cannot measure, so that their empty fields are no
      readings.
    """

    source: str
    cgm_octets: tuple[CgmOctet, CgmOctet, CgmOctet] = ("status", "calibration", "warning")
    below_zero_bit: Annotated[int, Meta(ge=4, le=7)] | None = None
    zeroed_stub: frozenset[str] = frozenset()
    header_octets: dict[str, Annotated[int, Meta(ge=2, le=16)]] = msgspec.field(
        default_factory=dict
    )
    meals: dict[Annotated[str, Meta(pattern=r"^[0-9]{1,3}(?!\n)$")], str] = msgspec.field(
        default_factory=dict
    )
    tail: dict[Annotated[str, Meta(pattern=r"^2A3[56](?!\n)$")], Tail] = msgspec.field(
        default_factory=dict
    )
    rr_unit: Literal["1/1024 s", "ms"] = "1/1024 s"
    placeholders: tuple[Placeholder, ...] = ()
    not_measured: frozenset[str] = frozenset()
