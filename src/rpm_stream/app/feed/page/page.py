"""The page: one object for each browser tab, refreshed from the state while the tab is open."""

from __future__ import annotations

import logging
from datetime import UTC, tzinfo

from fastapi import FastAPI
from nicegui import ui

from rpm_stream.app.feed.auth.login import INTENDED_USE
from rpm_stream.app.feed.auth.reader_name import remember_script, who_of
from rpm_stream.app.feed.page.decide import DecisionDialog
from rpm_stream.app.feed.page.detail import DetailDialog
from rpm_stream.app.feed.page.list import AlertList
from rpm_stream.app.feed.page.notices import AlarmStrip, HiddenNote, JudgedLine, problems
from rpm_stream.app.feed.page.row import RowDoors
from rpm_stream.app.feed.page.style import CSS
from rpm_stream.app.feed.page.tools import Tools
from rpm_stream.app.feed.page.who import NameDialog
from rpm_stream.app.feed.page.wording import zone
from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.app.feed.service import Listing, Service, View
from rpm_stream.publish.feed import rows as feed

LOOK_S = 0.5  # how often a tab looks for changes
WORDS_S = 10.0  # how often texts such as "12 minutes ago" are renewed
ZONE_S = 5.0  # how long a tab may take to answer with its zone
ZONE_SCRIPT = "Intl.DateTimeFormat().resolvedOptions().timeZone"


def mount_page(app: FastAPI, service: Service) -> None:
    """Put the page at ``/`` of ``app``.

    Once per process, because the page's library keeps one application.
    """

    # Its warning of an unknown page repeats the whole address, in which somebody may have typed a
    # patient's number.
    logging.getLogger("nicegui").setLevel(logging.ERROR)

    async def show() -> None:
        await FeedPage(service).show()

    ui.page("/", title="Alerts")(show)
    ui.run_with(
        app,
        title="Alerts",
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        favicon="🩺",
    )


class FeedPage:
    """Header, tools, list and dialogs of one tab."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._zone: tzinfo = UTC
        self._seen = -1
        self._written = 0.0
        self._who = ""

    async def show(self) -> None:
        """Build the page and keep it current, then get the reader's time zone from the tab."""
        request = ui.context.client.request
        self._who = who_of(request.cookies) if request is not None else ""
        ui.add_css(CSS)
        ui.colors(primary="#1f5fbf", negative="#b3161b", positive="#1c6b3c")
        self._decide = DecisionDialog(self._service, self._remember)
        self._name = NameDialog(self._remember)
        self._detail = DetailDialog(self._service, self._ask)
        with ui.element("header").classes("r-top"):
            self._build_header()
        with ui.element("main").classes("r-wrap"):
            self._hidden = HiddenNote(self._tools.clear)
            self._list = AlertList(RowDoors(self._open, self._ask, self._can_snooze), self._refresh)
        self._build_footer()
        self._refresh()
        ui.timer(LOOK_S, self._look)
        await ui.context.client.connected()
        await self._learn_zone()

    async def _learn_zone(self) -> None:
        """Ask the tab for its time zone.

        On a slow line the tab does not answer in time. The page then stays on UTC, and writes UTC
        beside each time.
        """
        try:
            name = await ui.run_javascript(ZONE_SCRIPT, timeout=ZONE_S)
        except TimeoutError:
            return
        self._zone = zone(str(name))
        self._refresh()

    def _build_header(self) -> None:
        self._alarm = AlarmStrip()
        with ui.element("div").classes("r-wrap"):
            with ui.element("div").classes("r-bar"):
                ui.html("<h1>Alerts</h1>", sanitize=False)
                ui.label("Remote patient monitoring").classes("r-sub")
                ui.element("div").classes("r-grow")
                self._you = ui.button(on_click=self._ask_name).props(
                    "flat dense no-caps icon=person"
                )
                self._judged = JudgedLine()
            self._tools = Tools(self._refresh, self._ask_name)

    def _build_footer(self) -> None:
        with ui.element("footer").classes("r-foot"), ui.element("div").classes("r-wrap"):
            ui.label(INTENDED_USE)
            ui.html(
                '<form method="post" action="/logout"><button>Sign out</button></form>',
                sanitize=False,
            )

    # --- what the reader does ---------------------------------------------------------------------

    def _remember(self, who: str) -> None:
        self._who = who
        ui.run_javascript(remember_script(who))
        self._refresh()

    def _ask_name(self) -> None:
        self._name.ask(self._who)

    def _ask(self, key: str, kind: ActionKind) -> None:
        self._decide.ask(key, kind, self._who, self._zone)

    def _open(self, key: str) -> None:
        self._detail.open(key, self._zone)

    def _can_snooze(self, row: feed.FeedRow) -> bool:
        return self._service.can_snooze(row.priority)

    # --- what the state does ----------------------------------------------------------------------

    def _look(self) -> None:
        state = self._service.state
        now = self._service.now().timestamp()
        if state.list_version > self._seen or abs(now - self._written) >= WORDS_S:
            self._refresh()
        elif state.version > self._seen:
            self._seen = state.version
            self._write_judged()

    def _refresh(self) -> None:
        self._seen = self._service.state.version
        everything = self._service.listing()
        self._written = everything.now.timestamp()
        self._write_judged()
        self._write_header(everything)
        shown = self._shown(everything)
        self._hidden.write(self._count_hidden(everything, shown))
        self._list.write(shown, everything, self._zone)
        self._detail.refresh(self._zone)

    def _shown(self, everything: Listing) -> list[View]:
        """Return the views that pass the filter.

        High alerts are above them, also above the resolved ones (law 3).
        """
        wanted = self._tools.wanted(self._who)
        if self._tools.tab != "resolved":
            return [view for view in everything.alerts if feed.kept(wanted, view.row)]
        high = [view for view in everything.alerts if view.row.priority == "high"]
        return [*high, *self._service.listing(resolved=True, wanted=wanted).alerts]

    def _count_hidden(self, everything: Listing, shown: list[View]) -> int:
        """Return how many alerts the reader's filter hides. It never hides high alerts."""
        if self._tools.tab == "resolved":
            return 0
        ids = {view.row.id for view in shown}
        return sum(view.row.id not in ids for view in everything.alerts)

    def _write_judged(self) -> None:
        progress = self._service.progress()
        self._judged.write(progress, self._zone, is_ready=self._service.state.ready)
        self._alarm.write(problems(progress, self._service.state))

    def _write_header(self, everything: Listing) -> None:
        self._tools.write(everything, self._who)
        self._you.set_text(self._who or "Who are you?")
        high = everything.counts["high"]
        ui.page_title(f"({high} high) Alerts" if high else "Alerts")
