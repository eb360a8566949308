"""The page: one object a browser tab, refreshed from the state while the tab is open."""

from __future__ import annotations

import logging
from datetime import UTC, tzinfo

from fastapi import FastAPI
from nicegui import app as library
from nicegui import ui

from rpm_stream.app.web.login import INTENDED_USE
from rpm_stream.app.web.page_detail import AcknowledgeDialog, DetailDialog
from rpm_stream.app.web.page_list import AlertList, Filters
from rpm_stream.app.web.page_style import CSS, ICONS, WORDS
from rpm_stream.app.web.page_words import alarm, judged, zone
from rpm_stream.app.web.service import Listing, Service
from rpm_stream.publish.feed import PRIORITIES
from rpm_stream.records import Priority

LOOK_S = 0.5  # how often a tab looks whether something changed
WORDS_S = 10.0  # how often "12 minutes ago" is written anew
ZONE_SCRIPT = "Intl.DateTimeFormat().resolvedOptions().timeZone"


def mount_page(app: FastAPI, service: Service) -> None:
    """Put the page at ``/`` of ``app``. Once per process: the page's library keeps one application."""

    # Its warning of an unknown page repeats the whole address, and somebody may have typed a patient's number there.
    logging.getLogger("nicegui").setLevel(logging.ERROR)

    async def show() -> None:
        await FeedPage(service).show()

    ui.page("/", title="Alerts")(show)
    ui.run_with(app, title="Alerts", language="en-US", tailwind=False, show_welcome_message=False, favicon="🩺")


