"""The dialogue over the list with one alert in full, and its possible decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from html import escape

from nicegui import ui

from rpm_stream.app.feed.chart import FeedChart
from rpm_stream.app.feed.page.chart import describe, options
from rpm_stream.app.feed.page.now import looked_words, now_html
from rpm_stream.app.feed.page.questions import ASKS, offered
from rpm_stream.app.feed.page.row import WAITING
from rpm_stream.app.feed.page.style import ICONS, WORDS
from rpm_stream.app.feed.page.wording import clock
from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.app.feed.service import Detail, Service
from rpm_stream.publish.feed import timeline as life
from rpm_stream.publish.feed.rows import OVER, rule_words
from rpm_stream.publish.feed.timeline import STATE_WORDS


class DetailDialog:
    """One alert: its reasons, the charts with limits and evidence, its life and its rule.

    It is rebuilt when the alert changes.
    """

    def __init__(self, service: Service, on_ask: Callable[[str, ActionKind], None]) -> None:
        self._service = service
        self._on_ask = on_ask
        self._key: str | None = None
        self._written: Detail | None = None
        self._charts: list[tuple[ui.echart, ui.label]] = []
        self._now: ui.html | None = None
        with ui.dialog().props('aria-label="Alert"') as self._dialog:
            self._sheet = ui.card().classes("r-sheet")
        self._dialog.on("hide", self._closed)

    def open(self, key: str, zone: tzinfo) -> None:
        """Show the alert with this id."""
        self._key = key
        self._written = None
        self.refresh(zone)
        self._dialog.open()

    def refresh(self, zone: tzinfo) -> None:
        """Rewrite the alert if it, or the content of its charts, has changed."""
        detail = self._service.detail(self._key) if self._key else None
        if detail is None:
            return
        before = self._written
        self._written = detail
        if before is not None and _content(detail) == _content(before):
            self._write_now(detail)
            if detail.charts != before.charts:
                self._redraw(detail)
            return
        self._sheet.clear()
        self._charts = []
        with self._sheet:
            self._build_head(detail, zone)
            with ui.element("div").classes("r-body"):
                self._build_body(detail, zone)

    def _write_now(self, detail: Detail) -> None:
        if self._now is not None:
            self._now.set_content(now_html(detail.alert.row))

    def _redraw(self, detail: Detail) -> None:
        """Put new points into the present charts, so that the reader's place and focus stay."""
        for chart, (drawing, caption) in zip(_drawn(detail), self._charts, strict=True):
            drawing.options.clear()
            drawing.options.update(options(chart, detail.alert.row.opened_at))
            drawing.update()
            caption.set_text(describe(chart))

    def _closed(self) -> None:
        self._key = self._written = None

    def _build_head(self, detail: Detail, zone: tzinfo) -> None:
        row = detail.alert.row
        with ui.element("div").classes("r-head"):
            with ui.element("div"):
                with ui.element("div").classes(f"r-prio {row.priority}"):
                    ui.icon(ICONS[row.priority])
                    ui.label(f"{WORDS[row.priority]} · {_state(detail, self._service.now(), zone)}")
                age = f", {row.age} years" if row.age is not None else ""
                ui.html(f"<h2>{escape(row.name)}{age}</h2>", sanitize=False)
                ui.label(row.title)
            ui.element("div").classes("r-grow")
            ui.button(icon="close", on_click=self._dialog.close).props(
                'flat round dense aria-label="Close"'
            )
        kinds = offered(row, can_snooze=detail.can_snooze)
        if kinds:
            with ui.element("div").classes("r-decide").props('role=group aria-label="What to do"'):
                for kind in kinds:
                    self._build_button(row.id, kind, is_first=kind == kinds[0])

    def _build_button(self, key: str, kind: ActionKind, *, is_first: bool) -> None:
        weight = (
            "unelevated"
            if is_first and kind in ("see", "acknowledge")
            else "flat"
            if ASKS[kind].final
            else "outline"
        )
        button = ui.button(ASKS[kind].button, on_click=lambda: self._on_ask(key, kind))
        button.props(f'no-caps dense {weight} padding="4px 12px"')

    def _build_body(self, detail: Detail, zone: tzinfo) -> None:
        row = detail.alert.row
        if looked := looked_words(row):
            ui.label(looked).classes("r-over")
        self._now = None
        if row.now:
            _heading("Now")
            self._now = ui.html("", sanitize=False)
            self._write_now(detail)
        _heading("Why")
        with ui.element("ul").classes("r-why"):
            for line in row.why:
                with ui.element("li"):
                    ui.label(line)
        # the mark of an alert that is over is written on top
        for mark in row.marks[1 if row.over else 0 :]:
            ui.label(f"{mark.word}: {mark.meaning}").classes("r-caption")
        for chart in _drawn(detail):
            self._build_chart(chart, detail)
        if detail.evidence_known < detail.evidence_total:
            missing = detail.evidence_total - detail.evidence_known
            ui.label(
                f"{missing} of the {detail.evidence_total} measurements behind this alert are not"
                " drawn: they are older than what the charts keep, or were taken back."
            ).classes("r-caption")
        _heading("What happened")
        _build_steps(detail, self._service.now(), zone)
        _heading("Rule and settings")
        _build_facts(detail, self._service.now(), zone)

    def _build_chart(self, chart: FeedChart, detail: Detail) -> None:
        _heading(f"{chart.title} around the alert")
        drawing = (
            ui.echart(options(chart, detail.alert.row.opened_at))
            .classes("r-chart")
            .props("role=img")
        )
        self._charts.append((drawing, ui.label(describe(chart)).classes("r-caption")))


