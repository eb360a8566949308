"""One row of the list: an alert as one element, which is rewritten only where it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

import msgspec
from nicegui import ui

from rpm_stream.app.feed.page.now import looked_words, now_html
from rpm_stream.app.feed.page.style import ICONS, WORDS
from rpm_stream.app.feed.page.wording import clock
from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.app.feed.service import View
from rpm_stream.publish.feed.rows import OVER, FeedRow

# The text of a row while a decision is pending.
WAITING: dict[ActionKind, str] = {
    "see": "Marking as seen",
    "acknowledge": "Acknowledging",
    "snooze": "Snoozing",
    "assign": "Assigning",
    "comment": "Commenting",
    "new_normal": "Setting a new normal",
    "resolve": "Resolving",
    "withdraw": "Withdrawing",
}


@dataclass(frozen=True, slots=True)
class RowDoors:
    """The calls from a row to the page.

    They open an alert, ask for a decision, and check whether the alert may be snoozed.
    """

    open: Callable[[str], None]
    ask: Callable[[str, ActionKind], None]
    can_snooze: Callable[[FeedRow], bool]


class RowElement:
    """One alert on the page."""

    def __init__(self, key: str, doors: RowDoors) -> None:
        self._key = key
        self._doors = doors
        self._written: tuple[View, tzinfo | None] | None = None
        self._times: ui.html | None = None
        self._now: ui.html | None = None
        self.box = ui.element("article").props(f'data-alert="{key}"')
        self.box.on("click", lambda: doors.open(key))

    def write(self, view: View, now: datetime, zone: tzinfo) -> None:
        """Rebuild the row when the alert itself changed.

        Otherwise only the times and the newest values are renewed.
        """
        content = (_lasting(view), zone if view.row.snoozed_until else None)
        if self._times is None or self._written != content:
            self._written = content
            self._build(view, now, zone)
        if self._times is not None and self._now is not None:
            self._times.set_content(_times(view.row, now, zone))
            self._now.set_content(now_html(view.row))
            self._now.set_visibility(bool(view.row.now))

    def _build(self, view: View, now: datetime, zone: tzinfo) -> None:
        row = view.row
        self.box.clear()
        self.box.classes(
            replace=f"r-row {row.priority} is-{row.state} {'is-over' if row.over else ''}"
        )
        with self.box:
            with ui.element("div").classes(f"r-prio {row.priority}"):
                ui.icon(ICONS[row.priority])
                ui.label(WORDS[row.priority])
            with ui.element("div").classes("r-main"):
                self._build_main(row)
            self._times = ui.html("", sanitize=False).classes("r-times")
            with ui.element("div").classes("r-acts"):
                self._build_state(view, now, zone)
                self._build_actions(view)

    def _build_main(self, row: FeedRow) -> None:
        with ui.element("div").classes("r-headline"):
            with ui.element("button").classes("r-open").props("type=button") as name:
                ui.label(row.name)
            name.on("click.stop", lambda: self._doors.open(self._key))
            if row.age is not None:
                ui.label(f"{row.age} years").classes("r-age")
            for mark in row.marks:
                with ui.element("span").classes(f"r-mark {_mark_class(mark.word)}"):
                    ui.label(mark.word)
                    ui.tooltip(mark.meaning)
        ui.label(row.title).classes("r-title")
        if looked := looked_words(row):
            ui.label(looked).classes("r-over")
        if row.why:
            with ui.element("ul").classes("r-why"):
                for line in row.why:
                    with ui.element("li"):
                        ui.label(line)
        if row.section == "back":
            for mark in row.marks:
                ui.label(f"{mark.word}: {mark.meaning}").classes("r-waiting")
        self._now = ui.html("", sanitize=False)

    def _build_state(self, view: View, now: datetime, zone: tzinfo) -> None:
        """Write the state, its person, and the pending decision."""
        row = view.row
        if row.state == "acknowledged":
            ui.label(f"Acknowledged by {row.acknowledged_by or 'someone'}").classes("r-acked")
        elif row.state == "snoozed":
            until = f" until {clock(row.snoozed_until, now, zone)}" if row.snoozed_until else ""
            side = f", {row.snoozed_side} values only" if row.snoozed_side else ""
            ui.label(f"Snoozed{until}{side}").classes("r-acked")
        elif row.state == "resolved":
            ui.label("Resolved").classes("r-acked")
        if row.state == "open" and row.seen_by:
            ui.label(f"Seen by {', '.join(row.seen_by)}").classes("r-acked")
        if row.assigned_to:
            ui.label(f"Assigned to {row.assigned_to}").classes("r-assigned")
        if view.pending and view.answer:
            ui.label(f"{WAITING[view.pending]} {view.answer}.").classes("r-late-ack")
        elif view.pending and view.unconfirmed:
            ui.label(f"{WAITING[view.pending]} is not confirmed; try again").classes("r-late-ack")
        elif view.pending:
            ui.label(f"{WAITING[view.pending]} for {view.pending_by}…").classes("r-waiting")

    def _build_actions(self, view: View) -> None:
        row = view.row
        is_waiting = view.pending is not None and not view.unconfirmed and view.answer is None
        if row.state not in ("open", "snoozed") or (
            is_waiting and view.pending in ("see", "acknowledge", "resolve")
        ):
            return
        with ui.element("div").classes("r-buttons"):
            if row.over and row.state == "open" and not row.seen_by:
                self._button("Seen", "see", "unelevated")
                return
            if row.state == "open" and self._doors.can_snooze(row):
                self._button("Snooze", "snooze", "flat")
            self._button(
                "Acknowledge", "acknowledge", "unelevated" if row.priority == "high" else "outline"
            )

    def _button(self, text: str, kind: ActionKind, weight: str) -> None:
        button = ui.button(text).props(
            f'no-caps {weight} dense padding="4px 12px" aria-label="{text}"'
        )
        button.on("click.stop", lambda: self._doors.ask(self._key, kind))


def _lasting(view: View) -> View:
    """Return the view without the parts that change by themselves.

    A row that were rebuilt for those would lose a press on its buttons.
    """
    row = view.row
    if row.state != "resolved":  # only a resolved row shows when it was written
        row = msgspec.structs.replace(row, updated_at=row.opened_at, measured_at=row.opened_at)
    return msgspec.structs.replace(
        view, row=msgspec.structs.replace(row, since_words="", measured_words="", now=())
    )


def _mark_class(word: str) -> str:
    return {"Escalated": "is-escalated", OVER[0]: "is-over"}.get(word, "")


def _times(row: FeedRow, now: datetime, zone: tzinfo) -> str:
    """Return the two lines of time as HTML. They hold only times, so they need no escaping."""
    if row.state == "resolved":
        resolved = f"Resolved <b>{clock(row.updated_at, now, zone)}</b>"
        return f"<div>{resolved}</div><div>Opened {clock(row.opened_at, now, zone)}</div>"
    since = f"For <b>{row.since_words}</b>, since {clock(row.opened_at, now, zone)}"
    return f"<div>{since}</div><div>Measured {row.measured_words}</div>"
