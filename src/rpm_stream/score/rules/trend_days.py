"""The days of a patient's vitals, as the trends read them."""

from __future__ import annotations

from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.records import Key
from rpm_stream.score.memory.days import DayTable, day_of
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState


class TrendDays:
    """The days of each vital that a trend looks at, bound to the tables."""

    def __init__(self, knowledge: Knowledge) -> None:
        rules = knowledge.trends
        self._groups = {name: row.group for name, row in knowledge.vitals.items()}
        named = {row.vital for row in rules.average} | {row.vital for row in rules.drop}
        named.update(name for row in rules.joined for name in (row.vital, row.answer))
        named.update(name for row in rules.joined for name in row.averages)
        self.tables = {
            vital: DayTable(
                float(knowledge.vitals[vital].resolution), rules.slot_hours, rules.kept_days
            )
            for vital in sorted(named)
        }

    def since(self, state: ScoreState, vital: str) -> int:
        """The first day that counts. Days before a new normal do not."""
        accepted = state.accepted.get(self._groups[vital])
        return 0 if accepted is None else day_of(accepted)


def member_of_trend(vital: str) -> str:
    """Return the name of the member that a vital's trends have in an episode."""
    return member_name("trend", Key(vital=vital))
