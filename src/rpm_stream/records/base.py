"""The base of all records, and the types of their texts, times and codes.

Times are timezone-aware UTC ``datetime``. Values are plain decimal strings with the sensor's
digits, never with an exponent. Units are UCUM. A value, unit, offset, code or name holds no control
character, because it is written into lines of output, keys and texts that people read.
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
# No control characters, and no separators of lines and paragraphs, which split a line as well. In
# Python ``$`` also matches before a final line end, so the pattern excludes that too.
CLEAN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*(?!\n)$"
# Texts of frames. Decoding refuses them if they do not fit.
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=CLEAN)]
Short: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=CLEAN)]
Unit: TypeAlias = Annotated[str, Meta(max_length=32, pattern=CLEAN, description="UCUM")]
# The value of a measurement that every sender may use. The schema has this pattern.
APP_VALUE = r"^(-?[0-9]{1,24}(\.[0-9]{1,24})?|[Ll][Oo]([Ww])?|[Hh][Ii]([Gg][Hh])?)(?!\n)$"
# Wider than its schema: a clinic may list texts of its apps that mean "no value"
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
# Texts in topics and states. The schema has the pattern, but decoding accepts any text: an older
# release did not check, and a reader that refuses its records would lose them. The code that lets
# something in checks it (ingest/frames.py, pipeline/actions.py, knowledge/registry.py).
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
# All exceptions of decoding bytes from an unknown sender: no JSON or another form, text that is not
# UTF-8, nesting that is too deep.
UNREADABLE: tuple[type[Exception], ...] = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records: immutable, with keyword arguments only."""
