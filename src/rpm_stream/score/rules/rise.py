"""A rise of a vital from the days before to the last days."""

from __future__ import annotations

from rpm_stream.records import Record


class Rise(Record, frozen=True, kw_only=True):
    """How far the last days, or one, lie above those before, and the threshold."""

    fast: float
    slow: float
    threshold: float

    @property
    def by(self) -> float:
        """The rise, which is negative for a fall."""
        return self.fast - self.slow

    @property
    def is_over(self) -> bool:
        """Whether the rise reaches the threshold."""
        return self.by >= self.threshold


class Thumb(Rise, frozen=True, kw_only=True):
    """A rise within ``days`` days, by the rule of thumb."""

    days: int
