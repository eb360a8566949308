"""The dialogue that asks for the fields of a decision, explains it, and sends it.

There is one for all kinds of decision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, tzinfo

from aiokafka.errors import KafkaError
from msgspec.structs import replace
from nicegui import ui

from rpm_stream.app.feed.page.now import looked_words, now_lines
from rpm_stream.app.feed.page.questions import ASKS, Ask, what_it_does
from rpm_stream.app.feed.page.style import WORDS
from rpm_stream.app.feed.page.wording import snooze_ends
from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.app.feed.service import (
    KEPT,
    NEEDS_REASON,
    Decision,
    DecisionRefused,
    Seen,
    Service,
    Unanswered,
    Unlisted,
    Worse,
)
from rpm_stream.publish.feed.rows import FeedRow
from rpm_stream.records import Direction
from rpm_stream.text import is_of_values

SIDES: dict[Direction | None, str] = {
    None: "All that it shows now",
    "low": "Only low values",
    "high": "Only high values",
}


class DecisionFields:
    """The inputs of one question, built into the open element."""

    def __init__(
        self, kind: ActionKind, row: FeedRow, who: str, now: datetime, zone: tzinfo
    ) -> None:
        self._kind = kind
        self._ends: list[tuple[str, datetime]] = []
        self._side: ui.radio | None = None
        if kind == "snooze":
            self._build_snooze(row, now, zone)
        if kind == "assign":
            self._build_assign(row)
        self._why = ui.input(ASKS[kind].reason).props("outlined dense maxlength=1000")
        self._why.style("width:100%")
        self._who = (
            ui.input("Your name", value=who)
            .props("outlined dense maxlength=128")
            .style("width:100%")
        )
        (self._who if not who else self._to if kind == "assign" else self._why).props("autofocus")

    @property
    def who(self) -> str:
        """The name of the person who decides."""
        return str(self._who.value or "").strip()

    def send_on_enter(self, send: Callable[[], Awaitable[None]]) -> None:
        """Call ``send`` when the Enter key is pressed in the fields that every question has."""
        self._why.on("keydown.enter", send)
        self._who.on("keydown.enter", send)

    def decision(self, row: FeedRow) -> Decision:
        """Return the decision about ``row``.

        Raises ``DecisionRefused`` if the fields do not say all that it needs.
        """
        decision = self._filled(row)
        if not decision.who:
            raise DecisionRefused("please say who you are.")
        if decision.action in NEEDS_REASON and not decision.reason:
            raise DecisionRefused(f"please say {NEEDS_REASON[decision.action]}.")
        return decision

    def _build_snooze(self, row: FeedRow, now: datetime, zone: tzinfo) -> None:
        self._ends = snooze_ends(now, zone)
        self._end = ui.radio({index: words for index, (words, _) in enumerate(self._ends)}, value=0)
        self._end.props('dense aria-label="Until when"')
        if is_of_values(row.group):
            sides = [words for _, words in SIDES.items()]
            self._side = ui.radio(sides, value=sides[0]).props('dense aria-label="Which values"')

    def _build_assign(self, row: FeedRow) -> None:
        with ui.row().classes("r-line"):
            self._to = ui.input("Assign to", value=row.assigned_to or "").props(
                "outlined dense maxlength=128"
            )
            self._to.style("flex:1")
            ui.button("Me", on_click=lambda: self._to.set_value(self._who.value)).props(
                "outline no-caps"
            )

    def _filled(self, row: FeedRow) -> Decision:
        decision = Decision(
            action=self._kind,
            who=self.who,
            reason=str(self._why.value or "").strip(),
            seen=Seen(priority=row.priority),
            record=row.updated_at,
        )
        if self._kind == "assign":
            if not str(self._to.value or "").strip():
                raise DecisionRefused("Please say to whom.")
            return replace(decision, to=str(self._to.value))
        if self._kind != "snooze":
            return decision
        side = next(
            (side for side, words in SIDES.items() if self._side and words == self._side.value),
            None,
        )
        until = self._ends[int(self._end.value)][1]
        return replace(decision, until=until, direction=side)


class DecisionDialog:
    """Asks, sends, and shows faults. It is rebuilt for each question."""

    def __init__(self, service: Service, on_done: Callable[[str], None]) -> None:
        self._service = service
        self._on_done = on_done
        self._row: FeedRow | None = None
        self._kind: ActionKind = "acknowledge"
        # the number of the question, which tells its answer from an earlier one's
        self._asked = 0
        self._is_sending = False
        self._zone: tzinfo = UTC
        with ui.dialog().props('aria-label="Decide"') as self._dialog:
            self._card = ui.card().classes("r-ask")

    def ask(self, key: str, kind: ActionKind, who: str, zone: tzinfo) -> None:
        """Open the question about one alert, with the name that was given before."""
        detail = self._service.detail(key)
        if detail is None:
            return
        self._kind = kind
        self._zone = zone
        self._asked += 1
        self._is_sending = False
        self._card.clear()
        with self._card:
            self._build(detail.alert.row, ASKS[kind], who, zone)
        self._dialog.open()

    def _build(self, row: FeedRow, ask: Ask, who: str, zone: tzinfo) -> None:
        ui.html(f"<h2>{ask.title}</h2>", sanitize=False)
        self._about = ui.element("div")
        self._write_about(row)
        self._fields = DecisionFields(self._kind, row, who, self._service.now(), zone)
        self._wrong = ui.label().classes("r-late-ack").props("role=alert")
        ui.label(what_it_does(self._kind, row)).classes("r-says")
        if ask.final:
            ui.label("This cannot be undone.").classes("r-final")
        with ui.row().style("width:100%;justify-content:flex-end"):
            self._leave = ui.button("Cancel", on_click=self._dialog.close).props("flat no-caps")
            colour = "color=negative" if ask.final else ""
            self._button = ui.button(ask.button, on_click=self._send).props(
                f"no-caps unelevated {colour}"
            )
        if not ask.final:  # so that the Enter key never sends a final decision by accident
            self._fields.send_on_enter(self._send)

    def _write_about(self, row: FeedRow) -> None:
        """Write the alert that is decided about.

        The shown alert counts as the seen one, so a press never decides about anything worse.
        """
        self._row = row
        self._about.clear()
        with self._about:
            ui.label(f"{WORDS[row.priority]}: {row.title}, {row.name}")
            if looked := looked_words(row):
                ui.label(looked).classes("r-over")
            with ui.element("ul").classes("r-why"):
                for line in [*row.why, *now_lines(row, self._service.now(), self._zone)]:
                    with ui.element("li"):
                        ui.label(line)

    async def _send(self) -> None:
        """Send the decision once.

        Until it is answered, neither the button nor the Enter key sends it again.
        """
        if self._row is None or self._is_sending:
            return
        self._is_sending = True
        self._button.disable()
        asked = self._asked
        who = self._fields.who
        wrong = await self._answer(self._row)
        # Another question is open by now, so this answer is not shown.
        if asked != self._asked:
            return
        self._wrong.set_text(f"{wrong[:1].upper()}{wrong[1:]}")
        if wrong == KEPT:  # no button is left, because another press would be a second decision
            self._leave.set_text("Close")
            return
        self._is_sending = False
        self._button.enable()
        if not wrong:
            self._dialog.close()
            self._on_done(who)

    async def _answer(self, row: FeedRow) -> str:
        """Return what is wrong with the decision as a sentence, or "" when it is stored."""
        try:
            await self._service.decide(row.id, self._fields.decision(row))
        except KafkaError:
            return "it could not be stored. Please try again."
        except Unanswered:
            return KEPT
        except Unlisted:
            return "this alert is already resolved."
        except Worse as worse:
            if detail := self._service.detail(row.id):
                self._write_about(detail.alert.row)
            return str(worse)
        except DecisionRefused as refused:
            return str(refused)
        return ""
