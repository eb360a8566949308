"""What alert has to know of a patient beside the findings: given by the pipeline, which knows
score's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from rpm_stream.alert.episode import Member
from rpm_stream.knowledge import Limits
from rpm_stream.records import Direction, Reading, Total, Trend

Level: TypeAlias = Literal["beyond", "between", "inside"]


class Situation(Protocol):
    """A patient as of now: newest readings, NEWS2, and where each member of an episode stands."""

    @property
    def latest(self) -> Mapping[str, Reading]:
        """The newest reading of each vital."""

    @property
    def total(self) -> Total | None:
        """NEWS2 as of the newest reading that it stands on; None where it does not apply."""

    @property
    def limits(self) -> Limits:
        """The table with the spans and steps of what is told again."""

    def number(self, reading: Reading) -> Decimal | None:
        """The value in its vital's first unit, infinite where the device shows LO or HI."""

    def said(self, reading: Reading) -> str:
        """``oxygen saturation 88 %``"""

    def short(self, reading: Reading) -> str:
        """``88 %``"""

    def trend(self, vital: str) -> Trend | None:
        """Where the vital goes; None where nothing older is known."""

    def level(self, member: Member) -> Level:
        """Where the newest value of a member stands to its limit."""

    def is_beyond_query(self, vital: str, side: Direction, number: Decimal) -> bool:
        """Whether a value is one that rings high at once."""

    def heard_at(self, vital: str) -> datetime | None:
        """When the newest reading of a vital was measured."""
