"""Laws that every rule must meet. They run over the tables, so they hold for a new rule too."""

from __future__ import annotations

import re
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rule_examples import DAY, EXAMPLES, Patient, found, size_of
from support.source import MODULES, SOURCE, name_of

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.old_members import kind_and_key
from rpm_stream.pipeline.patient_codec import PATIENTS, pack_patient, unpack_patient
from rpm_stream.pipeline.patient_rules import PATIENT_RULES
from rpm_stream.pipeline.score_instant import NoRule
from rpm_stream.pipeline.state_envelope import seal, unseal
from rpm_stream.publish.feed.rows import rule_words
from rpm_stream.records import Direction, FindingKind, Key
from rpm_stream.score.memory.member_names import member_name
from rpm_stream.score.rules.protocol import Rule, share
from rpm_stream.score.rules.table import RULES

SHARED = share(shipped(), Registry())
ALL: tuple[Rule, ...] = (
    *(make(SHARED) for make in RULES),
    *(make(shipped(), SHARED.registry) for make in PATIENT_RULES),
)
KINDS = [rule.kind for rule in ALL]
FORGETTING = [rule.kind for rule in ALL if not rule.keeps]
# Kinds whose findings no reading ends, and why.
BY_A_PERSON = {
    "not_judged": "whether a person has looked at what was not judged is known by nobody else"
}
# these recover with one reading or entry, because they are not about a value
AT_ONCE = {"quality", "device", "silence", "setting"}
MOST_SCORE_BYTES = 16 * 1024  # of one or a few vitals; the bound of a state is 48 KB
TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
WORD = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=12)


def test_each_kind_has_one_rule_and_each_rule_an_example() -> None:
    assert sorted([*KINDS, NoRule.kind]) == sorted(get_args(FindingKind))
    assert EXAMPLES.keys() == set(KINDS)
    assert set(BY_A_PERSON) <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_finds(kind: FindingKind) -> None:
    """It finds something under the name that its kind and key make, in a group and with words.

    It finds nothing before there was a cause.
    """
    example = EXAMPLES[kind]
    before = Patient(example.entry)
    before.send(example.calm)
    assert not before.held(kind)
    patient, _ = found(kind)
    held = patient.held(kind)
    assert held
    assert all(name == member_name(member.kind, member.key) for name, member in held.items())


def test_one_file_makes_the_names_of_members() -> None:
    """Left out are ``limit:`` and ``device:``, with which a setting's key and a group begin too."""
    made = re.compile(r"""f["'](?:detector|rate|silence|settings):""")
    found = {name_of(path) for path in MODULES if made.search(path.read_text(encoding="utf-8"))}
    assert found == {"score/memory/member_names.py"}


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_words_and_a_source(kind: FindingKind) -> None:
    """Its words tell a person what it found without ids and dates, and what kind of rule it is.

    Its numbers have sources.
    """
    (rule,) = (rule for rule in ALL if rule.kind == kind)
    patient, _ = found(kind)
    for member in patient.held(kind).values():
        assert member.title and member.why
        assert not re.search(
            r"\d{4}-\d\d-\d\d|[0-9a-f]{8}-|\br-[a-z]", f"{member.title} {member.why}"
        )
        assert rule_words(member.rule) != rule_words("none of ours")
    assert rule.source
    for table in rule.source:
        assert "source =" in (SOURCE / "knowledge" / table).read_text(encoding="utf-8")
    assert rule.words and [each.words for each in ALL].count(rule.words) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_recovers(kind: FindingKind) -> None:
    """Values that are back for long enough end what it holds.

    So does a device that is well, or a setting that is corrected.
    """
    patient, _ = found(kind)
    held = patient.held(kind)
    assert left_of(patient, kind) == set(held)
    EXAMPLES[kind].mend(patient)
    first, *others = EXAMPLES[kind].well
    patient.send([first])
    assert kind in AT_ONCE or left_of(patient, kind) == set(held), (
        "one value that is back may be the odd one"
    )
    patient.send(others)
    assert left_of(patient, kind) & set(held) == (set(held) if kind in BY_A_PERSON else set())


def left_of(patient: Patient, kind: FindingKind) -> set[str]:
    """Return the members of a kind that have not recovered."""
    scoring, entry, state = (
        patient.judge.steps.scoring,
        patient.registry.patient("p"),
        patient.patient.state,
    )
    held = patient.held(kind).items()
    return {name for name, member in held if not scoring.recovered(state, entry, name, member)}


