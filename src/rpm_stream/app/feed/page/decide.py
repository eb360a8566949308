"""The dialogue that asks for the fields of a decision, explains it, and sends it.

There is one for all kinds of decision.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from aiokafka.errors import KafkaError
from msgspec.structs import replace
from nicegui import ui

from rpm_stream.app.feed.page.now import looked_words, now_lines
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
from rpm_stream.publish.feed.rows import FeedRow, back_words
from rpm_stream.records import Direction, Record
from rpm_stream.text import is_of_values

SIDES: dict[Direction | None, str] = {
    None: "All that it shows now",
    "low": "Only low values",
    "high": "Only high values",
}


class Ask(Record, frozen=True):
    """The texts of the dialogue for a kind of decision.

    ``reason`` names the field for a person's own words. ``final`` means that the decision cannot be
    undone, and that the dialogue says so.
    """

    button: str
    title: str
    says: str
    reason: str = "Note (optional)"
    final: bool = False


ASKS: dict[ActionKind, Ask] = {
    "see": Ask(
        "Seen",
        "Mark this alert as seen",
        (
            "It says that you have looked. It stays in the list, and escalates until somebody"
            " acknowledges it."
        ),
    ),
    "acknowledge": Ask(
        "Acknowledge",
        "Acknowledge this alert",
        "It stays in the list until measurements are back inside the limits.",
    ),
    "snooze": Ask(
        "Snooze",
        "Snooze this alert",
        (
            "It comes back at that time; at once when it gets worse, when another rule strikes, or"
            " when a value breaks a limit on a side that is not snoozed."
        ),
        reason="Why (optional)",
    ),
    "assign": Ask(
        "Assign",
        "Assign this alert",
        "It says whose it is. Nobody is notified by this.",
    ),
    "comment": Ask(
        "Comment",
        "Comment on this alert",
        "It stays as it is; everybody can read the comment in its history.",
        reason="Comment",
    ),
    "new_normal": Ask(
        "New normal",
        "New normal for this person",
        (
            "The values so far count as usual for this person. No limit changes; an alert that"
            " rests on what was learned alone is resolved."
        ),
        reason="Why (optional)",
        final=True,
    ),
    "resolve": Ask(
        "Resolve",
        "Resolve this alert",
        "It leaves the list. The next value beyond a limit opens a new alert.",
        reason="Why",
        final=True,
    ),
    "withdraw": Ask(
        "Wrong reading",
        "Withdraw: this was a wrong reading",
        (
            "It leaves the list, marked as never true: somebody else wore the device, or it"
            " measured wrongly."
        ),
        reason="What was wrong",
        final=True,
    ),
}


# The effect on an alert that is over.
OVER_SAYS: dict[ActionKind, str] = {
    "see": "{back}. Once somebody has looked, the alert can leave the list.",
    "acknowledge": "{back}. You have looked at it, so it can leave the list.",
}
# The effect on an alert that is not about values: a silence, a device, a setting.
OTHER_SAYS: dict[ActionKind, str] = {
    "acknowledge": "It stays in the list until what it tells of is over, or somebody resolves it.",
    "snooze": (
        "It comes back at that time; at once when it gets worse, or when another rule strikes."
    ),
    "resolve": "It leaves the list. What it tells of opens a new alert only when it begins anew.",
}
HELD = (
    "It leaves the list if all values are back inside their limits; otherwise it is acknowledged,"
    " and stays there."
)


def what_it_does(kind: ActionKind, row: FeedRow) -> str:
    """Return the effect of a decision on this alert, in a sentence or two."""
    if row.over and kind in OVER_SAYS:
        return OVER_SAYS[kind].format(back=back_words(row.group))
    if kind in OTHER_SAYS and not is_of_values(row.group):
        return OTHER_SAYS[kind]
    if kind == "resolve" and row.priority == "high" and not row.over:
        return HELD
    return ASKS[kind].says


def offered(row: FeedRow, *, can_snooze: bool) -> list[ActionKind]:
    """Return the decisions that an alert allows now, the most frequent first."""
    if row.state == "resolved":
        return []
    of_values = is_of_values(row.group)
    wanted: dict[ActionKind, bool] = {
        **({"see": not row.seen_by} if row.over else {}),
        "acknowledge": row.state != "acknowledged",
        "snooze": can_snooze,
        **(
            {}
            if row.over
            else {"see": row.priority == "high" and row.state == "open" and not row.seen_by}
        ),
        "assign": True,
        "comment": True,
        "new_normal": of_values,
        "resolve": True,
        "withdraw": of_values,
    }
    return [kind for kind, is_offered in wanted.items() if is_offered]


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
        self._ends: list[tuple[str, datetime]] = []
        self._who: ui.input
        self._side: ui.radio | None = None
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
        self._side = None
        if self._kind == "snooze":
            self._build_snooze(row, zone)
        if self._kind == "assign":
            with ui.row().classes("r-line"):
                self._to = ui.input("Assign to", value=row.assigned_to or "").props(
                    "outlined dense maxlength=128"
                )
                self._to.style("flex:1")
                ui.button("Me", on_click=lambda: self._to.set_value(self._who.value)).props(
                    "outline no-caps"
                )
        self._why = ui.input(ask.reason).props("outlined dense maxlength=1000").style("width:100%")
        self._who = (
            ui.input("Your name", value=who)
            .props("outlined dense maxlength=128")
            .style("width:100%")
        )
        (self._who if not who else self._to if self._kind == "assign" else self._why).props(
            "autofocus"
        )
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
            self._why.on("keydown.enter", self._send)
            self._who.on("keydown.enter", self._send)

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

    def _build_snooze(self, row: FeedRow, zone: tzinfo) -> None:
        self._ends = snooze_ends(self._service.now(), zone)
        self._end = ui.radio({index: words for index, (words, _) in enumerate(self._ends)}, value=0)
        self._end.props('dense aria-label="Until when"')
        if is_of_values(row.group):
            sides = [words for _, words in SIDES.items()]
            self._side = ui.radio(sides, value=sides[0]).props('dense aria-label="Which values"')

    def _decision(self, row: FeedRow) -> Decision:
        decision = Decision(
            action=self._kind,
            who=str(self._who.value or "").strip(),
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

    async def _send(self) -> None:
        """Send the decision once.

        Until it is answered, neither the button nor the Enter key sends it again.
        """
        if self._row is None or self._is_sending:
            return
        self._is_sending = True
        self._button.disable()
        asked = self._asked
        who = str(self._who.value or "").strip()
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
            decision = self._decision(row)
            if not decision.who:
                raise DecisionRefused("please say who you are.")
            if decision.action in NEEDS_REASON and not decision.reason:
                raise DecisionRefused(f"please say {NEEDS_REASON[decision.action]}.")
            await self._service.decide(row.id, decision)
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
