"""Devices that depart from the specification: apply their row of devices.toml around the decoders.

A fact of the row is undone in the octets before they are decoded, given to the decoder, or applied
to what it read. Without a row nothing here runs. Part numbers stay as they are, so that ids do not
depend on the row.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

import msgspec

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.blood_pressure import specified
from rpm_stream.ingest.gatt.cgm import decode_cgm
from rpm_stream.ingest.gatt.decoders import DECODERS, Decoders, decode, short_form
from rpm_stream.ingest.gatt.glucose_context import MEALS, decode_glucose_context
from rpm_stream.ingest.gatt.heart_rate import decode_heart_rate
from rpm_stream.ingest.gatt.weight import decode_weight
from rpm_stream.knowledge.devices import DeviceModel
from rpm_stream.records import Decoded, Payload

Read: TypeAlias = Callable[[str, bytes], Payload]
"""``decode`` for one device model.

It takes characteristic and octets, and returns the payload or raises ``DecodeError``.
"""

# attributes that are not measured
_NOT_MEASURED = frozenset({"user_id", "timestamp", "more_packets", "rfu"})


def reader(row: DeviceModel) -> Read:
    """Return ``decode`` for the devices of one row."""
    return partial(_read, row, _decoders(row))


def _decoders(row: DeviceModel) -> Decoders:
    return {
        **DECODERS,
        "2A34": partial(
            decode_glucose_context,
            meals={**MEALS, **{int(code): name for code, name in row.meals.items()}},
        ),
        "2A37": partial(decode_heart_rate, intervals_in_ms=row.rr_unit == "ms"),
        "2A9D": partial(
            decode_weight, below_zero=0 if row.below_zero_bit is None else 1 << row.below_zero_bit
        ),
        "2AA7": partial(decode_cgm, order=row.cgm_octets),
    }


def _read(row: DeviceModel, decoders: Decoders, characteristic: str, octets: bytes) -> Payload:
    name = short_form(characteristic) or characteristic
    if header := row.header_octets.get(name):
        if len(octets) < header:
            raise DecodeError("truncated", f"the header of this model has {header} octets")
        octets = octets[:1] + octets[header:]
    if tail := row.tail.get(name):
        octets = specified(octets, tail)
    payload = decode(characteristic, octets, decoders)
    if name in row.zeroed_stub and _zeroed(payload):
        return Payload(attributes={**payload.readings[0].attributes, "stub": True})
    if not payload.readings or not (row.placeholders or row.not_measured):
        return payload
    kept = [_corrected(row, each) for each in payload.readings]
    readings = tuple(
        each for each in kept if each.absent is None or each.vital not in row.not_measured
    )
    return Payload(readings=readings, attributes={} if readings else payload.readings[0].attributes)


def _zeroed(payload: Payload) -> bool:
    """Return whether all measured values and attributes are zero."""
    if not payload.readings or any(
        each.value is None or Decimal(each.value) for each in payload.readings
    ):
        return False
    measured = payload.readings[0].attributes.items()
    return all(_says_nothing(each) for name, each in measured if name not in _NOT_MEASURED)


def _says_nothing(attribute: Any) -> bool:
    """Return whether an attribute is zero (number or digits), has no flag set, or is not given."""
    return not (attribute.strip("0.") if isinstance(attribute, str) else attribute)


def _corrected(row: DeviceModel, decoded: Decoded) -> Decoded:
    """Return the value, made absent if it is a placeholder."""
    for each in row.placeholders:
        if (
            decoded.vital == each.vital
            and decoded.value is not None
            and Decimal(decoded.value) == each.value
        ):
            return msgspec.structs.replace(
                decoded,
                value=None,
                absent=each.absent,
                flags=tuple(dict.fromkeys((*decoded.flags, each.flag))),
            )
    return decoded
