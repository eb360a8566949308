"""How a number is published: with the sensor's digits, or as many as a conversion justifies.

A value in another unit has as many digits as the factor gives (100 mg/dL are 5.550744909966917…
mmol/L). It is published with one decimal place more than the sensor's, at most three, and half is
rounded up. Comparing and sorting use the exact number.

So a number in process is a text of two parts: the exact number and, after a space, the decimal
places for publishing. A text without a space is as sensed and published unchanged.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.text import MOST_DECIMALS

# value texts have at most 48 digits, those of a state at most 128
EXACT = Context(prec=160, rounding=ROUND_HALF_UP)


def exact(value: str, unit: str, to: str, knowledge: Knowledge) -> str:
    """Return ``value`` in unit ``to``, with the decimal places for publishing.

    A value that is already in ``to`` is returned as sensed.

    >>> from rpm_stream.knowledge import shipped
    >>> exact("16.0", "kPa", "mm[Hg]", shipped()), exact("72.0", "{beats}/min", "/min", shipped())
    ('120.009920 2', '72.0')
    """
    if unit == to:
        return value
    number = knowledge.convert(Decimal(value), unit, to)
    if number == Decimal(value):  # another name of the same unit: "72.0" keeps its digits
        return value
    return f"{number:f} {min(_places(value) + 1, MOST_DECIMALS)}"


def converted(value: str, unit: str, to: str, knowledge: Knowledge) -> str:
    """Return ``value`` in unit ``to`` as it is published.

    >>> from rpm_stream.knowledge import shipped
    >>> converted("16.0", "kPa", "mm[Hg]", shipped())
    '120.01'
    >>> converted("72.0", "{beats}/min", "/min", shipped())
    '72.0'
    """
    return value if unit == to else published(exact(value, unit, to, knowledge))


def number_of(text: str) -> Decimal:
    """Return the exact number, for sorting."""
    return Decimal(text.partition(" ")[0])


def published(text: str) -> str:
    """Return the number as it is published."""
    number, _, places = text.partition(" ")
    return _rounded(Decimal(number), int(places)) if places else text


def mean(low: str, high: str) -> str:
    """Return the mean of two numbers as it is published.

    It is exact if both are as sensed, with at most one decimal place more than theirs.

    >>> mean("72", "73"), mean("100", "180.156 2")
    ('72.5', '140.08')
    """
    middle = EXACT.divide(EXACT.add(number_of(low), number_of(high)), Decimal(2))
    if " " not in low + high:
        return f"{middle:f}"
    return _rounded(middle, min(max(map(_mean_places, (low, high))), MOST_DECIMALS))


def _mean_places(text: str) -> int:
    number, _, places = text.partition(" ")
    return int(places) if places else _places(number) + 1


def _places(value: str) -> int:
    return len(value.partition(".")[2])


def _rounded(number: Decimal, places: int) -> str:
    """Return the number rounded half up, without trailing zeros.

    Trailing zeros would claim digits that were not measured. Zero has no sign.
    """
    text = f"{number.quantize(Decimal(1).scaleb(-places), context=EXACT):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
