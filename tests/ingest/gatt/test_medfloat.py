"""SFLOAT over its whole range, FLOAT by property, against exact decimals."""

from __future__ import annotations

import re
from decimal import Context, Decimal

from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.ingest.gatt.medfloat import float32, float32_text, sfloat, sfloat_text

PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
SPECIALS = {
    "not-a-number": "NaN",
    "positive-infinity": "+INF",
    "negative-infinity": "-INF",
}
EXACT = Context(prec=200)


def signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> (bits - 1) else number


def check(text: str | None, mantissa: int, exponent: int) -> None:
    assert text is not None and PLAIN.fullmatch(text)
    assert Decimal(text) == Decimal(mantissa).scaleb(exponent, EXACT)
    digits = len(text.partition(".")[2])
    assert digits == max(0, -exponent)  # the sensor's digits, no fewer and no more


def test_every_sfloat() -> None:
    specials = {0x07FF, 0x0800, 0x07FE, 0x0802, 0x0801}
    for raw in range(0x10000):
        text, absent = sfloat(raw)
        if raw in specials:
            assert text is None and absent is not None
        else:
            assert absent is None
            check(text, signed(raw & 0x0FFF, 12), signed(raw >> 12, 4))


def test_specials_by_name_and_reason() -> None:
    found = {
        raw: (sfloat_text(raw), sfloat(raw)[1]) for raw in (0x07FF, 0x0800, 0x07FE, 0x0802, 0x0801)
    }
    assert found == {
        0x07FF: ("NaN", "not-a-number"),
        0x0800: ("NRes", "error"),
        0x07FE: ("+INF", "positive-infinity"),
        0x0802: ("-INF", "negative-infinity"),
        0x0801: ("Reserved", "error"),
    }
    wide = {
        raw: (float32_text(raw), float32(raw)[1])
        for raw in (0x7FFFFF, 0x800000, 0x7FFFFE, 0x800002, 0x800001)
    }
    assert list(wide.values()) == list(found.values())


def test_known_texts() -> None:
    assert sfloat(0xF2D0) == ("72.0", None)
    assert sfloat(0xF014) == ("2.0", None)
    assert sfloat(0x100C) == ("120", None)
    assert sfloat(0xF000) == ("0.0", None)
    assert sfloat(0xEFFB) == ("-0.05", None)
    assert sfloat(0xB034, 5) == ("52", None)
    assert sfloat(0xC038, 3) == ("5.6", None)
    assert float32(0xFE000E71) == ("36.97", None)


@given(raw=st.integers(0, 2**32 - 1))
def test_any_float(raw: int) -> None:
    text, absent = float32(raw)
    if absent is None:
        check(text, signed(raw & 0xFFFFFF, 24), signed(raw >> 24, 8))
    else:
        assert text is None
        assert float32_text(raw) in ("NRes", "Reserved") or float32_text(raw) == SPECIALS[absent]


@given(raw=st.integers(0, 0xFFFF), shift=st.sampled_from([3, 5, 6]))
def test_a_shift_moves_the_point_only(raw: int, shift: int) -> None:
    text, absent = sfloat(raw, shift)
    assert absent == sfloat(raw)[1]
    if absent is None:
        check(text, signed(raw & 0x0FFF, 12), signed(raw >> 12, 4) + shift)
