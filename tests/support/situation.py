"""A patient of whom alert knows only the findings, for tests of the life of alerts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from rpm_stream.alert.decisions import Context
from rpm_stream.alert.episode import Member
from rpm_stream.alert.situation import LimitLevel
from rpm_stream.knowledge import Limits, shipped
from rpm_stream.records import Direction, Reading, Total, Trend


class Unknown:
    """A situation without any newer value than those of the findings."""

    def __init__(self) -> None:
        self.latest: dict[str, Reading] = {}
        self.total: Total | None = None

    @property
    def limits(self) -> Limits:
        return shipped().limits

    def number(self, reading: Reading) -> Decimal | None:
        return None

    def said(self, reading: Reading) -> str:
        return ""

    def short(self, reading: Reading) -> str:
        return ""

    def trend(self, vital: str) -> Trend | None:
        return None

    def level(self, member: Member) -> LimitLevel:
        return "beyond"

    def is_beyond_query(self, vital: str, side: Direction, number: Decimal) -> bool:
        return False

    def heard_at(self, vital: str) -> datetime | None:
        return None


def context(now: datetime) -> Context:
    """Return the context of a decision about an alert whose values are not back."""
    return Context(
        shipped().priorities, Unknown(), lambda name, member: False, lambda member: False, now
    )
