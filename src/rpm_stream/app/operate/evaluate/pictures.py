"""The pictures of an evaluation, drawn with matplotlib (extra ``evaluate``).

No window is opened, so they are drawn on a server as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import private_file
from rpm_stream.evaluation.report import CadenceResult, Evaluation, ShownRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES = (9.0, 6.0)
DOTS = 120  # an inch
RULES = 25  # rows of the picture of rules
COLOURS = {"noise": "tab:red", "unclear": "tab:gray", "signal": "tab:green"}
PALE = ("random", "static")


def check_pictures() -> None:
    """Raise UsageError if matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401  # fails here, and not after minutes of work
    except ImportError:
        raise UsageError(
            "--out draws pictures, which needs: pip install 'rpm-stream[evaluate]'"
        ) from None


def draw(result: Evaluation, folder: Path) -> None:
    """Write all pictures of a result into a folder."""
    cadences = [("hourly", result.hourly)]
    if result.home is not None:
        cadences.append(("home", result.home))
    for name, cadence in cadences:
        for kind, figure in _figures(name, cadence):
            figure.savefig(private_file(folder / f"{kind}-{name}.png"), dpi=DOTS)


def _figures(name: str, cadence: CadenceResult) -> Iterator[tuple[str, Figure]]:
    yield "sensitivity", sensitivity_figure(name, cadence)
    if any(score.calibration is not None for score in cadence.scores):
        yield "calibration", calibration_figure(name, cadence)
    if cadence.shown.rules:
        yield "shown", shown_figure(name, cadence)


def sensitivity_figure(name: str, cadence: CadenceResult) -> Figure:
    """Draw the share of onsets over the alarms a day: scores as lines, the feed as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    for score in cadence.scores:
        axes.plot(
            [each.rate for each in score.curve],
            [each.sensitivity for each in score.curve],
            "o:" if score.name in PALE else "o-",
            markersize=3,
            label=score.name,
        )
    for place, row in enumerate(cadence.shown.selections):
        if row.events and row.before_onset is not None:
            axes.plot(row.per_day, row.before_onset, "kx")
            axes.annotate(
                f"feed: {row.name}",
                (row.per_day, row.before_onset),
                textcoords="offset points",
                xytext=(5, -10 if place % 2 else 4),
                fontsize=7,
            )
    axes.set(
        xlim=(0, None),
        ylim=(0, 1),
        xlabel="alarms a patient-day, 4 hours of silence",
        ylabel="onsets with an alarm in the 12 hours before",
        title=f"Sensitivity, {name}: {cadence.size.onsets} onsets",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def calibration_figure(name: str, cadence: CadenceResult) -> Figure:
    """Draw for tenths of the hours how often an onset followed, over the probability."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    most = 0.0
    for score in cadence.scores:
        if score.calibration is not None:
            expected = [each.expected for each in score.calibration.bins]
            observed = [each.observed for each in score.calibration.bins]
            axes.plot(expected, observed, "o-", label=score.name)
            most = max(most, *expected, *observed)
    axes.plot([0, most], [0, most], "k:", label="right")
    axes.set(
        xlabel="probability of an onset within 12 hours",
        ylabel="share of hours with one",
        title=f"Calibration, {name}",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def shown_figure(name: str, cadence: CadenceResult) -> Figure:
    """Draw the most frequent rules: how often each comes, and its ratio with the interval."""
    from matplotlib.figure import Figure

    rows = cadence.shown.rules[:RULES][::-1]
    figure = Figure(figsize=(12.0, 2.0 + 0.3 * len(rows)), layout="constrained")
    rates, ratios = figure.subplots(1, 2, sharey=True)
    places = range(len(rows))
    colours = [COLOURS[row.verdict] for row in rows]
    rates.barh(places, [row.per_day for row in rows], color=colours)
    rates.set_yticks(places, [_name(row) for row in rows], fontsize=7)
    rates.set(xlabel="events a patient-day", title=f"What the feed shows, {name}")
    for place, row in zip(places, rows, strict=True):
        if row.ratio is not None:
            ratios.plot(row.ratio, place, "o", color=COLOURS[row.verdict])
        if row.ratio_interval is not None:
            ratios.plot(row.ratio_interval, (place, place), "-", color=COLOURS[row.verdict])
    rates.margins(y=0.01)
    ratios.axvline(1.0, color="k", linestyle=":")
    ratios.set(
        xlim=(0, 5),
        xlabel="share before an onset over share otherwise",
        title="red: noise, grey: unclear, green: signal",
    )
    return figure


def _name(row: ShownRow) -> str:
    again = ", again" if row.returned else ""
    return f"{row.name} ({row.priority}{again})"
