"""Every story as a page to look at: ``make scenarios``.

It is for a clinician who reviews the stories. It shows what is expected in words, what was measured
with the limits that hold, NEWS2 of the known parts, and every alert with its priority, its why and
its history. The page is one file and needs no server. The charts are the feed's own (``app/feed``),
drawn by the ECharts that NiceGUI brings.
"""

from __future__ import annotations

import base64
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import msgspec
from support.scenarios.library import STORIES, output_of, registry_of, story_named

from rpm_stream.app.feed.chart import UNIT_WORDS, ChartPoint, FeedChart, LimitLine, limit_lines
from rpm_stream.app.feed.page.chart import options
from rpm_stream.app.feed.page.style import COLOURS
from rpm_stream.knowledge import Knowledge, shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.publish.feed import timeline as life
from rpm_stream.publish.latest import latest
from rpm_stream.records import Alert, Priority, Reading, Reject, Score

NEWS2 = "news2"  # the score's detector, and the name of its chart
MARGIN = 0.03  # of a chart's time, before the first value and behind the last
PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high")


class Told(NamedTuple):
    """The output of the service for one story.

    ``alerts`` holds every record of each, by id and in order.
    """

    readings: list[Reading]
    scores: list[Score]
    alerts: dict[str, list[Alert]]
    rejects: list[Reject]


def told(story: Path) -> Told:
    """Play a story through the pipeline."""
    found = Told([], [], defaultdict(list), [])
    for line in output_of(story, ("reading", "score", "alert", "reject")):
        if line.type == "reading":
            found.readings.append(msgspec.json.decode(line.record, type=Reading))
        elif line.type == "score":
            found.scores.append(msgspec.json.decode(line.record, type=Score))
        elif line.type == "alert":
            alert = msgspec.json.decode(line.record, type=Alert)
            found.alerts[alert.id].append(alert)
        else:
            found.rejects.append(msgspec.json.decode(line.record, type=Reject))
    return found


def page() -> str:
    """Return the whole page."""
    knowledge = shipped()
    entry, file, library = chart_library()
    stories = [(story.name, told(story)) for story in STORIES]
    return Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8")).substitute(
        contents="\n".join(contents(name, found) for name, found in stories),
        stories="\n".join(article(name, found, knowledge) for name, found in stories),
        entry=base64.b64encode(entry).decode(),
        file=file,
        library=base64.b64encode(library).decode(),
        **COLOURS,
    )


def chart_library() -> tuple[bytes, str, bytes]:
    """Return NiceGUI's ECharts: the module that names it, the name, and the library."""
    folder = files("nicegui") / "elements" / "echart" / "dist"
    entry = (folder / "index.js").read_bytes()
    (name,) = re.findall(rb'^import\{.*?\}from"\./(.*?)"', entry)
    return entry, name.decode(), (folder / name.decode()).read_bytes()


# --- words ----------------------------------------------------------------------------------------


def contents(name: str, found: Told) -> str:
    """Return the story's line in the list at the top, with its most urgent alert."""
    most = [alert.priority for records in found.alerts.values() for alert in records]
    worst = max(most, key=PRIORITIES.index, default=None)
    mark = (
        f'<span class="chip {worst}">{worst}</span>'
        if worst
        else '<span class="none">nobody is called</span>'
    )
    return f'<a href="#{name}"><b>{title(name)}</b> {mark}</a>'


def title(name: str) -> str:
    """Return a folder's name as people write it."""
    return name.replace("-", " ").capitalize().replace("Copd", "COPD").replace("News2", "NEWS2")


def article(name: str, found: Told, knowledge: Knowledge) -> str:
    """Return one story."""
    story = story_named(name)
    parts = [
        f'<article id="{name}"><h2>{title(name)}</h2>',
        f'<p class="told">{escape(words_of(story))}</p>',
    ]
    parts += [alert_table(found), reject_table(found)]
    registry = registry_of(story)
    patients = list(dict.fromkeys(reading.patient for reading in found.readings))
    for patient in patients:
        parts.append(
            f"<h3>{escape(registry.patient(patient).display or patient)}</h3><div class='charts'>"
        )
        parts += [
            drawn(chart, found, patient) for chart in charts(found, patient, registry, knowledge)
        ]
        parts.append("</div>")
    return "\n".join([*parts, "</article>"])


