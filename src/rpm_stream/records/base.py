"""The base of all records, and the types of their texts, times and codes.

Times are timezone-aware UTC ``datetime``. Values are plain decimal strings with the sensor's
digits, never an exponent. Units are UCUM. A value, unit, offset, code or name holds no control
character: it is written into lines of output, keys and texts that people read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Time: TypeAlias = Annotated[
    datetime, Meta(tz=True, description="RFC 3339 with a zone; written in UTC with Z")
]
DecimalText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,24}(\.[0-9]{1,24})?(?!\n)$",
        description="plain decimal, the sensor's digits, no exponent",
    ),
]
# Without control characters and without the separators of lines and paragraphs, which cut a line in
# two as well. As ``$`` lets one line end pass in Python, the pattern refuses that too.
CLEAN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?!\n)$"
# Texts of what enters (Frame): refused where they are decoded.
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=CLEAN)]
Short: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=CLEAN)]
Unit: TypeAlias = Annotated[str, Meta(max_length=32, pattern=CLEAN, description="UCUM")]
# What every sender may give as the value of a measurement; the schema has it.
APP_VALUE = r"^(-?[0-9]{1,24}(\.[0-9]{1,24})?|[Ll][Oo]([Ww])?|[Hh][Ii]([Gg][Hh])?)(?!\n)$"
# Wider than its schema: a clinic may name texts of its apps that stand for "no value"
# (knowledge/placeholders.toml). ingest/measurements.py refuses every other text.
AppValue: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=CLEAN,
        description=(
            "plain decimal, the sensor's digits, no exponent; or LO or HI of a glucose meter"
        ),
    ),
]
# Texts of what the topics and the states keep. Their schema says the same, but decoding takes what
# is there: an older release did not look, and a reader that refuses its records loses them. Who
# lets something in (ingest/frames.py, pipeline/actions.py, registry.py) looks.
Code: TypeAlias = Annotated[str, Meta(extra_json_schema={"pattern": CLEAN})]
KeptName: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": CLEAN})
]
ExactText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,64}(\.[0-9]{1,64})?$",
        description="plain decimal, converted or a mean: no digit lost",
    ),
]
SensedText: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]+(\.[0-9]+)?$",
        description="plain decimal as sensed, however long a device makes it",
    ),
]
KeptOffset: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$",
        description="offset from UTC, such as +02:00",
    ),
]
LimitValue: TypeAlias = DecimalText | int | float
Version: TypeAlias = Literal[1]
Offset: TypeAlias = Annotated[
    str,
    Meta(
        pattern=(
            r"^(Z|\+(0[0-9]|1[0-3]):[0-5][0-9]|\+14:00|-(0[0-9]|1[01]):[0-5][0-9]|-12:00)(?!\n)$"
        ),
        description="offset from UTC, such as +02:00; -12:00 to +14:00",
    ),
]
# All that decoding octets of a stranger may raise: no JSON or another form, text that is no UTF-8,
# nesting without end.
UNREADABLE: tuple[type[Exception], ...] = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all nouns: immutable, keyword-only."""
