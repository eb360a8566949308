"""What an open alert gives up where the state is full: words.

Its end, its priority and its life stay what they are.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.readings import reading_at
from support.situation import Unknown, context

from rpm_stream.alert.decisions import decide
from rpm_stream.alert.episode import Episodes
from rpm_stream.alert.episodes import apply
from rpm_stream.alert.escalation import overdue
from rpm_stream.alert.size import lighten
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.old_members import kind_and_key
from rpm_stream.records import RANK, Action, Finding, Key, Reading

START = datetime(2026, 3, 1, tzinfo=UTC)
VITALS = ("heart_rate", "pulse_rate", "systolic", "body_temperature")
NAMES = ("limit:{}:low", "limit:{}:above_100_/min", "detector:{}", "device:fault:{}:d1", "news2")
FOUND = st.lists(
    st.tuples(
        st.sampled_from(VITALS),
        st.sampled_from(NAMES),
        st.sampled_from(tuple(RANK)),
        st.integers(0, 9),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


def _reading(vital: str, number: int) -> Reading:
    at = START + timedelta(minutes=number)
    return reading_at(at, vital, "1", id=f"r{number}", unit="1")


def _course(found: list[tuple[str, str, str, int, bool]]) -> Episodes:
    """An episode that these findings have made, acknowledged now and then."""
    episodes: Episodes = {}
    for number, (vital, name, priority, shift, acknowledged) in enumerate(found):
        reading = _reading(vital, number * 10 + shift)
        kind, key = kind_and_key(name.format(vital), None)
        finding = Finding(
            kind=kind,
            key=key,
            member=name.format(vital),
            rule="rule",
            group="vital_signs",
            priority=priority,  # type: ignore[arg-type]
            title="Title",
            why=f"{vital} {'why ' * 60}{number}",
            evidence=(reading,),
            vital=vital,
            measured_at=reading.measured_at,
        )
        apply(episodes, "p", finding, reading.measured_at)
        if acknowledged:
            action = Action(patient="p", action="acknowledge", who="nurse", at=reading.measured_at)
            decide(episodes, "vital_signs", action, context(reading.measured_at))
    return episodes


@given(FOUND, st.sampled_from((40, 20, 10, 5, 1)))
def test_what_ends_an_alert_and_what_it_is_stays(
    found: list[tuple[str, str, str, int, bool]], most: int
) -> None:
    """Law 3: of each vital with a limit one limit is still waited for, and NEWS2; state,
    priority, opening stay.
    """
    (before,), (episode,) = _course(found).values(), _course(found).values()
    lighten((episode,), most)
    old, new = before.alert, episode.alert
    assert (new.id, new.state, new.priority, new.opened_at) == (
        old.id,
        old.state,
        old.priority,
        old.opened_at,
    )
    assert new.evidence[0] == old.evidence[0]
    assert new.why and len(new.why) <= most
    assert (new.history[0].at, new.history[-1].at) == (old.history[0].at, old.history[-1].at)

    def waited(members: dict[str, object]) -> set[str]:
        return {name.split(":")[1] for name in members if name.startswith("limit:")} | {
            "news2"
        } & members.keys()

    assert waited(dict(episode.members)) == waited(dict(before.members))
    left = {
        name: member.priority for name, member in before.members.items() if name in episode.members
    }
    assert {name: member.priority for name, member in episode.members.items()} == left


@given(FOUND, st.sampled_from((40, 20, 10)))
def test_the_life_of_an_alert_stays_whole_where_more_than_a_few_are_kept(
    found: list[tuple[str, str, str, int, bool]], most: int
) -> None:
    """Only steps of the service by which nothing changed go: people's stay, and since when the
    alert waits.
    """
    (before,), (episode,) = _course(found).values(), _course(found).values()
    lighten((episode,), most)
    old, new = before.alert.history, episode.alert.history
    assert [step for step in new if step.who == "nurse"] == [
        step for step in old if step.who == "nurse"
    ]

    def courses(steps: tuple[object, ...]) -> list[tuple[str, str]]:
        told = [(step.state, step.priority) for step in steps]  # type: ignore[attr-defined]
        return [each for number, each in enumerate(told) if number == 0 or told[number - 1] != each]

    assert courses(new) == courses(old)


def _escalations(
    found: list[tuple[str, str, str, int, bool]], further: int, most: int | None
) -> list[datetime]:
    """When it escalates: after ``found`` its pulse is high, then a low rule joins every ten
    minutes.
    """
    episodes = _course([*found, ("heart_rate", "limit:{}:low", "high", 0, False)])
    told: list[datetime] = []
    for number in range(1, further):
        reading = _reading("heart_rate", (len(found) + number) * 10)
        finding = Finding(
            kind="detector",
            key=Key(vital=str(number)),
            member=f"detector:{number}:heart_rate",
            rule="rule",
            group="vital_signs",
            priority="low",
            title="Title",
            why=f"why {number}",
            evidence=(reading,),
            vital="heart_rate",
            measured_at=reading.measured_at,
        )
        apply(episodes, "p", finding, reading.measured_at)
        if most is not None:
            lighten(episodes.values(), most)
        waited = overdue(episodes, shipped().priorities, Unknown(), reading.measured_at)
        told += [alert.history[-1].at for _, alert in waited]
    return told


@given(FOUND, st.integers(4, 12), st.sampled_from((40, 10, 5, 2, 1)))
def test_an_alert_escalates_when_it_would_have_whatever_it_gave_up(
    found: list[tuple[str, str, str, int, bool]], further: int, most: int
) -> None:
    """Law 3: also where the step since which it waits lies behind many of further rules."""
    assert _escalations(found, further, most) == _escalations(found, further, None)
    assert _escalations([("heart_rate", "limit:{}:high", "low", 0, False)], further, most)
