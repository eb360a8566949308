"""A clinic's rows in shadow: River's classes run, are kept exactly over restarts, are bounded,
and never ring.
"""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise
from math import nan
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.shadow import BEGIN, EXAMPLE, USUAL, Course, value_of

from rpm_stream.knowledge import KnowledgeError, examine, load, shipped
from rpm_stream.knowledge.checks import SHADOW_FRAME
from rpm_stream.knowledge.estimators import MODULES, Runnable, fault_of
from rpm_stream.knowledge.scoring import ShadowTable
from rpm_stream.pipeline.state_budget import StateBudget
from rpm_stream.records import Score
from rpm_stream.score.baseline.learned import Learned
from rpm_stream.score.baseline.learning import LiveDetectors, Paused
from rpm_stream.score.detectors.codec import StateError
from rpm_stream.score.detectors.entries import entries
from rpm_stream.score.detectors.protocol import Feature, Vector
from rpm_stream.score.detectors.relearned import Relearned
from rpm_stream.score.memory.state import ScoreState


def row(name: str = "", vitals: int = 1, **more: Any) -> ShadowTable:
    fields: dict[str, Any] = {
        "class": name,
        "inputs": list(USUAL)[:vitals],
        "threshold": 1.0,
        "keep": 12,
        "when": "reading" if vitals == 1 else "moment",
    }
    return msgspec.convert(fields | more, ShadowTable)


SCALED = [{"class": "river.preprocessing.StandardScaler"}]
ROWS = {
    "lof": row("river.anomaly.LocalOutlierFactor", 5, parameters={"n_neighbors": 5}),
    "forest": row(
        "river.anomaly.HalfSpaceTrees",
        3,
        parameters={
            "n_trees": 3,
            "height": 4,
            "window_size": 8,
            "seed": 1,
            "limits": {
                "heart_rate": [20, 250],
                "systolic": [40, 260],
                "oxygen_saturation": [50, 100],
            },
        },
    ),
    "scaled_svm": row(
        vitals=3,
        pipeline=[*SCALED, {"class": "river.anomaly.OneClassSVM", "parameters": {"nu": 0.2}}],
    ),
    "loda": row(
        vitals=3, pipeline=[*SCALED, {"class": "river.anomaly.LODA", "parameters": {"seed": 1}}]
    ),
    "gaussian_scorer": row("river.anomaly.GaussianScorer", parameters={"grace_period": 5}),
    "deviation": row(
        "river.anomaly.StandardAbsoluteDeviation",
        parameters={"sub_stat": {"class": "river.stats.EWMean"}},
    ),
    "adwin": row("river.drift.ADWIN", parameters={"clock": 1}),
    "page_hinkley": row("river.drift.PageHinkley", parameters={"threshold": 10.0}),
    "kswin": row(
        "river.drift.KSWIN", parameters={"window_size": 20, "stat_size": 8, "seed": 1}, keep=24
    ),
}
each = pytest.mark.parametrize("name", ROWS)


def features(of: ShadowTable) -> tuple[Feature, ...]:
    return tuple(Feature(vital=vital, resolution=1.0) for vital in of.inputs)


def fresh(name: str) -> Relearned:
    return Relearned(ROWS[name], name, features(ROWS[name]))


def restored(name: str, data: bytes) -> Relearned:
    return Relearned.restored(ROWS[name], name, features(ROWS[name]), data)


def draw(name: str, rng: random.Random) -> Vector:
    return {vital: rng.gauss(*USUAL[vital]) for vital in ROWS[name].inputs}


def score(detector: Relearned, x: Vector) -> float | None:
    try:
        return detector.score_one(x)
    except ValueError:
        return None


@each
def test_river_runs(name: str) -> None:
    """It can be made, scores without changing, and says the same after the same: what the check
    asks.
    """
    assert fault_of(ROWS[name]) is None