def words_of(story: Path) -> str:
    """Return what a nurse expects."""
    return " ".join((story / "README.md").read_text(encoding="utf-8").split())


def alert_table(found: Told) -> str:
    """Return each alert as it was in the end, with its history."""
    if not found.alerts:
        return '<p class="none">No alert: nobody is called.</p>'
    rows = [alert_row(records[-1]) for records in found.alerts.values()]
    head = (
        "<tr><th>opened</th><th>who</th><th></th><th>alert</th><th>why</th><th>in the end</th></tr>"
    )
    return f"<table>{head}{''.join(rows)}</table>"


def alert_row(alert: Alert) -> str:
    """Return one alert as it was in the end.

    Its history shows whether it was over and not seen before.
    """
    why = "".join(f"<li>{escape(each)}</li>" for each in alert.why)
    marks = [name for name in ("over", "historical", "stale", "late") if getattr(alert, name)]
    history = "".join(
        f"<li>{escape(step_words(each))}</li>" for each in life.steps(alert.history, clock)
    )
    return (
        f'<tr><td class="time">{clock(alert.opened_at)}</td><td>{escape(alert.patient)}</td>'
        '<td><span class="chip'
        f' {alert.priority}">{alert.priority}</span></td><td>{escape(alert.title)}</td>'
        f"<td><ul>{why}</ul>{now_list(alert)}"
        f"<details><summary>steps: {len(alert.history)}</summary><ul>{history}</ul></details></td>"
        f"<td>{', '.join([alert.state, *marks])}</td></tr>"
    )


def step_words(step: life.TimelineStep) -> str:
    """Return a step as the feed writes it, with its time."""
    return f"{clock(step.at)} {life.step_words(step)}{f': {step.why}' if step.why else ''}"


def now_list(alert: Alert) -> str:
    """Return the newest values when the last record was written.

    Each has the worst value since the alert opened.
    """
    lines = [
        f"{each.name} {each.value} {each.unit} {each.trend_words} ({clock(each.measured_at)}),"
        f" worst {each.worst_words}"
        for each in latest(alert, shipped().vitals, alert.updated_at)
    ]
    items = "".join(f"<li>{escape(' '.join(line.split()))}</li>" for line in lines)
    return f'<ul class="now">{items}</ul>' if lines else ""


def reject_table(found: Told) -> str:
    """Return what could not become a reading."""
    if not found.rejects:
        return ""
    rows = [
        f'<tr><td class="time">{clock(reject.at)}</td><td>{escape(reject.device)}</td>'
        f"<td>{reject.reason}</td>"
        f"<td>{escape(reject.detail)}</td></tr>"
        for reject in found.rejects
    ]
    head = "<tr><th>refused</th><th>device</th><th>reason</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def clock(at: datetime) -> str:
    """Return day and time, UTC."""
    return at.strftime("%d %b %H:%M")


# --- charts ---------------------------------------------------------------------------------------


def charts(
    found: Told, patient: str, registry: Registry, knowledge: Knowledge
) -> Iterator[FeedChart]:
    """Return a chart for each vital of a patient, in the order in which they came, then NEWS2."""
    own = [reading for reading in found.readings if reading.patient == patient]
    alerts = [records[-1] for records in found.alerts.values() if records[-1].patient == patient]
    evidence = {each for alert in alerts for each in alert.evidence}
    first, last = (pick(reading.measured_at for reading in own) for pick in (min, max))
    beside = max((last - first) * MARGIN, timedelta(minutes=1))
    span = (first - beside, last + beside)
    for vital in dict.fromkeys(reading.vital for reading in own):
        known = knowledge.vitals[vital]
        points = sorted(
            (reading for reading in own if reading.vital == vital),
            key=lambda each: each.measured_at,
        )
        unit = points[-1].unit
        limits = limit_lines(
            registry.patient(patient), vital, (unit, points[-1].measured_at), knowledge
        )
        yield chart_of(
            (vital, known.plain.capitalize(), unit),
            span,
            [in_unit(reading, unit, reading.id in evidence, knowledge) for reading in points],
            list(limits),
        )
    scored = [
        score for score in found.scores if score.patient == patient and score.detector == NEWS2
    ]
    if scored:
        points = [
            ChartPoint(at=s.measured_at, value=s.score_min, absent=None, flags=(), evidence=False)
            for s in scored
        ]
        yield chart_of(
            (NEWS2, "NEWS2 of the known parts", ""), span, points, list(score_lines(knowledge))
        )


