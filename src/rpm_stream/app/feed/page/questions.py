"""The decisions that the page offers, and the texts of their questions."""

from __future__ import annotations

from rpm_stream.app.feed.read_model import ActionKind
from rpm_stream.publish.feed.rows import FeedRow, back_words
from rpm_stream.records import Record
from rpm_stream.text import is_of_values


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
