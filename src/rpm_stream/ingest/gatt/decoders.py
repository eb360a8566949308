"""The table of GATT decoders: ``decode`` is the one entry point, ``DECODERS`` the one list.

To add a characteristic, write one module with a function ``bytes -> Payload`` that raises
``DecodeError`` and nothing else, and add its line in ``DECODERS``. These do not belong here:
identity, device clocks, plausibility (normalise), and any state. Units and digits stay as the
sensor sent them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

from rpm_stream.ingest.errors import DecodeError
from rpm_stream.ingest.gatt.battery import decode_battery
from rpm_stream.ingest.gatt.blood_pressure import decode_blood_pressure, decode_cuff_pressure
from rpm_stream.ingest.gatt.body_composition import decode_body_composition
from rpm_stream.ingest.gatt.cgm import decode_cgm
from rpm_stream.ingest.gatt.cgm_session import (
    decode_feature,
    decode_run_time,
    decode_session_start,
    decode_status,
)
from rpm_stream.ingest.gatt.date_time import decode_date_time
from rpm_stream.ingest.gatt.enhanced_blood_pressure import (
    decode_enhanced_blood_pressure,
    decode_enhanced_cuff_pressure,
)
from rpm_stream.ingest.gatt.glucose import decode_glucose
from rpm_stream.ingest.gatt.glucose_context import decode_glucose_context
from rpm_stream.ingest.gatt.health_sensor import decode_live_observation, decode_stored_observation
from rpm_stream.ingest.gatt.heart_rate import decode_heart_rate
from rpm_stream.ingest.gatt.pulse_oximeter import decode_continuous, decode_spot_check
from rpm_stream.ingest.gatt.record_access import decode_record_access
from rpm_stream.ingest.gatt.running_speed import decode_running_speed
from rpm_stream.ingest.gatt.step_counter import decode_step_counter
from rpm_stream.ingest.gatt.temperature import decode_intermediate_temperature, decode_temperature
from rpm_stream.ingest.gatt.weight import decode_weight
from rpm_stream.records import Payload
from rpm_stream.text import as_sent

__all__ = ["DECODERS", "DecodeError", "Decoders", "decode", "short_form"]

Decoders: TypeAlias = Mapping[str, Callable[[bytes], Payload]]

DECODERS: dict[str, Callable[[bytes], Payload]] = {
    "2A08": decode_date_time,
    "2A18": decode_glucose,
    "2A19": decode_battery,
    "2A1C": decode_temperature,
    "2A1E": decode_intermediate_temperature,
    "2A34": decode_glucose_context,
    "2A35": decode_blood_pressure,
    "2A36": decode_cuff_pressure,
    "2A37": decode_heart_rate,
    "2A52": decode_record_access,
    "2A53": decode_running_speed,
    "2A5E": decode_spot_check,
    "2A5F": decode_continuous,
    "2A9C": decode_body_composition,
    "2A9D": decode_weight,
    "2AA7": decode_cgm,
    "2AA8": decode_feature,
    "2AA9": decode_status,
    "2AAA": decode_session_start,
    "2AAB": decode_run_time,
    "2B34": decode_enhanced_blood_pressure,
    "2B35": decode_enhanced_cuff_pressure,
    "2B40": decode_step_counter,  # provisional
    "2B8B": decode_live_observation,  # provisional
    "2BDD": decode_stored_observation,  # provisional
}

# Either form of the Bluetooth base UUID. ASCII, so that no unusual letter is folded into a hex
# digit.
_NAME = re.compile(
    r"([0-9A-F]{4})|0000([0-9A-F]{4})-0000-1000-8000-00805F9B34FB", re.ASCII | re.IGNORECASE
)


_UUID_LIKE = re.compile(r"(0[xX])?[0-9A-Fa-f-]{1,36}", re.ASCII)


@lru_cache(maxsize=1024)  # a few names, each thousands of times
def short_form(characteristic: str) -> str | None:
    """Return the four upper-case hex digits of ``characteristic``, or ``None``.

    ``characteristic`` has 4 digits or the 128-bit form, in any case.

    >>> short_form("00002a37-0000-1000-8000-00805f9b34fb"), short_form("heart rate")
    ('2A37', None)
    """
    match = _NAME.fullmatch(characteristic)
    return (match[1] or match[2]).upper() if match else None


SHORT = 8  # bytes: a pulse with two RR intervals, or a pulse and a saturation


def decode(characteristic: str, payload: bytes) -> Payload:
    """Return what one notification says by the specification, as ``decode_by``.

    At 1 Hz most payloads have been seen before, so the answers for short ones are kept. They are
    shared, and nothing may change them.
    """
    if len(payload) <= SHORT:
        return _decode_short(characteristic, bytes(payload))
    return decode_by(DECODERS, characteristic, payload)


@lru_cache(maxsize=8192)
def _decode_short(characteristic: str, payload: bytes) -> Payload:
    return decode_by(DECODERS, characteristic, payload)


def decode_by(decoders: Decoders, characteristic: str, payload: bytes) -> Payload:
    """Return what one notification says by ``decoders``: those of the specification, or of a
    device model that departs from it (``quirks``).

    ``characteristic``: 4 hex digits or the 128-bit form, any case. Raises ``DecodeError`` for
    everything bad, an unknown characteristic included. Never raises another exception.
    """
    decoder = decoders.get(characteristic)
    if decoder is None:
        short = short_form(characteristic)
        decoder = decoders.get(short) if short is not None else None
        if decoder is None:
            # A name that does not look like a UUID is not repeated, as it may hold anything.
            name = as_sent(characteristic) if _UUID_LIKE.fullmatch(characteristic) else "this name"
            raise DecodeError("unknown_characteristic", f"no decoder for {name}")
    return decoder(payload)
