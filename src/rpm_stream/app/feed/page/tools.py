"""The tools above the list: counts, tabs and the reader's filter.

None of them hides a high alert.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

import msgspec
from nicegui import ui

from rpm_stream.app.feed.page.style import ICONS, WORDS
from rpm_stream.app.feed.service import Listing, View
from rpm_stream.publish.feed import rows as feed
from rpm_stream.publish.feed.rows import PRIORITIES, Filter
from rpm_stream.records import Priority

Tab = Literal["all", "open", "mine", "resolved"]
TABS: dict[Tab, str] = {
    "all": "To look at",
    "open": "Not acknowledged",
    "mine": "Mine",
    "resolved": "Resolved",  # in the last 24 hours
}
ALL_GROUPS = "All kinds"


class Tools:
    """Writes counts, and calls ``on_change`` when the reader changes the filter."""

    def __init__(self, on_change: Callable[[], None], on_no_name: Callable[[], None]) -> None:
        self.tab: Tab = "all"
        self._wanted = Filter()
        self._who = ""
        self._on_change = on_change
        self._on_no_name = on_no_name
        with ui.element("div").classes("r-tools"):
            self._chips = {priority: self._build_chip(priority) for priority in PRIORITIES}
            ui.element("div").classes("r-grow")
            self._tabs = {tab: self._build_tab(tab) for tab in TABS}
        with ui.element("div").classes("r-tools r-find"):
            self._patient = ui.input("Find a patient", on_change=self._read).props(
                'dense outlined clearable debounce=250 maxlength=128 type=search autocomplete="off"'
            )
            self._group = ui.select(
                {"": ALL_GROUPS}, value="", on_change=self._read, label="Kind"
            ).props("dense outlined options-dense")

    def wanted(self, who: str) -> Filter:
        """Return the reader's filter. ``who`` is the reader."""
        person = who if self.tab == "mine" else None
        return msgspec.structs.replace(self._wanted, only_open=self.tab == "open", person=person)

    def clear(self) -> None:
        """Reset the filter."""
        self.tab = "all"
        self._wanted = Filter()
        self._patient.set_value("")
        self._group.set_value("")
        self._on_change()

    def write(self, everything: Listing, who: str) -> None:
        """Show the counts of everything that is listed, and the filter."""
        self._who = who
        for priority, (chip, count) in self._chips.items():
            count.set_content(f"<b>{everything.counts[priority]}</b>")
            if priority != "high":
                chip.props(f"aria-pressed={_flag(priority in self._wanted.priorities)}")
        views = everything.alerts
        numbers = {
            "all": len(views),
            "open": sum(view.row.state == "open" for view in views),
            "mine": sum(feed.is_of(view.row, who) for view in views) if who else 0,
        }
        for tab, (element, label) in self._tabs.items():
            element.props(f"aria-pressed={_flag(tab == self.tab)}")
            label.set_text(f"{TABS[tab]} ({numbers[tab]})" if tab in numbers else TABS[tab])
        self._write_groups(views)

    def _write_groups(self, views: tuple[View, ...]) -> None:
        found = Counter(view.row.group for view in views)
        if self._wanted.group:
            # keeps the selected group visible when its last alert has gone
            found[self._wanted.group] += 0
        options = {"": ALL_GROUPS} | {
            name: f"{feed.group_words(name)} ({found[name]})" for name in sorted(found)
        }
        if options != self._group.options:
            self._group.set_options(options, value=self._wanted.group or "")

    def _build_chip(self, priority: Priority) -> tuple[ui.element, ui.html]:
        """Build a count of a priority.

        It is a button where a click hides that priority. High alerts cannot be hidden.
        """
        is_high = priority == "high"
        kind = ui.element("span" if is_high else "button").classes(f"r-chip {priority}")
        kind.props('title="High alerts always stay in the list"' if is_high else "type=button")
        with kind as chip:
            ui.icon(ICONS[priority])
            count = ui.html("<b>-</b>", sanitize=False)
            ui.label(WORDS[priority])
        if not is_high:
            chip.on("click", lambda: self._toggle(priority))
        return chip, count

    def _build_tab(self, tab: Tab) -> tuple[ui.element, ui.label]:
        with (
            ui.element("button")
            .classes("r-tab")
            .props(f'type=button data-test="tab-{tab}"') as element
        ):
            label = ui.label(TABS[tab])
        element.on("click", lambda: self._choose(tab))
        return element, label

    def _toggle(self, priority: Priority) -> None:
        self._wanted = msgspec.structs.replace(
            self._wanted, priorities=self._wanted.priorities ^ {priority}
        )
        self._on_change()

    def _choose(self, tab: Tab) -> None:
        if tab == "mine" and not self._who:
            self._on_no_name()
            return
        self.tab = tab
        self._on_change()

    def _read(self) -> None:
        """Take the typed and selected values into the filter."""
        wanted = msgspec.structs.replace(
            self._wanted,
            patient=str(self._patient.value or ""),
            group=str(self._group.value or "") or None,
        )
        if wanted != self._wanted:
            self._wanted = wanted
            self._on_change()


def _flag(on: bool) -> str:
    return "true" if on else "false"
