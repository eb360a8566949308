"""What an open alert gives up where the state is full: words. Its end, its priority and its life stay what they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rpm_stream.alert.decisions import decide
from rpm_stream.alert.episodes import RANK, Episodes, apply
from rpm_stream.alert.room import lighten
from rpm_stream.knowledge import shipped
from rpm_stream.records import Action, Finding, Origin, Reading

START = datetime(2026, 3, 1, tzinfo=UTC)
VITALS = ("heart_rate", "pulse_rate", "systolic", "body_temperature")
NAMES = ("limit:{}:low", "limit:{}:above_100_/min", "detector:{}", "device:fault:{}:d1", "news2")
FOUND = st.lists(
    st.tuples(
        st.sampled_from(VITALS), st.sampled_from(NAMES), st.sampled_from(tuple(RANK)), st.integers(0, 9), st.booleans()
    ),
    min_size=1,
    max_size=40,
)


def _reading(vital: str, number: int) -> Reading:
    at = START + timedelta(minutes=number)
    return Reading(
        id=f"r{number}", patient="p", device="d", vital=vital, value="1", unit="1", measured_at=at, received_at=at,
        utc_offset=None, absent=None, flags=(), attributes={}, origin=Origin(frame="f", index=0, part=0),
    )  # fmt: skip


def _course(found: list[tuple[str, str, str, int, bool]]) -> Episodes:
    """An episode that these findings have made, acknowledged now and then."""
    episodes: Episodes = {}
    for number, (vital, name, priority, shift, acknowledged) in enumerate(found):
        reading = _reading(vital, number * 10 + shift)
        finding = Finding(
            member=name.format(vital), rule="rule", group="vital_signs", priority=priority,  # type: ignore[arg-type]
            title="Title", why=f"{vital} {'why ' * 60}{number}", evidence=(reading,), vital=vital,
            measured_at=reading.measured_at,
        )  # fmt: skip
        apply(episodes, "p", finding, reading.measured_at)
        if acknowledged:
            action = Action(patient="p", action="acknowledge", who="nurse", at=reading.measured_at)
            decide(episodes, "vital_signs", action, shipped().priorities, reading.measured_at)
    return episodes


@given(FOUND, st.sampled_from((40, 20, 10, 5, 1)))
def test_what_ends_an_alert_and_what_it_is_stays(found: list[tuple[str, str, str, int, bool]], most: int) -> None:
    """Law 3: of each vital with a limit one limit is still waited for, and NEWS2; state, priority, opening stay."""
    (before,), (episode,) = _course(found).values(), _course(found).values()
    lighten((episode,), most)
    old, new = before.alert, episode.alert
    assert (new.id, new.state, new.priority, new.opened_at) == (old.id, old.state, old.priority, old.opened_at)
    assert new.evidence[0] == old.evidence[0]
    assert new.why and len(new.why) <= most
    assert (new.history[0].at, new.history[-1].at) == (old.history[0].at, old.history[-1].at)

    def waited(members: dict[str, object]) -> set[str]:
        return {name.split(":")[1] for name in members if name.startswith("limit:")} | {"news2"} & members.keys()

    assert waited(dict(episode.members)) == waited(dict(before.members))
    left = {name: member.priority for name, member in before.members.items() if name in episode.members}
    assert {name: member.priority for name, member in episode.members.items()} == left


@given(FOUND, st.sampled_from((40, 20, 10)))
def test_the_life_of_an_alert_stays_whole_where_more_than_a_few_are_kept(
    found: list[tuple[str, str, str, int, bool]], most: int
) -> None:
    """Only steps of the service by which nothing changed go: people's stay, and since when the alert waits."""
    (before,), (episode,) = _course(found).values(), _course(found).values()
    lighten((episode,), most)
    old, new = before.alert.history, episode.alert.history
    assert [step for step in new if step.who == "nurse"] == [step for step in old if step.who == "nurse"]

    def courses(steps: tuple[object, ...]) -> list[tuple[str, str]]:
        told = [(step.state, step.priority) for step in steps]  # type: ignore[attr-defined]
        return [each for number, each in enumerate(told) if number == 0 or told[number - 1] != each]

    assert courses(new) == courses(old)