class FeedPage:
    """Header, tools, list and dialogs of one tab."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._filters = Filters()
        self._resolved = False
        self._zone: tzinfo = UTC
        self._seen = -1
        self._written = 0.0
        self._who = ""
        self._alarm_texts: list[str] = []
        self._hidden_words = ""

    async def show(self) -> None:
        """Build the page, then learn the reader's time zone and name from the tab."""
        ui.add_css(CSS)
        ui.colors(primary="#1f5fbf", negative="#b3161b", positive="#1c6b3c")
        self._acknowledge = AcknowledgeDialog(self._service, self._remember)
        self._detail = DetailDialog(self._service, self._ask)
        with ui.element("header").classes("r-top"):
            self._build_header()
        with ui.element("main").classes("r-wrap"):
            self._hidden = ui.element("div")
            self._list = AlertList(self._open, self._ask)
        self._build_footer()
        await ui.context.client.connected()
        self._zone = zone(str(await ui.run_javascript(ZONE_SCRIPT, timeout=5.0)))
        self._who = str(library.storage.tab.get("who", ""))
        self._refresh()
        ui.timer(LOOK_S, self._look)

    def _build_header(self) -> None:
        self._alarm = ui.element("div").props("role=alert")
        with ui.element("div").classes("r-wrap"):
            with ui.element("div").classes("r-bar"):
                ui.html("<h1>Alerts</h1>", sanitize=False)
                ui.label("Remote patient monitoring").classes("r-sub")
                ui.element("div").classes("r-grow")
                with ui.element("div").classes("r-judged").props('role=status data-test="judged"') as self._judged:
                    self._judged_icon = ui.icon("check_circle")
                    self._judged_text = ui.label()
            with ui.element("div").classes("r-tools"):
                self._chips = {priority: self._chip(priority) for priority in PRIORITIES}
                ui.element("div").classes("r-grow")
                self._tabs = [
                    (self._tab("To look at", resolved=False), False, None),
                    (self._tab("Not acknowledged", resolved=False, only_open=True), False, "open"),
                    (self._tab("Resolved (24 h)", resolved=True), True, None),
                ]

    def _chip(self, priority: Priority) -> tuple[ui.element, ui.html]:
        def toggle() -> None:
            self._filters.priorities ^= {priority}
            self._refresh()

        with ui.element("button").classes(f"r-chip {priority}").props("type=button") as chip:
            ui.icon(ICONS[priority])
            count = ui.html("<b>0</b>", sanitize=False)
            ui.label(WORDS[priority])
        chip.on("click", toggle)
        return chip, count

    def _tab(self, text: str, *, resolved: bool, only_open: bool = False) -> ui.element:
        def choose() -> None:
            self._resolved, self._filters.only_open = resolved, only_open
            self._refresh()

        with ui.element("button").classes("r-tab").props("type=button") as tab:
            ui.label(text)
        tab.on("click", choose)
        return tab

    def _build_footer(self) -> None:
        with ui.element("footer").classes("r-foot"), ui.element("div").classes("r-wrap"):
            ui.label(INTENDED_USE)
            ui.html('<form method="post" action="/logout"><button>Sign out</button></form>', sanitize=False)

    # --- what the reader does ------------------------------------------------------------------------------------

    def _remember(self, who: str) -> None:
        self._who = library.storage.tab["who"] = who
        self._refresh()

    def _ask(self, key: str) -> None:
        self._acknowledge.ask(key, self._who)

    def _open(self, key: str) -> None:
        self._detail.open(key, self._zone)

    def _show_all(self) -> None:
        self._filters.clear()
        self._refresh()

    # --- what the state does -------------------------------------------------------------------------------------

    def _look(self) -> None:
        state, now = self._service.state, self._service.now().timestamp()
        if state.list_version > self._seen or abs(now - self._written) >= WORDS_S:
            self._refresh()
        elif state.version > self._seen:
            self._seen = state.version
            self._write_judged()

    def _refresh(self) -> None:
        self._seen = self._service.state.version
        listing = self._service.listing(resolved=self._resolved)
        self._written = listing.now.timestamp()
        self._write_judged()
        self._write_header(listing)
        shown = [view for view in listing.alerts if self._resolved or self._filters.keep(view.row)]
        self._write_hidden(listing, {view.row.id for view in shown})
        self._list.write(shown, listing, self._zone)
        self._detail.refresh(self._zone)

    def _write_judged(self) -> None:
        progress = self._service.progress()
        self._judged_text.set_text(judged(progress, self._zone))
        problem = alarm(progress)
        self._judged_icon.set_name("error" if problem else "check_circle")
        self._judged.classes(add="bad" if problem else "", remove="" if problem else "bad")
        self._write_alarm(problem, self._service.state.unreadable)

    def _write_header(self, listing: Listing) -> None:
        for priority, (chip, count) in self._chips.items():
            count.set_content(f"<b>{listing.counts[priority]}</b>")
            chip.props(f"aria-pressed={'true' if priority in self._filters.priorities else 'false'}")
        for tab, resolved, state in self._tabs:
            on = resolved == self._resolved and (resolved or (state == "open") == self._filters.only_open)
            tab.props(f"aria-pressed={'true' if on else 'false'}")
        high = listing.counts["high"]
        ui.page_title(f"({high} high) Alerts" if high else "Alerts")

    def _write_alarm(self, problem: str | None, unreadable: int) -> None:
        texts = [problem] if problem else []
        if unreadable:
            texts.append(f"{unreadable} alert records could not be read, so an alert may be missing here.")
        if texts == self._alarm_texts:
            return
        self._alarm_texts = texts
        self._alarm.clear()
        with self._alarm:
            for text in texts:
                with ui.element("div").classes("r-alarm"), ui.element("div").classes("r-wrap"):
                    ui.icon("error", size="22px")
                    ui.label(text)

    def _write_hidden(self, listing: Listing, shown: set[str]) -> None:
        """Say what the reader's own filter hides: a red alert must not be forgotten behind it."""
        hidden = [view.row for view in listing.alerts if view.row.id not in shown]
        high = sum(row.priority == "high" for row in hidden)
        words = f"Your filter hides {len(hidden)}{f', {high} of them high' if high else ''}." if hidden else ""
        if words == self._hidden_words:
            return
        self._hidden_words = words
        self._hidden.clear()
        if words:
            with self._hidden, ui.element("div").classes(f"r-hidden-note {'high' if high else ''}"):
                ui.label(words)
                ui.button("Show all", on_click=self._show_all).props("flat dense no-caps")
