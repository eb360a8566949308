"""Values of the Generic Health Sensor that are no single number, by class. PROVISIONAL.

The layouts are those of the one published implementation. Numbers of components are read in
health_sensor.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.cursor import Cursor
from rpm_stream.ingest.gatt.health_codes import UNIT_PARTITION, UNITS
from rpm_stream.ingest.gatt.medfloat import float32_text

# GATT format types of a type-length-value: (octets, signed). Source: Assigned Numbers,
# characteristic presentation format.
_WHOLE_NUMBERS: dict[int, tuple[int, bool]] = {
    0x04: (1, False),
    0x06: (2, False),
    0x07: (3, False),
    0x08: (4, False),
    0x09: (6, False),
    0x0A: (8, False),
    0x0C: (1, True),
    0x0E: (2, True),
    0x0F: (3, True),
    0x10: (4, True),
}
_UTF8 = 0x19


def read_unit(body: Cursor) -> str:
    """Return the UCUM unit of the low 16 bits of an MDC unit code.

    Raises ``unknown_unit`` if there is none.
    """
    unit = UNITS.get(UNIT_PARTITION + body.u16())
    if unit is None:
        raise DecodeError("unknown_unit", "no UCUM unit for this MDC unit")
    return unit


def read_codes(body: Cursor) -> list[int]:
    """Read a count u8 and as many u32: MDC codes or object ids."""
    return [body.u32() for _ in range(body.u8())]


def read_samples(body: Cursor) -> dict[str, Any]:
    """Read a waveform.

    Its fields are unit, scale, offset, period (FLOATs), samples in a period u8, octets in a sample
    u8, count u32, and the samples (hex).
    """
    samples: dict[str, Any] = {"unit": read_unit(body)}
    for name in ("scale", "offset", "period_s"):
        samples[name] = float32_text(body.u32())
    samples["samples_per_period"] = body.u8()
    octets = samples["octets_per_sample"] = body.u8()
    count = samples["samples"] = body.u32()
    samples["data"] = body.take(count * octets).hex()
    return samples


def read_tlvs(body: Cursor) -> list[dict[str, Any]]:
    """Read a count u8 and as many of type u32 (MDC), length u16, format u8 (GATT), value.

    A value stays hexadecimal if its format is neither a whole number nor a text.
    """
    return [_tlv(body) for _ in range(body.u8())]


def _tlv(body: Cursor) -> dict[str, Any]:
    code = body.u32()
    length = body.u16()
    form = body.u8()
    octets = body.take(length)
    value: int | str = octets.hex()
    if form in _WHOLE_NUMBERS:
        size, signed = _WHOLE_NUMBERS[form]
        if length != size:
            raise DecodeError(
                "bad_size", f"a value of format {form} has {size} octets, not {length}"
            )
        value = int.from_bytes(octets, "little", signed=signed)
    elif form == _UTF8:
        value = _utf8(octets)
    return {"type": code, "format": form, "value": value}


def _read_discrete(body: Cursor) -> int:
    return body.u32()


def _read_text(body: Cursor) -> str:
    return _utf8(body.take(body.u16()))


def _utf8(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DecodeError("reserved_value", "the string is not UTF-8") from error


def _read_state(body: Cursor) -> dict[str, str]:
    """Read a size u8, then three bit fields of that size, hexadecimal as sent."""
    size = body.u8()
    return {name: body.take(size).hex() for name in ("supported", "state_or_event", "bits")}


SAMPLES = 4
VALUES: dict[int, Callable[[Cursor], Any]] = {  # by class of an observation or kind of a component
    2: _read_discrete,
    3: _read_text,
    SAMPLES: read_samples,
    5: read_codes,
    6: _read_state,
}
