"""What opens over the list: one alert in full, and the question who acknowledges it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from html import escape

from aiokafka.errors import KafkaError
from nicegui import ui

from rpm_stream.app.web.chart import Chart
from rpm_stream.app.web.page_chart import describe, options
from rpm_stream.app.web.page_style import ICONS, WORDS
from rpm_stream.app.web.page_words import STATE_WORDS, clock, step
from rpm_stream.app.web.service import Detail, Service
from rpm_stream.publish.feed import rule_words


class DetailDialog:
    """One alert: why, the charts with limits and evidence, its life, its rule. Rebuilt when the alert changes."""

    def __init__(self, service: Service, on_acknowledge: Callable[[str], None]) -> None:
        self._service = service
        self._on_acknowledge = on_acknowledge
        self._key: str | None = None
        self._written: Detail | None = None
        self._charts: list[tuple[ui.echart, ui.label]] = []
        with ui.dialog().props('aria-label="Alert"') as self._dialog:
            self._sheet = ui.card().classes("r-sheet")
        self._dialog.on("hide", self._closed)

    def open(self, key: str, zone: tzinfo) -> None:
        """Show the alert with this id."""
        self._key, self._written = key, None
        self.refresh(zone)
        self._dialog.open()

    def refresh(self, zone: tzinfo) -> None:
        """Write the alert anew if it, or what its charts show, has changed."""
        detail = self._service.detail(self._key) if self._key else None
        if detail is None:
            return
        before, self._written = self._written, detail
        if before is not None and _content(detail) == _content(before):
            if detail.charts != before.charts:
                self._redraw(detail)
            return
        self._sheet.clear()
        self._charts = []
        with self._sheet:
            self._build_head(detail)
            with ui.element("div").classes("r-body"):
                self._build_body(detail, zone)

    def _redraw(self, detail: Detail) -> None:
        """New points into the charts that stand, so that the reader's place and focus stay."""
        for chart, (drawing, caption) in zip(_drawn(detail), self._charts, strict=True):
            drawing.options.clear()
            drawing.options.update(options(chart, detail.alert.row.opened_at))
            drawing.update()
            caption.set_text(describe(chart))

    def _closed(self) -> None:
        self._key = self._written = None

    def _build_head(self, detail: Detail) -> None:
        row = detail.alert.row
        with ui.element("div").classes("r-head"):
            with ui.element("div"):
                with ui.element("div").classes(f"r-prio {row.priority}"):
                    ui.icon(ICONS[row.priority])
                    ui.label(f"{WORDS[row.priority]} · {STATE_WORDS[row.state]}")
                age = f", {row.age} years" if row.age is not None else ""
                ui.html(f"<h2>{escape(row.name)}{age}</h2>", sanitize=False)
                ui.label(row.title)
            ui.element("div").classes("r-grow")
            if row.state == "open" and not detail.alert.acknowledging_by:
                key = row.id
                ui.button("Acknowledge", on_click=lambda: self._on_acknowledge(key)).props("no-caps unelevated")
            ui.button(icon="close", on_click=self._dialog.close).props('flat round dense aria-label="Close"')

    def _build_body(self, detail: Detail, zone: tzinfo) -> None:
        row = detail.alert.row
        _heading("Why")
        with ui.element("ul").classes("r-why"):
            for line in row.why:
                with ui.element("li"):
                    ui.label(line)
        for mark in row.marks:
            ui.label(f"{mark.word}: {mark.meaning}").classes("r-caption")
        for chart in _drawn(detail):
            self._build_chart(chart, detail)
        if detail.evidence_known < detail.evidence_total:
            missing = detail.evidence_total - detail.evidence_known
            ui.label(
                f"{missing} of the {detail.evidence_total} measurements behind this alert are older than what the "
                "charts keep, and are not drawn."
            ).classes("r-caption")
        _heading("What happened")
        self._build_steps(detail, zone)
        _heading("Rule and settings")
        self._build_facts(detail, zone)

    def _build_chart(self, chart: Chart, detail: Detail) -> None:
        _heading(f"{chart.title} around the alert")
        drawing = ui.echart(options(chart, detail.alert.row.opened_at)).classes("r-chart").props("role=img")
        self._charts.append((drawing, ui.label(describe(chart)).classes("r-caption")))

    def _build_steps(self, detail: Detail, zone: tzinfo) -> None:
        now = self._service.now()
        with ui.element("ol").classes("r-steps"):
            for index in range(len(detail.history) - 1, -1, -1):
                transition = detail.history[index]
                before = detail.history[index - 1] if index else None
                with ui.element("li"):
                    ui.html(f"<time>{clock(transition.at, now, zone, seconds=True)}</time>", sanitize=False)
                    with ui.element("div"):
                        ui.label(step(transition, before))
                        if transition.reason:
                            ui.label(transition.reason).classes("r-caption")

    def _build_facts(self, detail: Detail, zone: tzinfo) -> None:
        row, now = detail.alert.row, self._service.now()
        owners = dict.fromkeys(line.owner for chart in detail.charts for line in chart.limits)
        facts = [
            ("Kind", rule_words(row.rule)),
            ("Rule and version", row.rule),
            ("Limits set by", ", ".join(owners) or "not known"),
            ("Opened", clock(row.opened_at, now, zone, seconds=True)),
            ("Measured", clock(row.measured_at, now, zone, seconds=True)),
            ("Alert number", row.id),
        ]
        lines = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in facts)
        ui.html(f'<dl class="r-facts">{lines}</dl>', sanitize=False)