def _state(detail: Detail, now: datetime, zone: tzinfo) -> str:
    """Return the state, its person, and the pending decision."""
    row = detail.alert.row
    view = detail.alert
    words = [OVER[0] if row.over and not row.seen_by else STATE_WORDS[row.state]]
    if row.snoozed_until:
        words.append(f"until {clock(row.snoozed_until, now, zone)}")
    if row.acknowledged_by:
        words.append(f"by {row.acknowledged_by}")
    text = " ".join(words)
    if row.state == "open" and row.seen_by:
        text += f" · seen by {', '.join(row.seen_by)}"
    if row.assigned_to:
        text += f" · assigned to {row.assigned_to}"
    if not view.pending:
        return text
    return f"{text} · {WAITING[view.pending]} {view.answer or f'for {view.pending_by}…'}"


def _build_steps(detail: Detail, now: datetime, zone: tzinfo) -> None:
    """Write the history, the latest step first: when, what, by whom, why."""
    words = life.words_of(detail.alert.row.group)
    with ui.element("ol").classes("r-steps"):
        for step in reversed(life.steps(detail.history, lambda at: clock(at, now, zone), words)):
            with ui.element("li"):
                ui.html(f"<time>{clock(step.at, now, zone, seconds=True)}</time>", sanitize=False)
                with ui.element("div"):
                    ui.label(life.step_words(step))
                    if step.why:
                        ui.label(step.why).classes("r-caption")


def _build_facts(detail: Detail, now: datetime, zone: tzinfo) -> None:
    row = detail.alert.row
    owners = dict.fromkeys(line.owner for chart in detail.charts for line in chart.limits)
    facts = [
        ("Kind", rule_words(row.rule)),
        ("Rule and version", row.rule),
        *([("Limits in the charts set by", ", ".join(owners))] if owners else []),
        ("Opened", clock(row.opened_at, now, zone, seconds=True)),
        ("Measured", clock(row.measured_at, now, zone, seconds=True)),
        ("Alert number", row.id),
    ]
    lines = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in facts)
    ui.html(f'<dl class="r-facts">{lines}</dl>', sanitize=False)


def _heading(text: str) -> None:
    ui.html(f"<h3>{escape(text)}</h3>", sanitize=False)


def _drawn(detail: Detail) -> list[FeedChart]:
    """Return the charts that have a value to draw."""
    return [
        chart for chart in detail.charts if any(point.value is not None for point in chart.points)
    ]


def _content(detail: Detail) -> tuple[object, ...]:
    """Return the parts whose change needs a rebuild, without the texts of time and the points."""
    row = detail.alert.row
    pending = (
        detail.alert.pending,
        detail.alert.pending_by,
        detail.alert.unconfirmed,
        detail.alert.answer,
    )
    view = (pending, row.name, row.age, row.marks, row.why, row.title)
    vitals = [chart.vital for chart in _drawn(detail)] + [each.vital for each in row.now]
    return (view, row.priority, row.state, detail.history, vitals, detail.evidence_known)