def chart_of(
    what: tuple[str, str, str],
    span: tuple[datetime, datetime],
    points: list[ChartPoint],
    limits: list[LimitLine],
) -> FeedChart:
    """Return a chart. ``what`` is the vital's name, its title and its unit."""
    vital, name, unit = what
    return FeedChart(
        vital=vital,
        title=name,
        unit=unit,
        unit_words=UNIT_WORDS.get(unit, unit),
        since=span[0],
        until=span[1],
        points=tuple(points),
        limits=tuple(limits),
    )


def in_unit(reading: Reading, unit: str, is_evidence: bool, knowledge: Knowledge) -> ChartPoint:
    """Return a reading as a point, in the chart's unit."""
    value = (
        None
        if reading.value is None
        else knowledge.convert(Decimal(reading.value), reading.unit, unit)
    )
    return ChartPoint(
        at=reading.measured_at,
        value=None if value is None else float(value),
        absent=reading.absent,
        flags=reading.flags,
        evidence=is_evidence,
    )


def score_lines(knowledge: Knowledge) -> Iterator[LimitLine]:
    """Return the lines where NEWS2 becomes medium and high."""
    for bound, priority in (
        (knowledge.news2.medium_from, "medium"),
        (knowledge.news2.high_from, "high"),
    ):
        label = f"NEWS2 ≥ {bound}"
        yield LimitLine(value=bound, side="high", priority=priority, label=label, owner="shipped")


def drawn(chart: FeedChart, found: Told, patient: str) -> str:
    """Return a place for a chart with its options beside it.

    The options are those of the feed, with a line where an alert opened or rose.
    """
    said = options(chart, chart.since)
    said["useUTC"] = True
    lines = said["series"][0]["markLine"]["data"]
    lines.pop()  # the feed's chart belongs to one alert, but here there may be none or several
    alerts = [records[-1] for records in found.alerts.values() if records[0].patient == patient]
    lines += [
        line for alert in alerts if rests_on(alert, chart.vital, found) for line in rises(alert)
    ]
    data = msgspec.json.encode(said).decode().replace("</", "<\\/")
    place = f'<div class="chart" data-vital="{chart.vital}"></div>'
    return f'<div>{place}<script type="application/json">{data}</script></div>'


def rests_on(alert: Alert, vital: str, found: Told) -> bool:
    """Return whether a chart is about an alert.

    It is if it shows evidence of the alert, or NEWS2 for an alert of vital signs.
    """
    if vital == NEWS2:
        return alert.group == "vital_signs"
    return any(
        reading.vital == vital and reading.id in alert.evidence for reading in found.readings
    )


def rises(alert: Alert) -> Iterator[dict[str, Any]]:
    """Return an upright line where an alert opened, and where it rose.

    Several rises at one instant are one line.
    """
    reached: dict[datetime, Priority] = {}
    most = -1
    for step in alert.history:
        if PRIORITIES.index(step.priority) > most:
            most = PRIORITIES.index(step.priority)
            reached[step.at] = step.priority
    for at, priority in reached.items():
        colour = COLOURS[priority]
        yield {
            "xAxis": int(at.timestamp() * 1000),
            "lineStyle": {"color": colour, "type": "solid", "width": 1},
            "label": {
                "formatter": priority,
                "position": "insideEndTop",
                "color": colour,
                "fontSize": 11,
            },
        }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(), encoding="utf-8")
    sys.stderr.write(f"{out}: {len(STORIES)} stories\n")
