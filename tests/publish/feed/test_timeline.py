"""An alert's life in words: from typed steps, and the same words from histories that were
written before these.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.alerts import alert_of

from rpm_stream.publish import old_life
from rpm_stream.publish.feed import timeline as life
from rpm_stream.publish.time_words import utc_words
from rpm_stream.records import Alert, AlertState, Direction, Event, Priority, Transition
from rpm_stream.text import SERVICE

START = datetime(2026, 7, 14, 7, 0, tzinfo=UTC)
NURSE = "N. Adeyemi"
LONG = "Oxygen saturation 90 % is at or below 91 %."


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def step(
    event: Event | None,
    minutes: float,
    state: AlertState = "open",
    priority: Priority = "high",
    **fields: Any,
) -> Transition:
    """A step so many minutes after the start; by the service where nobody is named."""
    given = {"who": SERVICE, "reason": ""} | fields
    return Transition(at=after(minutes), state=state, priority=priority, event=event, **given)


def alert(*history: Transition) -> Alert:
    """The alert with this history."""
    last = history[-1]
    return alert_of(
        "a",
        history[0].at,
        priority=last.priority,
        state=last.state,
        why=(LONG,),
        history=history,
        updated_at=last.at,
    )


def said(history: Sequence[Transition]) -> list[tuple[str, str]]:
    """What was done, with who did it, and why."""
    return [(life.step_words(each), each.why) for each in life.steps(history)]


# --- words ----------------------------------------------------------------------------------------


def test_every_event_has_words() -> None:
    assert set(life.EVENT_WORDS) == set(get_args(Event))


@given(
    st.sampled_from(get_args(Event)),
    st.sampled_from(["open", "acknowledged", "snoozed", "resolved"]),
)
def test_no_step_lacks_words_whatever_else_it_lacks(event: Event, state: AlertState) -> None:
    (first, second) = life.steps((step("opened", 0), step(event, 1, state)))
    assert second.what and "{" not in second.what
    assert first.what == "Opened at high priority"


def test_a_whole_life_reads_plainly() -> None:
    history = (
        step("opened", 0, priority="medium", reason="glucose 65 mg/dL"),
        step("raised", 5, reason="glucose 50 mg/dL"),
        step("joined", 6, reason="pulse 120 a minute"),
        step("escalated", 35),
        step("over", 50),
        step("returned", 60, reason="glucose 49 mg/dL"),
        step("escalated", 90),
        step("acknowledged", 91, "acknowledged", who=NURSE, reason="calling"),
        step("worse", 99, reason="glucose 34 mg/dL"),
        step("refused", 100, who=NURSE, reason="snooze refused: high alerts cannot be snoozed"),
        step("assigned", 101, who=NURSE, assignee="dr-7", reason="knows her"),
        step("seen", 102, who=NURSE),
        step("recovered", 200, "resolved", reason="back inside the recovery limits"),
    )
    assert said(history) == [
        ("Opened at medium priority", "glucose 65 mg/dL"),
        ("Raised to high", "glucose 50 mg/dL"),
        ("A further finding", "pulse 120 a minute"),
        ("Escalated: nobody has acknowledged it for 30 minutes", ""),
        ("All values are back inside their limits; nobody has seen it yet", ""),
        ("Opened again after all values had been back", "glucose 49 mg/dL"),
        ("Escalated: nobody has acknowledged it for 30 minutes", ""),
        (f"Acknowledged by {NURSE}", "calling"),
        ("Opened again: it got worse", "glucose 34 mg/dL"),
        (f"Not carried out, asked for by {NURSE}", "snooze refused: high alerts cannot be snoozed"),
        (f"Assigned to dr-7 by {NURSE}", "knows her"),
        (f"Seen by {NURSE}", ""),
        ("Resolved by new values", "back inside the recovery limits"),
    ]
    assert [each.event for each in life.steps(history)] == [each.event for each in history]


@pytest.mark.parametrize(
    ("direction", "side"),
    [(None, ""), ("low", " (low values only)"), ("high", " (high values only)")],
)
def test_a_snooze_says_until_when_in_the_readers_time_and_for_which_side(
    direction: Direction | None, side: str
) -> None:
    snooze = step(
        "snoozed", 1, "snoozed", "medium", who=NURSE, until=after(61), direction=direction
    )
    history = (step("opened", 0, priority="medium"), snooze)
    assert life.steps(history)[1].what == f"Snoozed until 14 Jul 2026 08:01 UTC{side}"
    assert life.steps(history, lambda at: f"{at:%H.%M}")[1].what == f"Snoozed until 08.01{side}"


def test_an_escalation_counts_from_when_the_alert_was_last_opened_at_its_priority() -> None:
    history = (
        step("opened", 0),
        step("acknowledged", 10, "acknowledged", who=NURSE),
        step("reopened", 20, reason="pulse"),
        step("joined", 25),
        step("escalated", 50),
        step("commented", 60, who=NURSE, reason="no answer"),
        step("escalated", 80),
        step("escalated", 140),
    )
    waited = [
        each.what.rpartition(" for ")[2]
        for each in life.steps(history)
        if each.event == "escalated"
    ]
    assert waited == ["30 minutes", "60 minutes", "2 hours"]


def test_where_the_beginning_is_not_known_an_escalation_names_no_length() -> None:
    history = (step("opened", 0, priority="medium"), step("escalated", 50))
    assert life.steps(history)[1].what == "Escalated: nobody has acknowledged it"


# --- facts ----------------------------------------------------------------------------------------


def test_the_last_assignment_holds() -> None:
    first = step("assigned", 1, who=NURSE, assignee="M. Keller")
    assert life.assignee(alert(step("opened", 0))) is None
    assert life.assignee(alert(step("opened", 0), first)) == "M. Keller"
    again = step("assigned", 2, who=NURSE, assignee="Dr: A: Hart", reason="to: nobody")
    assert life.assignee(alert(step("opened", 0), first, again, step("raised", 3))) == "Dr: A: Hart"


def test_a_snooze_ends_exactly_when_it_says() -> None:
    until = after(30) + timedelta(seconds=12, microseconds=34)
    snooze = step("snoozed", 1, "snoozed", who=NURSE, until=until, direction="low")
    note = step("commented", 2, "snoozed", who=NURSE, reason="snoozed for 1 minutes")
    assert life.sleep(alert(step("opened", 0), snooze, note)) == life.Sleep(
        until=until, direction="low"
    )
    assert life.sleep(alert(step("opened", 0), snooze, step("snooze_ended", 31))) is None


def test_who_acknowledged_is_who_put_it_into_that_state() -> None:
    refused = step(
        "refused", 1, "acknowledged", who=NURSE, reason="resolve refused: values are not back"
    )
    done = step("acknowledged", 1, "acknowledged", who=NURSE, reason="eating")
    for pair in ((refused, done), (done, refused)):
        found = life.acknowledgement(
            alert(step("opened", 0), *pair, step("joined", 3, "acknowledged"))
        )
        assert found is not None and (found.who, found.reason) == (NURSE, "eating")
    assert life.acknowledgement(alert(step("opened", 0), done, step("worse", 3))) is None


@pytest.mark.parametrize(
    "anew", ["raised", "reopened", "worse", "returned", "snooze_ended", "over"]
)
def test_who_saw_it_before_it_changed_has_not_seen_it(anew: Event) -> None:
    seen = (
        step("opened", 0),
        step("seen", 1, who="A"),
        step("acknowledged", 2, "acknowledged", who="B"),
    )
    assert life.seen_by(alert(*seen, step("seen", 3, "acknowledged", who="A"))) == ("A", "B")
    assert life.seen_by(alert(*seen, step(anew, 4))) == ()
    assert life.seen_by(alert(*seen, step(anew, 4), step("seen", 5, who="C"))) == ("C",)


def test_other_steps_do_not_say_that_somebody_looked() -> None:
    """To assign or to comment can be done from a list, and what the service does nobody has
    seen.
    """
    steps = (
        step("assigned", 1, who=NURSE),
        step("commented", 2, who=NURSE),
        step("refused", 3, who=NURSE),
    )
    assert (
        life.seen_by(alert(step("opened", 0), *steps, step("over", 4), step("acknowledged", 5)))
        == ()
    )


@pytest.mark.parametrize("event", get_args(Event))
def test_what_made_an_alert_worse_after_a_record(event: Event) -> None:
    history = (step("opened", 0), step(event, 5))
    found = life.worse_since(history, after(4))
    assert (found is not None) == (event in ("raised", "worse", "returned", "joined", "reopened"))
    assert life.worse_since(history, after(5)) is None  # this record says it


@pytest.mark.parametrize("event", ["raised", "worse", "returned"])
def test_of_all_that_came_after_a_record_the_gravest_is_named(event: Event) -> None:
    history = (
        step("opened", 0),
        step("raised", 5),
        step("joined", 6),
        step(event, 7),
        step("joined", 8),
    )
    found = life.worse_since(history, after(4))
    assert found is not None and (found.event, found.at) == (event, after(7))


# --- histories from before ------------------------------------------------------------------------

WORDS = st.text(max_size=20).filter(lambda text: text == text.strip())
NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: name == " ".join(name.replace(":", " ").split()) != ""
)


def snoozed(minutes: int, side: Direction | None) -> str:
    """How a snooze was written."""
    return f"snoozed for {minutes} minutes{f', {side} values only' if side else ''}"


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[Transition, Transition]]:
    """A life twice: as it is written now, and as it was written before; what has no old form is
    left out.
    """
    made = [both(step("opened", 0, priority="medium", reason=LONG), LONG)]
    for minutes in range(1, draw(st.integers(1, 9))):
        before, _ = made[-1]
        made.append(draw(next_step(before, minutes)))
        if made[-1][0].state == "resolved":
            break
    return made


def both(now: Transition, sentence: str) -> tuple[Transition, Transition]:
    """The step, and the same with its sentence alone."""
    return now, Transition(
        at=now.at, state=now.state, priority=now.priority, who=now.who, reason=sentence
    )


@st.composite
def next_step(draw: st.DrawFn, before: Transition, minutes: int) -> tuple[Transition, Transition]:
    """A step that may follow, with words of a person that may be anything."""
    same, why = (before.state, before.priority), draw(WORDS)
    tail = f": {why}" if why else ""
    until, side = (
        after(minutes + draw(st.integers(1, 4000))),
        draw(st.sampled_from([None, "low", "high"])),
    )
    snooze = snoozed(int((until - after(minutes)).total_seconds() / 60), side)
    name = draw(NAMES)
    by = {"who": NURSE, "reason": why}
    found = [
        both(step("joined", minutes, *same, reason=LONG), LONG),
        both(step("commented", minutes, *same, **by), f"comment: {why}"),
        both(step("assigned", minutes, *same, **by, assignee=name), f"assigned to {name}{tail}"),
        both(
            step("snoozed", minutes, "snoozed", before.priority, **by, until=until, direction=side),
            f"{snooze}{tail}",
        ),
        both(
            step("new_normal", minutes, *same, **by),
            f"new normal: learning resumes; the limits stay as they are{tail}",
        ),
        both(
            step("refused", minutes, *same, who=NURSE, reason="snooze refused: its end is past"),
            "snooze refused: its end is past",
        ),
        both(step("resolved", minutes, "resolved", before.priority, who=NURSE, reason=LONG), LONG),
        both(step("withdrawn", minutes, "resolved", before.priority, **by), f"withdrawn: {why}"),
        both(
            step("recovered", minutes, "resolved", before.priority, reason=old_life.RECOVERED),
            old_life.RECOVERED,
        ),
        both(
            step("ended", minutes, "resolved", before.priority, reason="unassigned"), "unassigned"
        ),
    ]
    if before.priority == "medium":
        found.append(both(step("raised", minutes, reason=LONG), LONG))
    if before.state == "open":
        found.append(
            both(step("acknowledged", minutes, "acknowledged", before.priority, **by), why)
        )
        found.append(
            both(
                step("escalated", minutes, *same),
                "escalated: nobody has acknowledged it for 30 minutes",
            )
        )
    else:
        found.append(both(step("reopened", minutes, "open", before.priority, reason=LONG), LONG))
    if before.state == "snoozed":
        found.append(
            both(step("snooze_ended", minutes, "open", before.priority), "the snooze is over")
        )
    return draw(st.sampled_from(found))


@given(lives())
def test_a_life_that_was_written_before_reads_the_same(
    made: list[tuple[Transition, Transition]],
) -> None:
    now, before = (alert(*history) for history in zip(*made, strict=True))
    assert life.steps(before.history) == life.steps(now.history)
    assert life.assignee(before) == life.assignee(now)
    assert life.sleep(before) == life.sleep(now)
    assert life.seen_by(before) == life.seen_by(now)
    told, told_before = life.acknowledgement(now), life.acknowledgement(before)
    assert (told and (told.who, told.at)) == (told_before and (told_before.who, told_before.at))


@given(lives(), st.integers(1, 8))
def test_a_life_that_was_begun_before_and_goes_on_reads_the_same(
    made: list[tuple[Transition, Transition]], place: int
) -> None:
    now = tuple(step for step, _ in made)
    mixed = (*(step for _, step in made[:place]), *now[place:])
    assert life.steps(mixed) == life.steps(now)


SENTENCES = (
    "assigned to Mallory",
    "assigned to Mallory: now",
    "snoozed for 1 minutes",
    "comment: no",
    "withdrawn: no",
    "escalated: nobody",
    "new normal: learning resumes",
    "the snooze is over",
    "snooze refused: no",
    "back inside the recovery limits",
)


@given(
    st.sampled_from(get_args(Event)),
    st.sampled_from(SENTENCES),
    st.sampled_from(["open", "acknowledged", "snoozed"]),
)
def test_no_sentence_is_read_where_the_step_says_what_it_is(
    event: Event, sentence: str, state: AlertState
) -> None:
    bare = alert(step("opened", 0), step(event, 1, state, who=NURSE))
    worded = alert(
        step("opened", 0, reason=sentence), step(event, 1, state, who=NURSE, reason=sentence)
    )
    told = [msgspec.structs.replace(each, why="") for each in life.steps(worded.history)]
    assert told == list(life.steps(bare.history))
    assert [each.why for each in life.steps(worded.history)] == [sentence, sentence]
    assert life.assignee(worded) is None and life.sleep(worded) is None
    assert life.seen_by(worded) == life.seen_by(bare)


@pytest.mark.parametrize(
    "reason", ["assigned to Mallory", "snoozed for 60 minutes", "comment: x", "withdrawn: x"]
)
def test_free_text_of_before_assigns_and_snoozes_nothing(reason: str) -> None:
    opened = Transition(at=START, state="open", priority="medium", who=SERVICE, reason=LONG)
    acknowledged = Transition(
        at=after(1), state="acknowledged", priority="medium", who=NURSE, reason=reason
    )
    commented = Transition(
        at=after(2), state="acknowledged", priority="medium", who=NURSE, reason=f"comment: {reason}"
    )
    found = alert(opened, acknowledged, commented)
    assert life.assignee(found) is None and life.sleep(found) is None
    assert said(found.history)[1:] == [
        (f"Acknowledged by {NURSE}", reason),
        (f"Comment by {NURSE}", reason),
    ]


@example(30, None)  # half a minute
@given(st.integers(0, 59), st.sampled_from([None, "low", "high"]))
def test_the_end_of_a_snooze_of_before_is_read_back_to_the_minute(
    seconds: int, side: Direction | None
) -> None:
    """Its words count begun minutes."""
    until = after(90)
    at = after(30) + timedelta(seconds=seconds)
    words = snoozed(60, side)
    opened = Transition(at=START, state="open", priority="medium", who=SERVICE, reason=LONG)
    snooze = Transition(
        at=at, state="snoozed", priority="medium", who=NURSE, reason=f"{words}: eating"
    )
    assert life.sleep(alert(opened, snooze)) == life.Sleep(until=until, direction=side)


def test_readings_that_were_taken_back_are_told_of_before_too() -> None:
    opened = Transition(at=START, state="open", priority="high", who=SERVICE, reason=LONG)
    weaker = Transition(
        at=after(1),
        state="open",
        priority="high",
        who=NURSE,
        reason="2 of its readings were taken back: her husband",
    )
    assert said((opened, weaker))[1] == (
        f"Readings corrected by {NURSE}",
        "2 of its readings were taken back: her husband",
    )


def test_a_moment_for_whoever_reads_in_no_known_zone() -> None:
    assert utc_words(datetime.fromisoformat("2026-07-14T00:30:00+02:00")) == "13 Jul 2026 22:30 UTC"