def _heading(text: str) -> None:
    ui.html(f"<h3>{escape(text)}</h3>", sanitize=False)


def _drawn(detail: Detail) -> list[Chart]:
    """The charts that have a value to draw."""
    return [chart for chart in detail.charts if any(point.value is not None for point in chart.points)]


def _content(detail: Detail) -> tuple[object, ...]:
    """What must be built anew when it changes: neither the words of time nor the points."""
    row = detail.alert.row
    view = (detail.alert.acknowledging_by, detail.alert.unconfirmed, row.name, row.age, row.marks, row.why, row.title)
    vitals = [chart.vital for chart in _drawn(detail)]
    return (view, row.priority, row.state, detail.history, vitals, detail.evidence_known)


class AcknowledgeDialog:
    """Asks who takes the alert on; the name is kept for the tab."""

    def __init__(self, service: Service, on_done: Callable[[str], None]) -> None:
        self._service = service
        self._on_done = on_done
        self._key = ""
        with ui.dialog().props('aria-label="Acknowledge"') as self._dialog, ui.card().classes("r-ask"):
            ui.html("<h2>Acknowledge this alert</h2>", sanitize=False)
            self._what = ui.label()
            self._who = ui.input("Your name").props("outlined dense autofocus maxlength=128").style("width:100%")
            self._why = ui.input("Note (optional)").props("outlined dense maxlength=1000").style("width:100%")
            self._wrong = ui.label().classes("r-late-ack").props("role=alert")
            ui.label("It stays in the list until measurements are back inside the limits.").style("font-size:13px")
            with ui.row().style("width:100%;justify-content:flex-end"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
                ui.button("Acknowledge", on_click=self._send).props("no-caps unelevated")
        self._who.on("keydown.enter", self._send)
        self._why.on("keydown.enter", self._send)

    def ask(self, key: str, who: str) -> None:
        """Open the question for one alert, with the name that was given before."""
        detail = self._service.detail(key)
        if detail is None:
            return
        self._key = key
        row = detail.alert.row
        self._what.set_text(f"{WORDS[row.priority]}: {row.title}, {row.name}")
        self._who.set_value(who)
        self._why.set_value("")
        self._wrong.set_text("")
        self._dialog.open()

    async def _send(self) -> None:
        who = str(self._who.value or "").strip()
        if not who:
            self._wrong.set_text("Please say who you are.")
            return
        try:
            known = await self._service.acknowledge(self._key, who, str(self._why.value or "").strip())
        except KafkaError:
            self._wrong.set_text("It could not be stored. Please try again.")
            return
        if not known:
            self._wrong.set_text("This alert is already resolved.")
            return
        self._dialog.close()
        self._on_done(who)
