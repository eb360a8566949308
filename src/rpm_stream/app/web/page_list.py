"""The list: one element a row, kept while its alert stays, so that focus and scroll survive an update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

import msgspec
from nicegui import ui

from rpm_stream.app.web.page_style import ICONS, WORDS
from rpm_stream.app.web.page_words import clock
from rpm_stream.app.web.service import Listing, View
from rpm_stream.publish.feed import PRIORITIES, Row
from rpm_stream.records import Priority

FIRST_SHOWN = 200  # rows below the high ones; the rest on demand, to keep the page light

OnAlert = Callable[[str], None]


@dataclass
class Filters:
    """What the reader wants to see of the listed alerts."""

    priorities: set[Priority] = field(default_factory=lambda: set(PRIORITIES))
    only_open: bool = False

    def keep(self, row: Row) -> bool:
        """Whether the row passes."""
        return row.priority in self.priorities and not (self.only_open and row.state != "open")

    def clear(self) -> None:
        """Back to everything."""
        self.priorities = set(PRIORITIES)
        self.only_open = False


class AlertList:
    """Writes views into rows; only what changed is sent to the browser."""

    def __init__(self, on_open: OnAlert, on_acknowledge: OnAlert) -> None:
        self._on_open = on_open
        self._on_acknowledge = on_acknowledge
        self._most = FIRST_SHOWN
        self._rows: dict[str, RowElement] = {}
        self._empty = ui.element("div").classes("r-note")
        self._empty.set_visibility(False)
        self._empty_text = ""
        self._box = ui.element("section").classes("r-list").props('aria-label="Alerts"')
        self._more = ui.button("Show more", on_click=self._show_more).props("flat no-caps")
        self._more.set_visibility(False)

    def write(self, views: list[View], listing: Listing, zone: tzinfo) -> None:
        """Show ``views`` in their order."""
        high = sum(view.row.priority == "high" for view in views)
        shown = views[: max(self._most, high)]
        self._more.set_visibility(len(shown) < len(views))
        self._write_empty("" if views else _nothing(listing))
        wanted = {view.row.id for view in shown}
        for key in [key for key in self._rows if key not in wanted]:
            self._rows.pop(key).box.delete()
        for index, view in enumerate(shown):
            element = self._rows.get(view.row.id)
            if element is None:
                with self._box:
                    element = self._rows[view.row.id] = RowElement(view.row.id, self._on_open, self._on_acknowledge)
            element.write(view, listing.now, zone)
            if self._box.default_slot.children[index] is not element.box:
                element.box.move(target_index=index)

    def _write_empty(self, text: str) -> None:
        if text == self._empty_text:
            return
        self._empty_text = text
        self._empty.clear()
        self._empty.set_visibility(bool(text))
        with self._empty:
            ui.icon("check_circle" if text.startswith("No") else "hourglass_empty")
            ui.label(text)

    def _show_more(self) -> None:
        self._most += FIRST_SHOWN


def _nothing(listing: Listing) -> str:
    if not listing.ready:
        return "Reading the alerts…"
    return "No alerts to show."


class RowElement:
    """One alert on the page."""

    def __init__(self, key: str, on_open: OnAlert, on_acknowledge: OnAlert) -> None:
        self._key = key
        self._on_open = on_open
        self._on_acknowledge = on_acknowledge
        self._written: tuple[View, tzinfo] | None = None
        self._times: ui.html | None = None
        self.box = ui.element("article").props(f'data-alert="{key}"')
        self.box.on("click", lambda: on_open(key))

    def write(self, view: View, now: datetime, zone: tzinfo) -> None:
        """Build anew when the alert itself changed; otherwise only the words of time."""
        timeless = msgspec.structs.replace(
            view, row=msgspec.structs.replace(view.row, since_words="", measured_words="")
        )
        if self._times is None or self._written != (timeless, zone):
            self._written = (timeless, zone)
            self._build(view)
        if self._times is not None:
            self._times.set_content(_times(view.row, now, zone))

    def _build(self, view: View) -> None:
        row = view.row
        self.box.clear()
        self.box.classes(replace=f"r-row {row.priority} is-{row.state}")
        with self.box:
            with ui.element("div").classes(f"r-prio {row.priority}"):
                ui.icon(ICONS[row.priority])
                ui.label(WORDS[row.priority])
            with ui.element("div").classes("r-main"):
                self._build_main(row)
            self._times = ui.html("", sanitize=False).classes("r-times")
            with ui.element("div").classes("r-acts"):
                self._build_actions(view)

    def _build_main(self, row: Row) -> None:
        with ui.element("div").classes("r-headline"):
            with ui.element("button").classes("r-open").props("type=button") as name:
                ui.label(row.name)
            name.on("click.stop", lambda: self._on_open(self._key))
            if row.age is not None:
                ui.label(f"{row.age} years").classes("r-age")
            for mark in row.marks:
                with ui.element("span").classes("r-mark"):
                    ui.label(mark.word)
                    ui.tooltip(mark.meaning)
        ui.label(row.title).classes("r-title")
        if row.why:
            with ui.element("ul").classes("r-why"):
                for line in row.why:
                    with ui.element("li"):
                        ui.label(line)

    def _build_actions(self, view: View) -> None:
        row = view.row
        if row.state == "open" and not view.acknowledging_by:
            self._button("Acknowledge", row.priority)
        elif row.state == "open" and view.unconfirmed:
            ui.label("Acknowledgement not confirmed").classes("r-late-ack")
            self._button("Try again", row.priority)
        elif row.state == "open":
            ui.label(f"Acknowledging for {view.acknowledging_by}…").classes("r-waiting")
        elif row.state == "acknowledged":
            ui.label("Acknowledged").classes("r-acked")
            ui.label(f"by {row.acknowledged_by or 'someone'}").classes("r-waiting")
        else:
            ui.label(row.state.capitalize()).classes("r-acked")

    def _button(self, text: str, priority: Priority) -> None:
        weight = "unelevated" if priority == "high" else "outline"
        button = ui.button(text).props(f'no-caps {weight} dense padding="4px 14px" aria-label="{text}"')
        button.on("click.stop", lambda: self._on_acknowledge(self._key))


def _times(row: Row, now: datetime, zone: tzinfo) -> str:
    """The two lines of time; nothing of it comes from outside but times, so it is safe as HTML."""
    if row.state == "resolved":
        resolved = f"Resolved <b>{clock(row.updated_at, now, zone)}</b>"
        return f"<div>{resolved}</div><div>Opened {clock(row.opened_at, now, zone)}</div>"
    since = f"For <b>{row.since_words}</b>, since {clock(row.opened_at, now, zone)}"
    return f"<div>{since}</div><div>Measured {row.measured_words}</div>"
