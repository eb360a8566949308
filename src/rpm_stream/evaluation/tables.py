"""The results as text for people: one table for each question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rpm_stream.evaluation.alarms import REACHED
from rpm_stream.evaluation.report import (
    BudgetResult,
    CadenceResult,
    Evaluation,
    ScoreResult,
    ShownRow,
    Span,
)
from rpm_stream.evaluation.stays import CARRIED, WINDOW

NONE = "-"
RULES = 40  # rows of the table of rules; evaluation.json has all
Cells = Sequence[str]


def text_of(result: Evaluation) -> str:
    """Return all tables, with a line end."""
    parts = [*_cadence("Hourly readings", result.hourly)]
    if result.home is not None:
        parts += _cadence("The cadence of a home", result.home)
    notes = (
        f"part of the people: {result.part}",
        f"intervals: 95 %, by bootstrap over stays, {result.draws} draws",
        "*: the score reaches no such rate, because too few hours have one",
        "less NEWS2: interval of the difference, in sensitivity at the same rate and silence",
        "the feed is that of a ward in which no person acts on an alert",
        "noise: not more frequent before an onset than otherwise",
        "random: what random alarms of the same rate reach",
    )
    return "\n\n".join(["\n".join(notes), *parts]) + "\n"


def columns(rows: Iterable[Cells]) -> str:
    """Return rows of text in columns, the first to the left and the others to the right.

    >>> print(columns([("score", "a day"), ("x", "0.25")]))
    score  a day
    x       0.25
    """
    cells = [list(row) for row in rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def _cadence(title: str, result: CadenceResult) -> Iterator[str]:
    size = result.size
    yield (
        f"== {title}: {size.stays} stays, {size.onsets} onsets, {size.patient_days:.0f}"
        " patient-days =="
    )
    silences = sorted({each.silence for score in result.scores for each in score.budgets})
    for silence in silences:
        yield (
            f"Onsets with an alarm in the {WINDOW} hours before; {silence} hours of silence after"
            " each alarm\n" + columns(_score_rows(result.scores, silence))
        )
    if calibrated := [*_calibration_rows(result.scores)]:
        yield "Calibration of probabilities\n" + columns(calibrated)
    yield (
        "What the feed shows at its shipped settings; ratios over the"
        f" {result.shown.matched} onsets in whose hour other stays are monitored\n"
        + columns(_shown_rows(result.shown.selections))
    )
    if rules := result.shown.rules[:RULES]:
        left = len(result.shown.rules) - len(rules)
        more = f" (the {RULES} most frequent, {left} more)" if left else ""
        yield f"By rule, priority, and whether values had been back{more}\n" + columns(
            _shown_rows(rules)
        )
    yield (
        "Hours of stays without an onset with a medium or high alert in the list:"
        f" {_percent(result.shown.listed)}; with a red value measured in the hour:"
        f" {_percent(result.shown.red)}; with one in the last NEWS2 of {CARRIED} hours:"
        f" {_percent(result.shown.red_known)}"
    )
    if result.subgroups:
        yield "By age and sex, at the threshold of all for 0.5 alarms a day\n" + columns(
            _subgroup_rows(result)
        )


def _score_rows(scores: Iterable[ScoreResult], silence: int) -> Iterator[Cells]:
    first = True
    for score in scores:
        found = [each for each in score.budgets if each.silence == silence]
        if first:
            named = (
                name
                for each in found
                for name in (f"{each.budget:g} a day", "interval", "lead", "less NEWS2")
            )
            yield ("score", "hours", "AUROC", "interval", "less NEWS2", *named)
            first = False
        cells = (cell for each in found for cell in _budget_cells(each))
        yield (
            score.name,
            _percent(score.known),
            _number(score.auroc, 3),
            _span(score.auroc_interval, 3),
            _span(score.auroc_difference_interval, 3, "+"),
            *cells,
        )


def _budget_cells(result: BudgetResult) -> Cells:
    short = "" if result.rate > REACHED * result.budget else "*"  # the score has too few hours
    return (
        _number(result.sensitivity) + short,
        _span(result.interval),
        _hours(result.lead),
        _span(result.difference_interval, sign="+"),
    )


def _calibration_rows(scores: Iterable[ScoreResult]) -> Iterator[Cells]:
    found = [(score.name, score.calibration) for score in scores]
    if any(each is not None for _, each in found):
        yield ("score", "slope", "intercept", "top tenth observed/expected", "skill", "interval")
    for name, each in found:
        if each is not None:
            yield (
                name,
                _number(each.slope),
                _number(each.intercept),
                _number(each.top_observed_over_expected),
                _number(each.skill, 4),
                _span(each.skill_interval, digits=4),
            )


def _shown_rows(rows: Iterable[ShownRow]) -> Iterator[Cells]:
    yield (
        "events",
        "priority",
        "how",
        "a day",
        "before onset",
        "lead",
        "otherwise",
        "ratio",
        "interval",
        "",
        "random",
    )
    for row in rows:
        yield (
            row.name,
            row.priority or "",
            "again" if row.returned else "",
            _number(row.per_day, 3),
            _number(row.before_onset, 3),
            _hours(row.lead),
            _number(row.otherwise, 3),
            _number(row.ratio),
            _span(row.ratio_interval),
            row.verdict,
            "" if row.random is None else _number(row.random),
        )


def _subgroup_rows(result: CadenceResult) -> Iterator[Cells]:
    yield ("group", "score", "stays", "onsets", "sensitivity", "a day")
    ordered = sorted(result.subgroups, key=lambda each: each.group)
    for group, members in groupby(ordered, key=lambda each: each.group):
        for each in members:
            yield (
                group,
                each.score,
                str(each.stays),
                str(each.onsets),
                _number(each.sensitivity),
                _number(each.rate),
            )


def _number(value: float | None, digits: int = 2) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f} %"


def _hours(value: float | None) -> str:
    return NONE if value is None else f"{value:g} h"


def _span(span: Span | None, digits: int = 2, sign: str = "") -> str:
    if span is None:
        return NONE
    low, high = span
    return f"{low:{sign}.{digits}f} to {high:{sign}.{digits}f}"
