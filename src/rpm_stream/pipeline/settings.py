"""Report settings of a patient that a person must correct.

Each problem is reported once, at the first record after it was set, until it is corrected. A limit
that cannot be used is left out and the next level's limit holds (individual_limits.py). This rule
tells a person about it. It also reports parts of an entry that cannot be read (stored_entry.py),
above all whether a person is pregnant. Further problems are an unreadable date of birth, an
expectation or a target weight that cannot be used, measured vital signs without any limit, and an
unknown oxygen supply of a patient whose saturation is judged by it. A problem that a person has
ended is not reported again before it was corrected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from datetime import datetime

import msgspec

from rpm_stream.ids import deterministic_id, utc_text
from rpm_stream.knowledge.knowledge import Knowledge
from rpm_stream.knowledge.registry import Registry, has_unreadable_birth
from rpm_stream.pipeline.patient_rule import PatientRule, TimedFinding
from rpm_stream.pipeline.patient_state import PatientState
from rpm_stream.records import Finding, Key, Limit, PatientEntry, Record
from rpm_stream.score.memory.expected import expected_faults, expected_of
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.memory.state import ScoreState
from rpm_stream.score.rules.bands import NO_AGE, Bands
from rpm_stream.score.rules.discharge_weight import target_fault
from rpm_stream.score.rules.individual_limits import OwnLimits, limit_fault
from rpm_stream.score.rules.oxygen import Oxygen
from rpm_stream.score.rules.oxygen_scale import SATURATION, OxygenScale, has_scale_2
from rpm_stream.text import cleaned, plain_list

GROUP = "settings"
MENDED = "the setting is mended"
ANSWERED: dict[OxygenScale, str] = {
    "2 on air": "answered: on air",
    "2 on oxygen": "answered: on oxygen",
}
OXYGEN = "oxygen"
CHARTED = "pregnant"  # the field of an entry that selects a chart, besides the date of birth
# reported one by one for each patient. The others are counted, or they would fill the state.
MOST_LIMITS = 8
MOST_EXPECTED = 3
MOST_UNREAD = 3
REMEMBERED = 50_000
Levels = tuple[object, ...]  # the entries whose limits apply to a patient

_encode = msgspec.json.Encoder().encode


class Problem(Record, frozen=True, kw_only=True):
    """One problem of a setting.

    ``opened_by`` is what the alert's id is made of if this is its first problem.
    """

    rule: str
    title: str
    why: str
    opened_by: tuple[str, ...]
    what: str


class EntryProblems:
    """Finds the problems that entries have by themselves, whatever was measured.

    Results are reused while the registry stays the same.
    """

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge = knowledge
        self._registry = registry
        self._known: dict[str, tuple[Levels, tuple[Problem, ...]]] = {}

    def of(self, entry: PatientEntry) -> tuple[Problem, ...]:
        """Return the problems of a patient's entry and of its panel and programme."""
        panel = self._registry.panels.get(entry.panel or "")
        programme = self._registry.programmes.get(entry.programme or "")
        levels: Levels = (entry, panel, programme)
        known = self._known.get(entry.patient)
        if known is not None and all(
            one is other for one, other in zip(known[0], levels, strict=True)
        ):
            return known[1]
        if len(self._known) > REMEMBERED:
            self._known.clear()
        limits = [("", "", limit) for limit in entry.limits]
        limits += [("panel", entry.panel or "", limit) for limit in (panel.limits if panel else ())]
        limits += [
            ("programme", entry.programme or "", limit)
            for limit in (programme.limits if programme else ())
        ]
        found = (
            *self._pregnant(entry),
            *self._unread(entry),
            *self._limits(limits),
            *self._expected(entry),
            *self._target(entry),
        )
        self._known[entry.patient] = (levels, found)
        return found

    def _pregnant(self, entry: PatientEntry) -> Iterator[Problem]:
        if CHARTED in self._registry.left_out.get(f"patient/{entry.patient}", ()):
            yield _problem(
                CHARTED,
                "Is this person pregnant?",
                "what the registry says of a pregnancy cannot be read, so the chart of pregnancy"
                " does not hold: write true or false",
                (CHARTED,),
            )

    def _unread(self, entry: PatientEntry) -> Iterator[Problem]:
        whose = [("", "patient", entry.patient)]
        groups = (("panel", entry.panel), ("programme", entry.programme))
        whose += [(f" of the {kind} {cleaned(name)}", kind, name) for kind, name in groups if name]
        for level, kind, of in whose:
            key = f"{kind}/{of}"
            if names := [
                name
                for name in self._registry.left_out.get(key, ())
                if (kind, name) != ("patient", CHARTED)
            ]:
                more = f" and {len(names) - MOST_UNREAD} more" if len(names) > MOST_UNREAD else ""
                yield _problem(
                    "unread",
                    "Settings that cannot be read",
                    f"what cannot be read in the registry{level} is left out, and what else is"
                    f" known holds: {', '.join(names[:MOST_UNREAD])}{more}",
                    ("unread", key, *names),
                    f"unread:{deterministic_id(key, *names)[:8]}",
                )

    def _expected(self, entry: PatientEntry) -> Iterator[Problem]:
        found = sorted(expected_faults(entry, self._knowledge))
        if found:
            words = "; ".join(fault for _, fault in found[:MOST_EXPECTED])
            more = (
                f"; and {len(found) - MOST_EXPECTED} further ones"
                if len(found) > MOST_EXPECTED
                else ""
            )
            yield _problem(
                "expected",
                "Silence that cannot be noticed",
                "what is expected is left out where it cannot be used, so its silence is not"
                f" noticed: {words}{more}",
                ("expected", *(vital for vital, _ in found)),
            )

    def _target(self, entry: PatientEntry) -> Iterator[Problem]:
        target = entry.target_weight
        if target is not None and (fault := target_fault(target, self._knowledge)) is not None:
            yield _problem(
                "target",
                "A weight at discharge that cannot be used",
                f"the weight at discharge is left out, and nothing is compared with it: {fault}",
                ("target", _encode(target).decode()),
            )

    def _limits(self, limits: Sequence[tuple[str, str, Limit]]) -> Iterator[Problem]:
        faulty = [
            (level, name, limit, fault)
            for level, name, limit in limits
            if (fault := limit_fault(limit, self._knowledge)) is not None
        ]
        for each in faulty[:MOST_LIMITS]:
            yield self._limit(*each)
        if len(faulty) > MOST_LIMITS:
            why = f"{len(faulty) - MOST_LIMITS} further limits are left out, as they cannot be used"
            yield _problem(
                "limit", "Limits that cannot be used", why, ("limit", "further"), "limit:further"
            )

    def _limit(self, level: str, name: str, limit: Limit, fault: str) -> Problem:
        content = _encode(limit).decode()
        row = self._knowledge.vitals.get(limit.vital)
        words = fault.replace(f"the limit of {limit.vital} ", "it ", 1)
        whose = f" for the {level} {cleaned(name)}" if level else ""
        what = f"a limit of {row.plain}" if row is not None else "a limit"
        return _problem(
            "limit",
            "A limit that cannot be used",
            f"{what}, set by {limit.owner}{whose}, is left out and what comes next holds: {words}",
            ("limit", content),
            f"limit:{deterministic_id(content)[:8]}",
        )


