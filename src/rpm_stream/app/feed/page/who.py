"""The dialogue that asks for the name of the person at the page."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui

from rpm_stream.app.feed.auth.reader_name import MOST


class NameDialog:
    """Asks for the reader's name."""

    def __init__(self, on_name: Callable[[str], None]) -> None:
        self._on_name = on_name
        with (
            ui.dialog().props('aria-label="Your name"') as self._dialog,
            ui.card().classes("r-ask"),
        ):
            ui.html("<h2>Who are you?</h2>", sanitize=False)
            self._name = ui.input("Name as colleagues know it").props(
                f"outlined dense autofocus maxlength={MOST}"
            )
            self._name.style("width:100%").on("keydown.enter", self._done)
            ui.label(
                "It stands beside what you decide, and is kept in this browser for 12 hours."
            ).classes("r-says")
            with ui.row().style("width:100%;justify-content:flex-end"):
                ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
                ui.button("That is me", on_click=self._done).props("no-caps unelevated")

    def ask(self, who: str) -> None:
        """Open the question, with the known name."""
        self._name.set_value(who)
        self._dialog.open()

    def _done(self) -> None:
        if who := str(self._name.value or "").strip():
            self._dialog.close()
            self._on_name(who)
