"""As ``gatt``, for scales and foot pods: weight with height, body composition, running speed.

The fields are steps of the payload's own grid (``masses`` 0.005 kg or 0.01 lb, and so on), so that
nothing is rounded.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from rpm_stream.app.gateway.ble.fields import unsigned
from rpm_stream.app.simulator.encode.numbers import optional_time, optional_unsigned, present_bits
from rpm_stream.records import Record

UNSUCCESSFUL = 0xFFFF  # a weight or body fat that the scale could not measure
Steps: TypeAlias = int | None
"""A field in steps of the payload's own grid. None is not sent."""

_STEPS = ("metabolism muscle muscle_mass fat_free soft_lean water impedance weight height").split()


class WeightSteps(Record, frozen=True, kw_only=True):
    """A value of 2A9D.

    ``weight`` is in 0.005 kg or, with ``imperial``, in 0.01 lb. ``body`` is the BMI in 0.1 kg/m2
    and the height in 1 mm or 0.1 in.
    """

    weight: int
    imperial: bool = False
    time: datetime | None = None
    user: int | None = None
    body: tuple[int, int] | None = None


class BodyComposition(Record, frozen=True, kw_only=True):
    """A value of 2A9C.

    ``fat`` and ``muscle`` are in 0.1 %, ``metabolism`` in kJ and ``impedance`` in 0.1 Ohm. Masses,
    ``weight`` and ``height`` are in the steps of 2A9D. ``more``: a further packet of this
    measurement follows.
    """

    fat: int
    imperial: bool = False
    time: datetime | None = None
    user: int | None = None
    metabolism: Steps = None
    muscle: Steps = None
    muscle_mass: Steps = None
    fat_free: Steps = None
    soft_lean: Steps = None
    water: Steps = None
    impedance: Steps = None
    weight: Steps = None
    height: Steps = None
    more: bool = False


class Running(Record, frozen=True, kw_only=True):
    """A value of 2A53.

    ``speed`` is in 1/256 m/s, ``cadence`` in /min, ``stride`` in cm and ``distance`` in 0.1 m.
    """

    speed: int
    cadence: int
    stride: Steps = None
    distance: Steps = None
    running: bool = False


def weight_steps(measured: WeightSteps) -> bytes:
    """Return the payload of 2A9D."""
    body = (
        b""
        if measured.body is None
        else unsigned(measured.body[0], 2) + unsigned(measured.body[1], 2)
    )
    options = (optional_time(measured.time), optional_unsigned(measured.user, 1), body)
    flags = measured.imperial | present_bits(options) << 1
    return bytes([flags]) + unsigned(measured.weight, 2) + b"".join(options)


def body_composition(measured: BodyComposition) -> bytes:
    """Return the payload of 2A9C."""
    steps = tuple(optional_unsigned(getattr(measured, name), 2) for name in _STEPS)
    options = (optional_time(measured.time), optional_unsigned(measured.user, 1), *steps)
    flags = measured.imperial | present_bits(options) << 1 | measured.more << 12
    return unsigned(flags, 2) + unsigned(measured.fat, 2) + b"".join(options)


def running(measured: Running) -> bytes:
    """Return the payload of 2A53."""
    options = (optional_unsigned(measured.stride, 2), optional_unsigned(measured.distance, 4))
    flags = present_bits(options) | measured.running << 2
    return (
        bytes([flags])
        + unsigned(measured.speed, 2)
        + unsigned(measured.cadence, 1)
        + b"".join(options)
    )
