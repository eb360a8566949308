"""What a rule is: it finds something in readings, decides when that has recovered, and forgets.

A rule is one class in one file and one line in ``table.py``. Its kind is a line in
``records.FindingKind``. Everything that depends on the kind of a finding is decided by its rule, so
that no other module names a kind. The laws that each rule meets are in
``tests/laws/test_rules.py``.

A rule is bound to the tables once and holds no data of a patient. What it must remember of a
patient it keeps in ``ScoreState``, bounded. The defaults are those of a rule that notes its own
calm (``note_calm``). Such a rule is back inside while it is calm, and has recovered after
``recovery_minutes`` of calm.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple, Protocol

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.records import Direction, Finding, FindingKind, Key, PatientEntry, Reading
from rpm_stream.score.memory.history import PlacingLevel
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limits import LimitTable
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.news2 import News2Chart
from rpm_stream.score.rules.oxygen import Oxygen
from rpm_stream.score.rules.stretch import Stretch


class RuleTables(NamedTuple):
    """The tables that the rules of one worker share."""

    knowledge: Knowledge
    registry: Registry
    chart: News2Chart
    oxygen: Oxygen
    limits: LimitTable


def share(knowledge: Knowledge, registry: Registry) -> RuleTables:
    """Bind the tables once for all rules."""
    chart = News2Chart(knowledge)
    limits = LimitTable(knowledge, chart, registry)
    return RuleTables(knowledge, registry, chart, Oxygen(knowledge), limits)


class Newest(Protocol):
    """What a rule last found for a member."""

    @property
    def measured_at(self) -> datetime:
        """When the value was measured."""

    @property
    def number(self) -> str:
        """The value beyond the bound, empty where there is none."""


class MemberView(Protocol):
    """A member of an episode as a rule sees it: what the rule found, and when."""

    @property
    def key(self) -> Key:
        """What the finding was about."""

    @property
    def vital(self) -> str:
        """The vital whose return counts."""

    @property
    def direction(self) -> Direction | None:
        """The side of the limit."""

    @property
    def measured_at(self) -> datetime:
        """When the newest finding was measured."""

    @property
    def newest(self) -> Newest | None:
        """What the rule found last."""


class Rule(Protocol):
    """What every rule provides for the findings of its kind.

    ``source`` names the tables of ``knowledge/`` that its numbers come from. Each row there names
    its own source. ``words`` is the kind of rule in words for a person. ``may_be_new_normal`` is
    true if a person may declare its findings to be this patient's new normal, which ends them.
    ``waits_for_a_person`` is true if a high finding whose values are back stays listed until a
    person has seen it. A prediction does not (CONTRACT 10). ``keeps`` is why a voided reading
    changes nothing for this rule. It is empty where ``forget`` takes the reading out.
    """

    kind: ClassVar[FindingKind]
    source: ClassVar[tuple[str, ...]]
    words: ClassVar[str]
    may_be_new_normal: ClassVar[bool] = False
    waits_for_a_person: ClassVar[bool] = True
    keeps: ClassVar[str] = ""
    calm_for: timedelta = timedelta(0)

    def recovered(
        self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView
    ) -> bool:
        """Whether a member has been back inside for its recovery time, by readings.

        A value that is inside its limit again has not recovered at once. It must be inside the
        recovery limit, and readings must show that for the recovery time. Only then may the member
        end its alert. The time counts up to the newest reading, so missing data recovers nothing.
        ``is_back`` is the weaker question: whether newer readings are inside at all.
        """
        calm = state.calm.get(name)
        return calm is not None and calm.until - calm.since >= self.calm_for

    def is_back(self, state: ScoreState, entry: PatientEntry, name: str, held: MemberView) -> bool:
        """Whether readings newer than the finding are back inside, for however short a time."""
        calm = state.calm.get(name)
        return calm is not None and calm.until > held.measured_at

    def level(self, state: ScoreState, entry: PatientEntry, held: MemberView) -> PlacingLevel:
        """The level of a member's newest value against its limit.

        A learned finding has no number and is always inside. For a trend the level is beyond while
        the newest value is the one that was found. Between that and calm it is inside, so that a
        value that hovers about the trend's bound is not reported at each turn.
        """
        latest = state.latest.get(held.vital)
        newest = held.newest
        rings = (
            latest is not None and newest is not None and newest.measured_at == latest.measured_at
        )
        return "beyond" if rings and newest is not None and newest.number else "inside"

    def pauses_learning(self, key: Key) -> bool:
        """Whether an open episode with such a member keeps its vitals from learning."""
        return True

    def standing(self, state: ScoreState, entry: PatientEntry, vital: str) -> Sequence[Finding]:
        """The findings that the kept readings of a vital still show, oldest first.

        It is called after other readings of the vital were voided.
        """
        return ()

    def holds_unnamed(self, state: ScoreState, entry: PatientEntry, held: MemberView) -> bool:
        """Whether a member is still held by values of which only the time is kept."""
        return False

    def forget(self, state: ScoreState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Remove voided readings of one vital from what the rule keeps."""
        return

    def renew(self, state: ScoreState, entry: PatientEntry) -> None:
        """Compute again what follows from the readings that are left.

        It is called after all voided readings were removed.
        """
        return


class MomentRule(Rule, Protocol):
    """A rule over the readings of one moment.

    The list in ``table.py`` gives the order in which the rules run.

    A rule that has both ``calm_until`` and ``pass_by`` lets moments without news pass at once. They
    pass only where every rule lets them: one rule without them makes all rules look at each moment
    again, which is right, and half as fast (``tests/laws/test_calm.py``).
    """

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Add what the readings of the moment show to ``moment.findings``, and update the state."""

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """As in ``Passing``. A rule without it looks at each moment, and so do all others."""
        return stretch.begin

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """As in ``Passing``."""
        return