class SettingsRule(PatientRule):
    """Finds problems of settings, bound to the tables."""

    kind = "setting"
    source = ("priorities.toml",)
    words = "A setting of this patient that somebody has to mend"
    keeps = "a setting is no reading; what is asked of a reading is asked again at each step"
    when = "step"

    def __init__(self, knowledge: Knowledge, registry: Registry) -> None:
        self._knowledge = knowledge
        self._registry = registry
        self._known_oxygen = Oxygen(knowledge)
        self._bands = Bands(knowledge)
        self._own = OwnLimits(registry, knowledge)
        self._entries = EntryProblems(knowledge, registry)
        self._of_news2 = [
            vital for row in knowledge.news2.parameters().values() for vital in row.vitals
        ]

    def due(self, state: PatientState, entry: PatientEntry, now: datetime) -> list[TimedFinding]:
        """Return problems that were not reported yet, the gravest first.

        Notes them as reported.
        """
        score = state.score
        if entry.patient not in self._registry.patients and not score.told_settings:
            return []
        found = self.problems(score, entry, now)
        score.told_settings = [
            name for name in score.told_settings if any(name == each.member for each in found)
        ]
        new = [each for each in found if each.member not in score.told_settings]
        score.told_settings += [each.member for each in new]
        return [TimedFinding(each, now) for each in new]

    def problems(self, score: ScoreState, entry: PatientEntry, at: datetime) -> list[Finding]:
        """Return all problems at ``at``, the gravest first."""
        found = [
            *self._without_limits(score, entry, at),
            *_birth(entry, at),
            *self._entries.of(entry),
        ]
        found += self._oxygen(score, entry, at)
        return [self._finding(each, at) for each in found]

    def mended(
        self, score: ScoreState, entry: PatientEntry, members: Set[str], at: datetime
    ) -> str:
        """Return the reason why no reported problem is left: corrected, or answered by a person."""
        if members != {member_name(self.kind, Key(what=OXYGEN))} or entry.on_oxygen is not None:
            return MENDED
        return ANSWERED.get(self._known_oxygen.scale(entry, score.histories, at), MENDED)

    def _without_limits(
        self, score: ScoreState, entry: PatientEntry, at: datetime
    ) -> Iterator[Problem]:
        if self._bands.chart_of(entry, at) != NO_AGE:
            return
        person = self._bands.person(entry, at)
        expected = expected_of(entry, self._knowledge)
        without = [
            self._knowledge.vitals[vital].plain
            for vital in self._of_news2
            if (vital in score.histories or vital in expected)
            and self._bands.line(person, vital) is None
            and not self._own.at(entry, vital, at).sides
        ]
        if without:
            yield _problem(
                "no_limits",
                "No limits for this person",
                f"no limits for this person: of {plain_list(without)} only what is rarely real"
                " rings; set limits, or the date of birth",
                ("no limits",),
            )

    def _oxygen(self, score: ScoreState, entry: PatientEntry, at: datetime) -> Iterator[Problem]:
        last = score.latest.get(SATURATION)
        if last is None or entry.on_oxygen is not None or not has_scale_2(entry):
            return
        if self._known_oxygen.scale(entry, score.histories, at) == "2 unknown":
            has_aged = any(
                vital in score.histories
                for row in self._knowledge.news2.oxygen()
                for vital in row.vitals
            )
            lately = (
                f" in the last {self._knowledge.news2.fresh_for_hours} hours" if has_aged else ""
            )
            # each period without an answer has its own alert
            since, _ = self._known_oxygen.reach(entry, score.histories, at)
            yield _problem(
                OXYGEN,
                "Air or oxygen?",
                f"nobody has said{lately} whether this patient breathes air or oxygen, and on scale"
                " 2 the saturation is judged by it: ask, or set it in the registry",
                ("oxygen", last.id if since is None else utc_text(since)),
            )

    def _finding(self, problem: Problem, at: datetime) -> Finding:
        key = Key(what=problem.what)
        return Finding(
            kind=self.kind,
            key=key,
            member=member_name(self.kind, key),
            rule=f"{problem.rule}@{self._knowledge.priorities.version}",
            group=GROUP,
            priority=self._knowledge.priorities.of(problem.rule),
            title=problem.title,
            why=problem.why,
            evidence=(),
            vital="",
            measured_at=at,
            opened_by=problem.opened_by,
        )


def _birth(entry: PatientEntry, at: datetime) -> Iterator[Problem]:
    if has_unreadable_birth(entry, at):
        yield _problem(
            "born",
            "Date of birth cannot be read",
            "the date of birth cannot be read, or lies ahead, so nobody knows whether this is a"
            " child: NEWS2 does not apply; write it as YYYY-MM-DD, YYYY-MM or YYYY",
            ("born",),
        )


def _problem(
    kind: str, title: str, why: str, opened_by: tuple[str, ...], name: str = ""
) -> Problem:
    return Problem(
        rule=f"{GROUP}.{kind}", title=title, why=why, opened_by=opened_by, what=name or kind
    )
