"""Measurements of apps: one value each, in the words of the knowledge table."""

from __future__ import annotations

from rpm_stream.records import Decoded, Measurement, Payload


def decode_measurement(entry: Measurement) -> Payload:
    """The one reading of a measurement; normalise knows which vitals and units exist."""
    return Payload(readings=(Decoded(vital=entry.vital, value=entry.value, unit=entry.unit),))