@pytest.mark.parametrize("kind", FORGETTING)
def test_it_forgets_what_was_taken_back(kind: FindingKind) -> None:
    """It holds nothing of it, and judges further values as if it had never come."""
    example = EXAMPLES[kind]
    assert example.again, "an example of a rule that forgets says what must not count any more"
    patient, wrong = found(kind)
    patient.take_back(wrong)
    never = Patient(example.entry)
    never.send(example.calm)
    assert not patient.held(kind)
    assert patient.patient.state.score.total in (None, never.patient.state.score.total)
    told = [
        said(alerts) for alerts in (patient.send(example.again)[1], never.send(example.again)[1])
    ]
    assert told[0] == told[1]
    counting, _ = found(kind)
    assert said(counting.send(example.again)[1]) != told[0] or counting.held(kind), (
        "the example shows nothing"
    )


def said(alerts: list[Any]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(alert.group, alert.priority, alert.title, alert.why) for alert in alerts]


@pytest.mark.parametrize("kind", [rule.kind for rule in ALL if rule.keeps])
def test_one_that_keeps_what_was_taken_back_says_why(kind: FindingKind) -> None:
    (rule,) = (rule for rule in ALL if rule.kind == kind)
    assert len(rule.keeps.split()) > 3
    assert type(rule).forget is Rule.forget and type(rule).renew is Rule.renew


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_bounded(kind: FindingKind) -> None:
    """However often it finds something, what it remembers stops growing after a while."""
    example = EXAMPLES[kind]
    patient = Patient(example.entry)
    course = (*example.calm[-60:], *example.wrong, *example.well)
    begin, sizes = min(minutes for minutes, _, _ in course), []
    span = max(minutes for minutes, _, _ in course) - begin + DAY
    for turn in range(120):
        patient.send(
            sorted(
                (minutes - begin + turn * span, vital, value) for minutes, vital, value in course
            )
        )
        if example.late is not EXAMPLES["not_judged"].late:
            example.late(patient)
        sizes.append(size_of(patient))
    assert max(sizes) < MOST_SCORE_BYTES
    assert max(sizes[60:]) <= max(sizes[:60]) * 1.05


# --- names: written at one edge, read in one file -------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_members_of_an_older_release_are_those_of_today(kind: FindingKind) -> None:
    """An older release wrote members by name alone.

    Such a state is read as one of today.
    """
    patient, _ = found(kind)
    pack_patient(patient.patient)
    body = msgspec.msgpack.decode(msgspec.msgpack.encode(patient.patient.state))
    for episode in body["episodes"].values():
        for member in episode["members"].values():
            assert member.pop("kind") in get_args(FindingKind)
            member.pop("key", None)
    old = seal(msgspec.msgpack.encode(body), b"0.26.1")
    state = unseal(old, frozenset({b"0.26.1"}), PATIENTS)
    assert state.episodes == patient.patient.state.episodes
    again = pack_patient(unpack_patient(pack_patient(patient.patient), "p"))
    assert unpack_patient(again, "p").state.episodes == state.episodes


KEYS: dict[FindingKind, st.SearchStrategy[Key]] = {
    "limit": st.builds(
        Key, vital=WORD, side=st.sampled_from(get_args(Direction)), what=st.just("") | TEXT
    ),
    "news2": st.just(Key()),
    "not_judged": st.just(Key()),
    "detector": st.just(Key(what="half_space_trees"))
    | st.builds(
        Key,
        vital=WORD.filter(lambda vital: vital != "half_space_trees"),
        what=st.sampled_from(("", "drift")),
    ),
    "trend": st.builds(Key, vital=WORD),
    "rate": st.builds(Key, vital=WORD),
    "predicted": st.builds(Key, vital=WORD),
    "silence": st.builds(Key, vital=WORD),
    "setting": st.builds(Key, what=TEXT),
    "device": st.builds(
        Key, what=st.sampled_from(("battery", "clock", "stuck")), of=WORD, device=TEXT
    ),
    "quality": st.builds(
        Key, what=st.sampled_from(("unit", "step", "disagreement")), of=WORD, device=TEXT
    )
    | st.builds(
        Key, what=st.just("clock"), of=WORD.map(lambda vital: f"resent.{vital}"), device=TEXT
    ),
}


@given(st.data(), st.sampled_from(KINDS))
def test_a_name_says_its_kind_and_key(data: st.DataObject, kind: FindingKind) -> None:
    """A name gives its kind and key.

    So what an older release kept under a name is what is kept under it today.
    """
    key = data.draw(KEYS[kind].filter(lambda key: key.what not in get_args(Direction)))
    assert kind_and_key(member_name(kind, key), key.side) == (kind, key)


@given(TEXT)
def test_a_name_that_no_release_has_written_is_held_until_a_person_ends_it(name: str) -> None:
    kind, key = kind_and_key(f"zaphod{name}", None)
    assert (kind, member_name(kind, key)) == ("unknown", "unknown")
    assert not NoRule().recovered(
        Patient({}).patient.state.score, SHARED.registry.patient("p"), name, None
    )  # type: ignore[arg-type]
