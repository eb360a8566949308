"""What a rule is: it finds something in a patient's readings, says when that has recovered, and
forgets on request.

A rule is one class in one file and one line in ``table.py``; its kind is a line in
``records.Kind``. Everything that depends on the kind of a finding is asked of its rule here, so
that no other module names one. The laws that each rule meets are in ``tests/laws/test_rules.py``.

A rule is bound to the tables once and holds nothing of a patient. What it must remember of one it
keeps in ``ScoreState``, bounded. The defaults are those of a rule that notes its own calm
(``note_calm``): such a rule is back inside while it is calm, and has recovered after
``recovery_minutes`` of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple, Protocol

from rpm_stream.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry
from rpm_stream.records import Direction, Finding, Key, Kind, PatientEntry, Reading
from rpm_stream.score.memory.history import Level
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.limits import LimitTable
from rpm_stream.score.rules.moment import Moment
from rpm_stream.score.rules.news2 import Chart
from rpm_stream.score.rules.stretch import Stretch


class Shared(NamedTuple):
    """The tables that the rules of one worker share."""

    knowledge: Knowledge
    registry: Registry
    chart: Chart
    limits: LimitTable


def share(knowledge: Knowledge, registry: Registry) -> Shared:
    """Bind the tables once for all rules."""
    chart = Chart(knowledge)
    return Shared(knowledge, registry, chart, LimitTable(knowledge, chart, registry))


class Newest(Protocol):
    """What a rule said last of a member."""

    @property
    def measured_at(self) -> datetime:
        """When the value was measured."""

    @property
    def number(self) -> str:
        """The value beyond the bound; empty where there is none."""


class Held(Protocol):
    """A member of an episode as a rule sees it: what the rule found once, and when."""

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
        """What the rule said last."""


class Rule(Protocol):
    """What is asked of every rule, by the kind of what it found.

    ``source``: the tables of ``knowledge/`` that its numbers come from; each row there names its
    own source. ``words``: what kind of rule it is, for a person. ``may_be_new_normal``: a person
    may call what it found this patient's new normal, and then it is gone. ``keeps``: why a reading
    that is taken back changes nothing for this rule; empty where ``forget`` takes it out.
    """

    kind: ClassVar[Kind]
    source: ClassVar[tuple[str, ...]]
    words: ClassVar[str]
    may_be_new_normal: ClassVar[bool] = False
    keeps: ClassVar[str] = ""
    calm_for: timedelta = timedelta(0)

    def recovered(self, state: ScoreState, entry: PatientEntry, name: str, held: Held) -> bool:
        """Whether a member has been back inside for its recovery time, by readings."""
        calm = state.calm.get(name)
        return calm is not None and calm.until - calm.since >= self.calm_for

    def is_back(self, state: ScoreState, entry: PatientEntry, name: str, held: Held) -> bool:
        """Whether newer readings than those that rang are back inside already, for however short
        a time.
        """
        calm = state.calm.get(name)
        return calm is not None and calm.until > held.measured_at

    def level(self, state: ScoreState, entry: PatientEntry, held: Held) -> Level:
        """Where the newest value of a member stands to its limit; of what is learned that is no
        news.

        A trend's is where the trend rang with it: between there and calm it is as good as inside,
        so that what hovers about the trend's bound tells nothing at each turn.
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
        """What the kept readings of a vital show, oldest first; asked after others of them were
        taken back.
        """
        return ()

    def stands_unnamed(self, state: ScoreState, entry: PatientEntry, held: Held) -> bool:
        """Whether a member still stands by values of which only the time is kept."""
        return False

    def forget(self, state: ScoreState, entry: PatientEntry, wrong: Sequence[Reading]) -> None:
        """Take readings of one vital that were taken back out of what the rule keeps."""
        return

    def renew(self, state: ScoreState, entry: PatientEntry) -> None:
        """Settle what follows from the readings that are left, once all that was wrong is
        forgotten.
        """
        return


class MomentRule(Rule, Protocol):
    """A rule over the readings of one moment.

    The table in ``table.py`` lists them in the order of looking.
    """

    def look(self, state: ScoreState, moment: Moment) -> None:
        """Add what the readings of the moment show to ``moment.findings``; the state moves on."""

    def calm_until(self, state: ScoreState, stretch: Stretch) -> datetime:
        """As in ``Passing``: a rule that does not say otherwise looks at each moment."""
        return stretch.begin

    def pass_by(self, state: ScoreState, stretch: Stretch) -> None:
        """As in ``Passing``."""
        return
