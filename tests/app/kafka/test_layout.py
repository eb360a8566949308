"""Topics that must have equally many partitions: what is said when they have not, and when
nothing is.
"""

from __future__ import annotations

import doctest

import pytest

from rpm_stream.app.kafka import layout
from rpm_stream.app.kafka.layout import ALL, ONE_IS_ENOUGH, STATES, TOGETHER, Together, disagreement
from rpm_stream.app.kafka.names import TOPICS

BROKER = "kafka:9092"
EQUAL = dict.fromkeys((*TOPICS, *STATES), 4)


def test_the_example_in_the_docstring_is_true() -> None:
    assert doctest.testmod(layout).failed == 0


def test_equal_counts_and_topics_that_do_not_exist_yet_are_well() -> None:
    assert disagreement(EQUAL, BROKER) is None
    assert disagreement({**EQUAL, **dict.fromkeys(STATES, 0)}, BROKER) is None


@pytest.mark.parametrize("each", TOGETHER, ids=lambda one: f"{one.first} {one.second}")
@pytest.mark.parametrize("grown", [True, False], ids=["the first", "the second"])
def test_each_pair_is_named_with_its_counts_and_the_command(each: Together, grown: bool) -> None:
    counts = {**EQUAL, each.first if grown else each.second: 6}
    said = disagreement(counts, BROKER, each.stages)
    assert said is not None
    assert "\n" not in said
    for part in (
        f"{each.first} has {counts[each.first]} partitions",
        f"{each.second} {counts[each.second]}: {each.why}",
        f"rpm-stream topics grow --partitions 6 --bootstrap {BROKER}",
    ):
        assert part in said


@pytest.mark.parametrize("each", TOGETHER, ids=lambda one: f"{one.first} {one.second}")
def test_a_stage_that_does_no_harm_is_not_stopped(each: Together) -> None:
    for stage in ALL - each.stages:
        others = [
            other
            for other in TOGETHER
            if stage in other.stages and each.second in (other.first, other.second)
        ]
        assert others or disagreement({**EQUAL, each.second: 6}, BROKER, frozenset({stage})) is None


def test_a_registry_of_one_partition_holds_every_key_there() -> None:
    for topic in ONE_IS_ENOUGH:
        assert disagreement({**EQUAL, topic: 1}, BROKER) is None
        assert disagreement({**EQUAL, topic: 2}, BROKER) is not None
