"""What is kept of a patient to forecast a vital, in whole numbers that pack small.

Times are seconds since 1970 and values tenths of the vital's first unit.
"""

from __future__ import annotations

import msgspec


class Issued(msgspec.Struct, array_like=True, frozen=True):
    """A forecast whose outcome is not known yet.

    ``level``, ``slope`` and ``changes`` are what the person's own part learns from: the distance
    from the usual value, the change over 15 minutes, and the change that the prior expects by each
    horizon. ``errors`` is the expected error of each horizon.
    """

    at: int
    value: int
    level: int
    slope: int
    changes: tuple[int, int]
    errors: tuple[int, int]


class PersonalForecast(msgspec.Struct, array_like=True):
    """What was learned of this person for one horizon.

    ``weights`` correct the prior. ``lower`` and ``upper`` widen the interval: they are logarithms
    of a factor.
    """

    weights: list[float]
    lower: float = 0.0
    upper: float = 0.0


class ForecastState(msgspec.Struct, array_like=True):
    """The last hour of one sensor, the open forecasts, and what was learned of the person.

    ``times`` and ``values`` are points minutes apart, oldest first; the last one is the newest
    reading. ``usual`` and ``spread`` follow the values over days. ``pressed_at`` is when a fall
    last looked like pressure on the sensor, and ``turn`` which horizon learned last.
    """

    device: str
    times: list[int]
    values: list[int]
    usual: float
    spread: float
    issued: list[Issued]
    personal: list[PersonalForecast]
    pressed_at: int = 0
    turn: int = 0
