"""What the alert stage needs to know of a patient besides the findings.

The pipeline provides it, because the pipeline knows the state of the score stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from rpm_stream.alert.episode import Member
from rpm_stream.knowledge.scoring import Limits
from rpm_stream.records import Direction, Reading, Total, Trend

LimitLevel: TypeAlias = Literal["beyond", "between", "inside"]


class Situation(Protocol):
    """A patient as of now: newest readings, NEWS2, and each member's level against its limit."""

    @property
    def latest(self) -> Mapping[str, Reading]:
        """The newest reading of each vital."""

    @property
    def total(self) -> Total | None:
        """NEWS2 as of the newest reading that counts in it, or None where it does not apply."""

    @property
    def limits(self) -> Limits:
        """The table that holds the spans and steps for reporting again."""

    def number(self, reading: Reading) -> Decimal | None:
        """The value in its vital's first unit, infinite where the device shows LO or HI."""

    def value_words(self, reading: Reading) -> str:
        """The vital and its value in words: ``oxygen saturation 88 %``."""

    def short(self, reading: Reading) -> str:
        """The value in words: ``88 %``."""

    def trend(self, vital: str) -> Trend | None:
        """The trend of the vital, or None where no older value is known."""

    def level(self, member: Member) -> LimitLevel:
        """The level of a member's newest value against its limit."""

    def is_beyond_query(self, vital: str, side: Direction, number: Decimal) -> bool:
        """Whether a value alone raises a high alert."""

    def heard_at(self, vital: str) -> datetime | None:
        """When the newest reading of a vital was measured."""
