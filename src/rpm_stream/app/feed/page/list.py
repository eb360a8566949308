"""The list of alerts in its sections.

The first section holds the alerts that need a person now. Below it, folded, are the snoozed ones
and those whose values are back inside their limits. An alert keeps its element while it stays in
its section, so that focus and scroll survive an update.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from functools import partial

from nicegui import ui

from rpm_stream.app.feed.page.row import RowDoors, RowElement
from rpm_stream.app.feed.service import Listing, View
from rpm_stream.publish.feed.rows import Section

# rows of a section besides the high ones; the rest on demand, to keep the page light
FIRST_SHOWN = 200

# The sections below the first, in their order, with their summaries.
FOLDED: dict[Section, str] = {
    "snoozed": "Snoozed",
    "back": "Values are back inside their limits",
}


class Rows:
    """The rows of one section."""

    def __init__(self, doors: RowDoors, label: str, on_more: Callable[[], None]) -> None:
        self._doors = doors
        self._on_more = on_more
        self._most = FIRST_SHOWN
        self._rows: dict[str, RowElement] = {}
        self._box = ui.element("section").classes("r-list").props(f'aria-label="{label}"')
        self._more = ui.button("Show more", on_click=self._show_more).props("flat no-caps")
        self._more.set_visibility(False)

    def write(self, views: list[View], listing: Listing, zone: tzinfo) -> None:
        """Show ``views`` in their order, all high ones and some of the rest."""
        high = sum(view.row.priority == "high" for view in views)
        shown = views[: max(self._most, high)]
        self._more.set_visibility(len(shown) < len(views))
        wanted = {view.row.id for view in shown}
        for key in [key for key in self._rows if key not in wanted]:
            self._rows.pop(key).box.delete()
        for index, view in enumerate(shown):
            element = self._rows.get(view.row.id)
            if element is None:
                with self._box:
                    element = self._rows[view.row.id] = RowElement(view.row.id, self._doors)
            element.write(view, listing.now, zone)
            if self._box.default_slot.children[index] is not element.box:
                element.box.move(target_index=index)

    def _show_more(self) -> None:
        self._most += FIRST_SHOWN
        self._on_more()


class AlertList:
    """Writes views into their sections. Only changes are sent to the browser.

    ``on_more`` is called when the reader asks for more rows than are shown.
    """

    def __init__(self, doors: RowDoors, on_more: Callable[[], None]) -> None:
        self._empty = ui.element("div").classes("r-note")
        self._empty.set_visibility(False)
        self._empty_text = ""
        self._now = Rows(doors, "Alerts", on_more)
        self._folded = {
            section: _Fold(section, partial(Rows, doors, title, on_more))
            for section, title in FOLDED.items()
        }

    def write(self, views: list[View], listing: Listing, zone: tzinfo) -> None:
        """Show ``views``, each section in their order."""
        first = [
            view for view in views if view.row.section not in FOLDED or view.row.state == "resolved"
        ]
        self._write_empty(*(("", "") if first else _nothing(listing, has_folded=bool(views))))
        self._now.write(first, listing, zone)
        known = {view.row.id for view in first}
        for section, fold in self._folded.items():
            fold.write(
                [
                    view
                    for view in views
                    if view.row.section == section and view.row.id not in known
                ],
                listing,
                zone,
            )

    def _write_empty(self, text: str, icon: str) -> None:
        if text == self._empty_text:
            return
        self._empty_text = text
        self._empty.clear()
        self._empty.set_visibility(bool(text))
        with self._empty:
            ui.icon(icon, color="negative" if icon == "error_outline" else None)
            ui.label(text)


class _Fold:
    """A section that a click opens. It is hidden while it is empty."""

    def __init__(self, section: Section, build: Callable[[], Rows]) -> None:
        title = self._title = FOLDED[section]
        with ui.element("details").classes("r-fold").props(f'data-test="{section}"') as self._box:
            with ui.element("summary"):
                self._words = ui.label(title)
            self._rows = build()

    def write(self, views: list[View], listing: Listing, zone: tzinfo) -> None:
        """Show ``views`` in their order."""
        self._box.set_visibility(bool(views))
        self._words.set_text(f"{self._title} ({len(views)})")
        self._rows.write(views, listing, zone)


def _nothing(listing: Listing, *, has_folded: bool) -> tuple[str, str]:
    """Return the text for an empty list, and its icon.

    An empty list is good news only while a worker is judging.
    """
    if not listing.ready:
        return "Reading the alerts…", "hourglass_empty"
    if listing.progress.status != "current":
        return "There are no alerts, but new measurements are not being judged.", "error_outline"
    return (
        "No alerts that need somebody now." if has_folded else "No alerts to show.",
        "check_circle",
    )
