"""The notices of the page: how far judging is, what is wrong, and how much a filter hides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from nicegui import ui

from rpm_stream.app.feed.page.wording import alarm, judged, wrong_clocks
from rpm_stream.app.feed.progress import Progress
from rpm_stream.app.feed.read_model import FeedState


def problems(progress: Progress, state: FeedState) -> list[str]:
    """Return what is wrong with judging, the clocks and the list, a sentence or two each."""
    texts = [problem for problem in (alarm(progress), wrong_clocks(progress)) if problem]
    if not state.ready:
        texts.append("Still reading: alerts may be missing here.")
    if state.unreadable:
        texts.append(
            f"{state.unreadable} alert records could not be read, so an alert may be missing here."
        )
    return texts


class AlarmStrip:
    """The strip at the top with what is wrong. It is rewritten when that changes."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._box = ui.element("div").props("role=alert")

    def write(self, texts: list[str]) -> None:
        """Show the texts, a line each."""
        if texts == self._texts:
            return
        self._texts = texts
        self._box.clear()
        with self._box:
            for text in texts:
                with ui.element("div").classes("r-alarm"), ui.element("div").classes("r-wrap"):
                    ui.icon("error", size="22px")
                    ui.label(text)


class JudgedLine:
    """The line in the header with the time up to which measurements are judged."""

    def __init__(self) -> None:
        with (
            ui.element("div")
            .classes("r-judged")
            .props('role=status data-test="judged"') as self._box
        ):
            self._icon = ui.icon("hourglass_empty")
            self._text = ui.label()

    def write(self, progress: Progress, zone: tzinfo, *, is_ready: bool) -> None:
        """Show the progress. ``is_ready`` is whether the feed has read the alerts."""
        self._text.set_text(judged(progress, zone))
        is_bad = alarm(progress) is not None
        good = "check_circle" if is_ready else "hourglass_empty"
        self._icon.set_name("error" if is_bad else good)
        self._box.classes(add="bad" if is_bad else "", remove="" if is_bad else "bad")


class HiddenNote:
    """The note above the list that a filter hides alerts. It is rewritten when its words change."""

    def __init__(self, on_show_all: Callable[[], None]) -> None:
        self._on_show_all = on_show_all
        self._words = ""
        self._box = ui.element("div")

    def write(self, hidden: int) -> None:
        """Show how many alerts are hidden. Shows nothing for none."""
        alerts = "1 alert" if hidden == 1 else f"{hidden} alerts"
        words = f"Your filter hides {alerts}. High alerts always stay." if hidden else ""
        if words == self._words:
            return
        self._words = words
        self._box.clear()
        if words:
            with self._box, ui.element("div").classes("r-hidden-note"):
                ui.label(words)
                ui.button("Show all", on_click=self._on_show_all).props("flat dense no-caps")