@each
@given(before=st.integers(0, 60), after=st.integers(0, 40), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_a_restart_at_any_point_is_no_restart(
    name: str, before: int, after: int, seed: int
) -> None:
    """The same scores bit by bit on whatever follows, and the same state."""
    rng = random.Random(seed)
    live = fresh(name)
    for _ in range(before):
        score(live, draw(name, rng))
        live.learn_one(draw(name, rng))
    other = restored(name, live.to_state())
    assert (other.to_state(), other.warm, other.count) == (live.to_state(), live.warm, live.count)
    for _ in range(after):
        x = draw(name, rng)
        assert score(live, x) == score(other, x)
        live.learn_one(x)
        other.learn_one(x)
    assert live.to_state() == other.to_state()


@each
def test_scoring_changes_nothing(name: str) -> None:
    """Also not River's object: what follows is the same as without it."""
    rng = random.Random(4)
    scored, silent = fresh(name), fresh(name)
    for _ in range(50):
        x = draw(name, rng)
        score(scored, draw(name, rng))
        assert score(scored, x) == score(silent, x)
        scored.learn_one(x)
        silent.learn_one(x)


@each
def test_the_state_is_bounded_and_checked(name: str) -> None:
    """However much was learned; damaged bytes and another row are one error."""
    rng = random.Random(2)
    detector, largest = fresh(name), 0
    for _ in range(200):
        detector.learn_one(draw(name, rng))
        largest = max(largest, len(detector.to_state()))
    assert largest <= ROWS[name].vectors_bytes + SHADOW_FRAME
    state = detector.to_state()
    for at in range(len(state)):
        with pytest.raises(StateError):
            restored(name, state[:at] + bytes((state[at] ^ 0x41,)) + state[at + 1 :])
        with pytest.raises(StateError):
            restored(name, state[:at])
    other = msgspec.structs.replace(ROWS[name], keep=ROWS[name].keep + 1)
    with pytest.raises(StateError):
        Relearned.restored(other, name, features(other), state)


@each
def test_unusable_numbers_change_nothing(name: str) -> None:
    """NaN poisons a running mean: it must not get in. An incomplete vector is not learned."""
    rng = random.Random(1)
    detector = fresh(name)
    for _ in range(20):
        detector.learn_one(draw(name, rng))
    before = detector.to_state()
    for bad in (nan, -1.0, 0.0, 1e12):
        x = draw(name, rng) | {ROWS[name].inputs[0]: bad}
        with pytest.raises(ValueError):
            detector.score_one(x)
        with pytest.raises(ValueError):
            detector.learn_one(x)
    detector.learn_one({})
    assert detector.score_one({}) == 0.0
    assert detector.to_state() == before


# --- what a clinic writes -------------------------------------------------------------------------

WRONG = {
    'class = "river.anomaly.Nothing"\ninputs = ["heart_rate"]': (
        "river.anomaly.Nothing: River has no such class"
    ),
    'class = "os.system"\ninputs = ["heart_rate"]': (
        "os.system: a class of River is named river.MODULE.CLASS"
    ),
    'class = "river.datasets.CreditCard"\ninputs = ["heart_rate"]': (
        "river.datasets.CreditCard: no such module"
    ),
    'class = "river.anomaly.base"\ninputs = ["heart_rate"]': "River has no such class",
    'class = "river.anomaly.LODA"\ninputs = ["heart_rate", "systolic"]': "give it a seed",
    'class = "river.anomaly.OneClassSVM"\nparameters = { no = 1 }\ninputs = ["systolic"]': (
        "unexpected keyword"
    ),
    'class = "river.preprocessing.StandardScaler"\ninputs = ["heart_rate"]': (
        "finds neither anomalies nor drift"
    ),
    'class = "river.drift.ADWIN"\ninputs = ["heart_rate", "systolic"]': (
        'takes one vital: say when = "reading"'
    ),
    'class = "river.drift.ADWIN"\nwhen = "reading"\ninputs = ["heart"]': "unknown vital heart",
    'class = "river.drift.ADWIN"\nwhen = "reading"\ninputs = ["heart_rate"]\nkeep = 4': (
        "keep is 10 to 1000"
    ),
    'class = "river.drift.ADWIN"\nwhen = "reading"\ninputs = ["heart_rate"]\nkeep = 999': (
        "has room for 4096"
    ),
    'class = "river.drift.ADWIN"\nwhen = "reading"\ninputs = ["heart_rate"]\nbudget_us = 10001': (
        "budget_us 1 to 10000"
    ),
    'class = "river.drift.ADWIN"\nwhen = "reading"\ninputs = ["heart_rate"]\n'
    "keep = 300\nbudget_us = 2000": ("keep times budget_us is at most 500000"),
    'class = "river.drift.ADWIN"\neach = true\nvitals = ["heart_rate"]': (
        'it is when = "reading" now'
    ),
    'inputs = ["heart_rate"]': "it has a class or a pipeline",
    'class = "river.drift.ADWIN"\nwhen = "reading"\ninputs = ["heart_rate"]\nwindow = 3': (
        "unknown field `window`"
    ),
    'class = "river.anomaly.PredictiveAnomalyDetection"\ninputs = ["heart_rate", "systolic"]': "",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_in_one_line(text: str, tmp_path: Path) -> None:
    """By ``knowledge check`` and at the start, with the row's name."""
    (tmp_path / "detectors.toml").write_text(
        f'[shadow.mine]\nsource = "trial"\nthreshold = 1.0\n{text}\n'
    )
    faults = examine(tmp_path)
    assert len(faults) == 1
    assert "shadow" in faults[0]
    assert WRONG[text] in faults[0]
    assert "\n" not in faults[0]
    with pytest.raises(KnowledgeError):
        load(tmp_path)


def test_every_detector_of_river_is_either_run_or_refused_with_a_reason() -> None:
    """Each class of river.anomaly and river.drift, with no parameters: no traceback, whatever it
    is.
    """
    for module in ("anomaly", "drift"):
        for name in dir(MODULES[module]):
            if name[0].isupper():
                fault = fault_of(row(f"river.{module}.{name}", 1))
                assert fault is None or (fault and "\n" not in fault), name


# --- the example in the docs ----------------------------------------------------------------------


def test_the_example_of_the_docs_runs_in_shadow() -> None:
    """Its three score, by their names; what the shipped detectors say and find is not changed by
    one byte.
    """
    with_shadow, without = Course(EXAMPLE), Course(None)
    with_shadow.run(480)
    without.run(480)
    names = set(load(EXAMPLE).detectors.shadow)
    assert {each.detector for each in with_shadow.scores} == {
        *names,
        "gaussian",
        "half_space_trees",
    }
    assert [each for each in with_shadow.scores if each.detector not in names] == without.scores
    assert with_shadow.findings == without.findings
    assert any(
        each.score >= (each.threshold or 0)
        for each in with_shadow.scores
        if each.detector == "shift"
    )
    assert {each.vital for each in with_shadow.scores if each.detector == "shift"} == {
        "heart_rate",
        "systolic",
    }


def test_the_example_goes_on_over_restarts() -> None:
    """A worker that takes over says what the other would have said."""
    straight, restarted = Course(EXAMPLE), Course(EXAMPLE)
    straight.run(300)
    restarted.run(300, restart_every=7)
    assert restarted.scores == straight.scores
    assert restarted.findings == straight.findings


def test_the_example_has_room() -> None:
    """Its states are within what is set aside for them in a patient's 48 KB."""
    course = Course(EXAMPLE)
    course.run(260)
    course.live.store(course.state)
    for entry in entries(load(EXAMPLE)):
        states = [
            state
            for key, state in course.state.detectors.items()
            if key.startswith(entry.prefix or "heart")
        ]
        assert states
        assert max(map(len, states)) <= entry.kind.state_bytes
    assert StateBudget(load(EXAMPLE))._most < StateBudget(shipped())._most


def test_runnable_is_made_anew_each_time() -> None:
    """Two detectors of one row share nothing."""
    first, second = Runnable(ROWS["deviation"]), Runnable(ROWS["deviation"])
    for _ in range(5):
        first.learn_one({"heart_rate": 70.0})
    assert second.score_one({"heart_rate": 70.0}) != first.score_one({"heart_rate": 70.0})


def test_a_row_that_is_gone_leaves_nothing() -> None:
    """Its states would pile up beyond the room that is set aside: a clinic may try one name
    after the other.
    """
    course = Course(EXAMPLE)
    course.run(60)
    course.live.store(course.state)
    assert any(key.startswith("shadow.") for key in course.state.detectors)
    course.learned, course.live = Learned(shipped()), LiveDetectors()
    course.run(1)
    kept = {
        *course.state.detectors,
        *course.state.learned_at,
        *course.state.emitted,
        *(course.state.scored_at or ()),
    }
    assert not [key for key in kept if key.startswith("shadow.")]
    assert "heart_rate" in kept


def test_a_row_that_is_off_keeps_its_state_and_says_nothing() -> None:
    """Another process may run it again, and then goes on where it was."""
    course = Course(EXAMPLE)
    course.run(60)
    course.live.store(course.state)
    before = {
        key: state for key, state in course.state.detectors.items() if key.startswith("shadow.")
    }
    knowledge = load(EXAMPLE)
    table = msgspec.structs.replace(knowledge.detectors, off=frozenset(knowledge.detectors.shadow))
    course.learned, course.live = (
        Learned(msgspec.structs.replace(knowledge, detectors=table)),
        LiveDetectors(),
    )
    course.scores.clear()
    course.run(20)
    course.live.store(course.state)
    assert {
        key: state for key, state in course.state.detectors.items() if key.startswith("shadow.")
    } == before
    assert not {each.detector for each in course.scores} & set(knowledge.detectors.shadow)


# --- what a row does follows from the readings and the tables alone -------------------------------


class Stream:
    """One patient with a heart rate, and a drift detector for it in shadow."""

    def __init__(self, budget_us: int) -> None:
        knowledge = load(EXAMPLE)
        table = msgspec.structs.replace(
            knowledge.detectors.shadow["shift"], budget_us=budget_us, keep=12
        )
        rows = msgspec.structs.replace(knowledge.detectors, shadow={"shift": table})
        self.rest = table.rest
        self.learned = Learned(msgspec.structs.replace(knowledge, detectors=rows))
        self.state, self.live = ScoreState(), LiveDetectors()
        self.scores: list[Score] = []

    def hear(self, seconds: int, late: bool = False) -> bool:
        """Judge a reading, and return whether the detector looked at it."""
        at = BEGIN + timedelta(seconds=seconds)
        heard = value_of("heart_rate", at, random.Random(seconds).gauss(72.0, 20.0))
        before = dict(self.state.scored_at or {})
        late_ids = {heard.id} if late else set()
        for found, _ in self.learned.instant(
            self.state, self.live, [heard], late_ids, Paused(since={})
        ):
            self.scores += [found] if found and found.detector == "shift" else []
        return self.state.scored_at != before

    def restart(self) -> None:
        """Store the state and continue from what was stored."""
        self.live.store(self.state)
        self.state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=ScoreState)
        self.live = LiveDetectors()


@given(
    gaps=st.lists(st.integers(0, 40), min_size=1, max_size=120),
    restarts=st.sets(st.integers(0, 119)),
    budget_us=st.sampled_from([1, 500, 1500]),
)
@settings(max_examples=40, deadline=None)
def test_a_row_rests_as_long_as_its_cost_declares(
    gaps: list[int], restarts: set[int], budget_us: int
) -> None:
    """The vectors that it takes are bounded by measured time, and a restart changes none."""
    straight, restarted = Stream(budget_us), Stream(budget_us)
    taken, seconds = [], 0
    for turn, gap in enumerate(gaps):
        seconds += gap
        looked = straight.hear(seconds)
        assert restarted.hear(seconds) == looked
        taken += [seconds] if looked else []
        if turn in restarts:
            restarted.restart()
    assert restarted.scores == straight.scores
    rest = straight.rest.total_seconds()
    assert all(later - earlier >= rest for earlier, later in pairwise(taken))
    assert len(taken) <= sum(gaps) / rest + 1
    if min(gaps) >= rest:
        assert len(taken) == len(gaps)


def test_a_late_reading_is_left_out() -> None:
    """A gateway that sends a day at once would otherwise have each second scored."""
    stream = Stream(500)
    assert stream.hear(1000)
    assert not any(stream.hear(seconds, late=True) for seconds in range(0, 900, 10))
    assert stream.hear(1010)
