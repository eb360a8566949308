"""Corrections: readings that were wrong or another person's leave the record, the alerts and the
memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.corrections import correction
from support.frames import START
from support.readings import message_of, reading_at
from support.ward import after

from rpm_stream.knowledge import shipped
from rpm_stream.knowledge.registry import Registry
from rpm_stream.pipeline.holdings import MOST_READINGS, Correction, Holdings, adopted_id, as_message
from rpm_stream.pipeline.judge import Judge, Judged, Patient
from rpm_stream.pipeline.patient_codec import pack_patient, unpack_patient
from rpm_stream.publish.fhir.ids import observation_id, summary_id
from rpm_stream.publish.fhir.remaining import Remaining
from rpm_stream.publish.window_state import Bin
from rpm_stream.records import Action, Assignment, Origin, PatientEntry, Reading
from rpm_stream.score.memory.size import forget_evidence
from rpm_stream.score.rules.same_measurement import MOST

CORRECTED_AT = START + timedelta(hours=5)


def reading(minutes: float, value: str, vital: str = "heart_rate", **fields: Any) -> Reading:
    given = {
        "id": f"{vital}-{minutes}",
        "patient": "ada",
        "unit": "/min",
        "attributes": {"characteristic": "app"},
    }
    return reading_at(START + timedelta(minutes=minutes), vital, value, **(given | fields))


def readings_of(vital: str, unit: str, *values: tuple[float, str]) -> list[Reading]:
    """Readings of one vital, each as (minutes, value)."""
    return [reading(minutes, value, vital, unit=unit) for minutes, value in values]


def strap(minutes: float, value: str, **fields: Any) -> Reading:
    """A continuous one: published in summaries."""
    return reading(minutes, value, **{"attributes": {"characteristic": "2A37"}, **fields})


class Bench:
    """The judge of one patient; restarted from its sealed state before every input, if wanted."""

    def __init__(self, patient: str = "ada", restarts: bool = False) -> None:
        self.judge, self.patient, self.restarts = (
            Judge(shipped(), Registry()),
            unpack_patient(None, patient),
            restarts,
        )
        self.offset = 0
        self.records: dict[str, dict[str, Any]] = {}
        self.alerts: dict[str, Any] = {}

    def step(self, *readings: Reading) -> Judged:
        self.offset += 1
        message = message_of(
            *readings,
            patient=self.patient.state.patient,
            offset=self.offset,
            received_at=max(each.received_at for each in readings),
        )
        judged = self.judge.step(self._ready(), message)
        assert judged is not None
        return self._kept(judged)

    def act(self, action: Action) -> Judged:
        return self._kept(self.judge.act(self._ready(), action))

    def tick(self, at: datetime) -> Judged:
        return self._kept(self.judge.tick(self._ready(), at))

    @property
    def windows(self) -> list[Bin]:
        """The windows of heart rate that the judge keeps."""
        course = self.patient.windows.courses.get("heart_rate")
        return course.bins if course is not None else []

    def _ready(self) -> Patient:
        if self.restarts:
            self.patient = unpack_patient(pack_patient(self.patient), self.patient.state.patient)
        return self.patient

    def _kept(self, judged: Judged) -> Judged:
        for observation in judged.observations:
            self.records[observation.id] = msgspec.json.decode(observation.body)
        self.alerts.update((alert.id, alert) for alert in judged.alerts)
        return judged


def void(*wrong: Reading, at: datetime = CORRECTED_AT, **fields: Any) -> Action:
    given = {"patient": "ada", "reason": "her husband wore it"}
    return correction("void", wrong, at, **(given | fields))


def adopt(*found: Reading) -> Action:
    return correction("adopt", found, CORRECTED_AT, patient="ben", reason="")


def test_single_observations_become_entered_in_error_with_the_same_content() -> None:
    bench, wrong = Bench(), reading(0, "71.50")
    bench.step(wrong)
    before = bench.records[observation_id(wrong.id)]
    bench.act(void(wrong))
    assert bench.records == {observation_id(wrong.id): {**before, "status": "entered-in-error"}}


def test_a_pressure_is_taken_back_as_the_panel_that_it_was() -> None:
    bench = Bench()
    cuff = [
        reading(0, value, vital, unit="mm[Hg]")
        for vital, value in (("systolic", "120"), ("diastolic", "80"))
    ]
    bench.step(*cuff)
    bench.act(void(*cuff))
    assert [record["status"] for record in bench.records.values()] == ["entered-in-error"]


def test_a_kept_summary_is_written_again_without_the_wrong_values_and_an_old_one_is_in_error() -> (
    None
):
    bench = Bench()
    right, wrong = (
        [strap(each, "70") for each in range(300, 305)],
        [strap(each, "90") for each in range(305, 310)],
    )
    old = [strap(each, "95") for each in range(5)]
    bench.step(*old)
    for hour in range(4):  # push the first window out of the state
        for quarter in range(4):
            bench.step(strap(30 + hour * 60 + quarter * 15, "70"))
    bench.step(*right, *wrong)
    bench.step(strap(325, "70"))
    first, last = (
        summary_id("ada", "heart_rate", START + timedelta(minutes=each)) for each in (0, 300)
    )
    assert (
        bench.records[last]["component"][0]["valueInteger"],
        bench.records[first]["status"],
    ) == (10, "final")
    bench.act(void(*wrong, *old))
    assert bench.records[last]["status"] == "final"
    assert bench.records[last]["component"][0]["valueInteger"] == 5
    assert bench.records[last]["component"][2]["valueQuantity"]["value"] == 70
    assert bench.records[first]["status"] == "entered-in-error"
    # what was never published singly is not taken back so
    assert observation_id(wrong[0].id) not in bench.records
    bench.act(void(*right))
    assert bench.records[last]["status"] == "entered-in-error"


def test_a_summed_reading_that_was_shown_singly_is_taken_back_singly_too() -> None:
    bench, wrong = Bench(), strap(0, "180")
    bench.step(wrong)  # evidence of an alert
    assert bench.records[observation_id(wrong.id)]["status"] == "final"
    bench.act(void(wrong))
    assert bench.records[observation_id(wrong.id)]["status"] == "entered-in-error"
    bench.step(strap(20, "70"))
    bench.act(void(strap(20, "70"), shown=(strap(20, "70").id,)))
    assert bench.records[observation_id(strap(20, "70").id)]["status"] == "entered-in-error"


def test_an_alert_that_rests_on_wrong_readings_alone_is_withdrawn_with_the_reason() -> None:
    bench, wrong = Bench(), [reading(0, "140"), reading(5, "142")]
    for each in wrong:
        bench.step(each)
    (alert,) = bench.alerts.values()
    assert (alert.priority, alert.state) == ("high", "open")
    bench.act(void(*wrong))
    (alert,) = bench.alerts.values()
    assert (alert.state, alert.history[-1].who) == ("resolved", "nurse")
    assert (alert.history[-1].event, alert.history[-1].reason) == (
        "withdrawn",
        "her husband wore it",
    )
    assert not bench.patient.state.score.latest
    bench.step(reading(400, "141"))
    # not twice in a row
    assert [each.priority for each in bench.alerts.values() if each.state == "open"] == ["medium"]


def test_an_alert_that_rests_on_right_readings_too_stays_and_says_so() -> None:
    """Law 3: only a person can tell what is left of a red one; batch by batch, the last wrong
    one ends it.
    """
    bench, both = Bench(), [reading(0, "140"), reading(5, "142")]
    for each in both:
        bench.step(each)
    bench.act(void(both[0]))
    (alert,) = bench.alerts.values()
    assert (alert.state, alert.priority, alert.evidence) == ("open", "high", ("heart_rate-5",))
    assert (alert.history[-1].event, alert.history[-1].reason) == (
        "corrected",
        "her husband wore it",
    )
    assert "140" not in str((alert.title, alert.why, alert.now))
    bench.act(void(both[1]))
    (alert,) = bench.alerts.values()
    assert alert.state == "resolved"


@pytest.mark.parametrize(("newest", "state"), [("226", "open"), ("80", "resolved")])
@pytest.mark.parametrize("sent_as", [reading, strap])
def test_an_alert_that_a_right_reading_confirms_now_is_not_withdrawn(
    sent_as: Any, newest: str, state: str
) -> None:
    """Only the first reading is listed as evidence of a rule, and what confirms it was taken off
    the feed with it.
    """
    bench = Bench()
    wrong, right = sent_as(0, "225"), sent_as(30, newest)
    bench.step(wrong)
    bench.step(right)
    *_, alert = bench.act(void(wrong)).alerts  # before it: nobody has acknowledged it
    assert (alert.priority, alert.state) == ("high", state)
    assert alert.history[-1].event == ("corrected" if state == "open" else "withdrawn")
    if state == "open":
        assert alert.evidence == (right.id,)
        assert observation_id(right.id) in bench.records


def test_an_alert_stays_where_right_values_are_beyond_of_which_only_the_time_is_kept() -> None:
    """Law 3:

    a full state (pipeline/state_budget.py) forgets the readings of its runs, and no red one is
    hidden for it.
    """
    bench, wrong = Bench(), [reading(0, "140"), reading(5, "140")]
    for each in (*wrong, *(reading(minutes, "140") for minutes in (10, 15, 20, 25))):
        bench.step(each)
    forget_evidence(bench.patient.state.score, ["heart_rate"], 0)
    (alert,) = bench.act(void(*wrong, at=START + timedelta(minutes=26))).alerts
    assert (alert.priority, alert.state, alert.history[-1].event) == ("high", "open", "corrected")
    assert set(alert.evidence).isdisjoint(each.id for each in wrong)
    bench.step(reading(30, "80"))
    (*_, ended) = bench.step(reading(45, "80")).alerts
    assert (ended.state, ended.over) == ("open", True)


def test_a_right_reading_between_wrong_ones_keeps_its_alert() -> None:
    """Law 3: what one device said wrongly takes back nothing that another one said in the same
    time.
    """
    first, right, last = readings_of("glucose", "mg/dL", (0, "45"), (5, "50"), (10, "45"))
    for wrong in ((first, last), (last, first)):
        bench = Bench()
        for each in (first, right, last):
            bench.step(each)
        bench.act(void(*wrong))
        (alert,) = bench.alerts.values()
        assert (alert.state, alert.priority) == ("open", "high")
        assert set(alert.evidence) <= {right.id}


def test_a_right_saturation_between_wrong_ones_counts_in_news2_and_is_not_over() -> None:
    bench = Bench(restarts=True)
    low, right, calm = readings_of("oxygen_saturation", "%", (0, "97"), (5, "90"), (10, "97"))
    for each in (low, right, calm):
        bench.step(each)
    (alert,) = bench.act(void(low, calm, at=after(12))).alerts
    assert not alert.historical
    (*_, alert) = bench.step(reading(15, "26", "respiratory_rate"), reading(15, "115")).alerts
    assert alert.title == "NEWS2 at least 8"


def test_readings_taken_back_in_two_actions_leave_nothing() -> None:
    """`registry correct` sends at most 250 a time; what is left after the first part goes with
    the second.
    """
    bench = Bench(restarts=True)
    wrong = [strap(second / 60, "140", id=f"w{second}") for second in range(MOST_READINGS + 50)]
    for start in range(0, len(wrong), 50):
        bench.step(*wrong[start : start + 50])
    bench.act(void(*wrong[:MOST_READINGS]))
    bench.act(void(*wrong[MOST_READINGS:]))
    assert [alert.state for alert in bench.alerts.values()] == ["resolved"]
    assert not bench.patient.state.score.histories["heart_rate"].segments


@pytest.mark.parametrize(
    "fields", [{"flags": ("demo",)}, {"value": None, "absent": "not-a-number"}]
)
def test_what_was_never_judged_takes_no_right_reading_with_it(fields: dict[str, Any]) -> None:
    """Law 3: it is in no history, so nothing of its time is its own."""
    bench = Bench(restarts=True)
    wrong = msgspec.structs.replace(reading(0, "150", id="w", device="e"), **fields)
    bench.step(reading(0, "135"), wrong)
    bench.act(void(wrong, at=after(1)))
    (*_, alert) = bench.step(reading(2, "135")).alerts
    assert alert.priority == "high"


def test_an_alert_of_which_the_newest_value_is_taken_back_tells_the_one_before() -> None:
    """88 and 87 are hers, 60 was another's: nothing of the 60 is left, and 87 is what is so now."""
    bench = Bench(restarts=True)
    first, second, wrong = readings_of("oxygen_saturation", "%", (0, "88"), (5, "87"), (20, "60"))
    for each in (first, second, wrong):
        bench.step(each)
    (alert,) = bench.act(void(wrong, at=after(25))).alerts
    assert (alert.title, alert.state, alert.priority) == ("Oxygen saturation low", "open", "high")
    assert alert.why[0].startswith("oxygen saturation 87 %")
    assert alert.evidence == (second.id, first.id)
    assert [entry.newest.value for entry in alert.now] == ["87"]


SOME = {
    "heart_rate": ("90", "145", "/min"),
    "respiratory_rate": ("16", "26", "/min"),
    "glucose": ("110", "45", "mg/dL"),
    "oxygen_saturation": ("97", "84", "%"),
    "systolic": ("130", "85", "mm[Hg]"),
}
TOLD = st.tuples(
    st.sampled_from(sorted(SOME)),
    st.booleans(),
    st.sampled_from(["d", "e"]),
    st.sampled_from([0, 2, 11]),
)
COURSE = st.lists(st.tuples(st.lists(TOLD, max_size=3), st.integers(0, 3)), min_size=4, max_size=16)


@settings(max_examples=100)
@given(COURSE, st.sampled_from([1, 2]))
def test_no_record_names_what_was_taken_back(
    course: list[tuple[list[tuple[str, bool, str, int]], int]], scale: Literal[1, 2]
) -> None:
    """Whatever is taken back, in whatever parts: no alert rests on it again, and its Observation
    stays in error.
    """
    bench, known, gone = Bench(), list[Reading](), set[str]()
    bench.judge.registry.put(PatientEntry(patient="ada", oxygen_scale=scale))
    for place, (told, most) in enumerate(course):
        minute = place * 7
        made = [
            reading(
                minute - late,
                SOME[vital][is_red],
                vital,
                id=f"{place}-{number}",
                unit=SOME[vital][2],
                device=device,
            )
            for number, (vital, is_red, device, late) in enumerate(told)
        ]
        if made:
            judged = bench.step(*made)
            known += made
        else:
            wrong = [each for each in known if each.device == "d" and each.id not in gone][
                : most or None
            ]
            judged = bench.act(
                void(*wrong, shown=tuple(each.id for each in wrong), at=after(minute))
            )
            gone |= {each.id for each in wrong}
        for alert in judged.alerts[-1:]:
            assert alert.state == "resolved" or gone.isdisjoint(alert.evidence)
        for identity in {observation_id(each) for each in gone} & bench.records.keys():
            assert bench.records[identity]["status"] == "entered-in-error"


def test_another_wearers_readings_end_no_silence() -> None:
    """The last reading was of somebody else: the vital is expected, and not heard, as before."""
    bench = Bench()
    bench.judge.registry.put(
        PatientEntry(patient="ada", expected_every={"heart_rate": 60, "glucose": 60})
    )
    right, wrong = reading(0, "110", "glucose", unit="mg/dL"), reading(1, "80")
    bench.step(right, wrong)
    (*_, opened) = bench.tick(after(90)).alerts
    bench.judge.registry.put(PatientEntry(patient="ada", expected_every={"heart_rate": 60}))
    bench.act(void(wrong, at=after(92)))
    bench.tick(after(93))
    assert bench.alerts[opened.id].state == "open"


def test_what_was_taken_back_among_right_red_ones_ends_no_alert_early() -> None:
    """Law 3: of the time in which readings were taken back nobody knows: it was no time inside."""
    bench, wrong = Bench(restarts=True), [reading(8, "90", id="w1"), reading(27, "90", id="w2")]
    for minutes, value in (
        (0, "80"),
        (5, "80"),
        (10, "135"),
        (15, "135"),
        (20, "135"),
        (25, "135"),
    ):
        bench.step(reading(minutes, value))
    for each in wrong:
        bench.step(each)
    bench.act(void(*wrong, at=START + timedelta(minutes=29)))
    bench.step(reading(30, "80"))
    assert [(alert.state, alert.priority) for alert in bench.alerts.values()] == [("open", "high")]
    bench.step(reading(39, "80"))
    assert [alert.over for alert in bench.alerts.values()] == [False]
    bench.step(reading(40, "80"))
    assert [alert.over for alert in bench.alerts.values()] == [True]


def test_another_persons_calm_ends_no_news2_alert() -> None:
    """Law 3: the time that a score has been calm begins anew when some of what it rests on is
    taken back.
    """
    bench = Bench()
    units = {
        "heart_rate": "/min",
        "respiratory_rate": "/min",
        "oxygen_saturation": "%",
        "systolic": "mm[Hg]",
        "body_temperature": "Cel",
    }
    # a point each: no limit is broken
    bad = dict(zip(units, ("95", "10", "95", "105", "38.5"), strict=True))
    good = dict(zip(units, ("70", "15", "98", "120", "37.0"), strict=True))

    def measured(minutes: float, values: dict[str, str], who: str) -> list[Reading]:
        return [
            reading(minutes, value, vital, unit=units[vital], id=f"{who}{vital}{minutes}")
            for vital, value in values.items()
        ]

    bench.step(*measured(0, bad, "right"))
    assert [(alert.rule.split("@")[0], alert.state) for alert in bench.alerts.values()] == [
        ("news2", "open")
    ]
    wrong = measured(5, good, "wrong")
    bench.step(*wrong)
    bench.act(void(*wrong, at=START + timedelta(minutes=14)))
    bench.step(*measured(16, good, "right"))
    # an hour after what was taken back, and not after what was right
    bench.step(*measured(70, good, "right"))
    assert [alert.state for alert in bench.alerts.values()] == ["open"]
    bench.step(*measured(77, good, "right"))
    assert [alert.state for alert in bench.alerts.values()] == ["resolved"]


def test_what_is_another_patients_cannot_be_taken_back_here() -> None:
    bench, kept = Bench(), reading(0, "70")
    bench.step(kept)
    assert bench.act(void(msgspec.structs.replace(kept, patient="eve"))) == Judged()


def test_the_right_patient_gets_them_as_late_readings_under_ids_of_their_own() -> None:
    bench, wrong = Bench("ben"), [reading(0, "140"), reading(5, "142")]
    bench.step(reading(60, "70", patient="ben"))
    bench.act(adopt(*wrong))
    assert {adopted_id(each.id, "ben") for each in wrong} <= {
        identifier["value"].removeprefix("urn:uuid:")
        for record in bench.records.values()
        for identifier in record["identifier"]
    }
    assert {record["subject"]["reference"] for record in bench.records.values()} == {"Patient/ben"}
    (alert,) = bench.alerts.values()
    assert (alert.patient, alert.historical) == ("ben", True)


def test_a_correction_that_fails_is_told_and_leaves_the_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench("ben", restarts=True)
    bench.step(reading(60, "70", patient="ben"))

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(bench.judge.steps.moments, "instant", broken)
    judged = bench.act(adopt(reading(0, "140")))
    assert [reject.reason for reject in judged.rejects] == ["internal_error"]
    assert [alert.group for alert in judged.alerts] == ["device:not_judged"]


VALUES = st.sampled_from(["70", "71", "95", "115", "140"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["step", "void", "adopt"]), VALUES, st.booleans()), max_size=14
)


@settings(max_examples=60)
@given(STEPS)
def test_a_restart_before_every_input_changes_nothing(steps: list[tuple[str, str, bool]]) -> None:
    """CONTRACT 4 a, for corrections."""
    straight, restarted = Bench(), Bench(restarts=True)
    known: list[Reading] = []
    for minutes, (what, value, continuous) in enumerate(steps):
        made = (strap if continuous else reading)(minutes * 4, value)
        at = START + timedelta(minutes=minutes * 4)
        outputs = []
        for bench in (straight, restarted):
            if what == "step":
                outputs.append(bench.step(made))
            elif what == "void":
                outputs.append(bench.act(void(*known[-3:], at=at)))
            else:
                outputs.append(
                    bench.act(msgspec.structs.replace(adopt(made), patient="ada", at=at))
                )
        assert outputs[0] == outputs[1]
        known = known[:-3] if what == "void" else [*known, made] if what == "step" else known
    assert pack_patient(straight.patient) == pack_patient(restarted.patient)


def corrected(
    holdings: Holdings,
    order: Correction,
    readings: list[Reading],
    acted: Sequence[Action] = (),
    shown: Sequence[str] = (),
) -> list[Action]:
    """The actions of ``order`` as the tool makes them of the topics: ``holdings`` has read them
    once already.
    """
    remaining = Remaining(holdings.wrong(order.patient), holdings.voided, shipped())
    remaining.add(readings)
    for action in acted:
        if action.action == "adopt":
            remaining.add(as_message(action, action.patient).readings)
    return holdings.corrections(order, shown, remaining)


def test_a_correction_does_only_what_is_left_however_often_it_was_interrupted() -> None:
    """Adopted first, then taken back: whatever part was sent, the rest completes it, and then it
    is empty.
    """
    readings = [reading(minute / 10, "70") for minute in range(MOST_READINGS + 20)]
    span, order = (
        Assignment(patient="ben"),
        Correction(patient="ben", who="n", at=CORRECTED_AT, reason="r"),
    )

    def holding(done: list[Action]) -> Holdings:
        holdings = Holdings("d", span)
        for action in reversed(done):
            holdings.act(action)
        holdings.add(
            [*readings, *readings, msgspec.structs.replace(readings[0], id="x", device="other")]
        )
        return holdings

    whole = corrected(holding([]), order, readings, shown=[readings[1].id])
    assert [(each.action, len(each.readings)) for each in whole] == [
        ("adopt", MOST_READINGS),
        ("void", MOST_READINGS),
        ("adopt", 20),
        ("void", 20),
    ]
    assert whole[1].shown == (readings[1].id,)
    for sent in range(len(whole) + 1):
        rest = corrected(holding(whole[:sent]), order, readings)
        assert [each.action for each in rest] == [each.action for each in whole[sent:]]
    # and back again: what was adopted is taken back, the first patient gets it under new ids
    back = corrected(holding(whole), msgspec.structs.replace(order, patient="ada"), readings)
    assert {(each.patient, each.action) for each in back} == {("ada", "adopt"), ("ben", "void")}
    assert holding([*whole, *back]).wrong("ada") == []


def test_nobodys_readings_are_only_taken_back_and_only_those_of_the_time_and_slot() -> None:
    window = Assignment(patient="-", from_=START, until=START + timedelta(minutes=10), user=1)
    holdings = Holdings("d", window)
    holdings.add([reading(each, "70", attributes={"user_id": each % 2}) for each in range(12)])
    order = Correction(patient=None, who="n", at=CORRECTED_AT, reason="r")
    (action,) = corrected(holdings, order, [])
    assert (action.action, [each.id for each in action.readings]) == (
        "void",
        [f"heart_rate-{each}" for each in (1, 3, 5, 7, 9)],
    )


# --- windows that the judge keeps no more ---------------------------------------------------------

QUARTERS = [START + timedelta(minutes=15 * quarter) for quarter in range(4)]
# What tells of one measurement lies in one window, and each is the same as every other: else it
# matters which came first. It came by two ways at most: by three, one that was taken back may leave
# a count of one too many. And there are no more readings than measurements are known
# (score/rules/same_measurement.py).
MINUTES = st.builds(
    lambda place, after: 2 * place + after, st.integers(0, 29), st.sampled_from([0.0, 0.4])
)
WORN = st.lists(
    st.tuples(
        MINUTES,
        st.sampled_from(["70", "71", "72.5", "80"]),
        st.sampled_from(["d", "own", "loan", "voided"]),
    ),
    max_size=MOST,
    unique_by=lambda each: (each[0] // 2, each[2]),
).filter(lambda worn: max(Counter(at // 2 for at, *_ in worn).values(), default=0) <= 2)
OTHERS_CAME_TWICE = [(0.0, "70", "d"), (0.0, "70", "own"), (1.0, "70", "voided")]
MORE_THAN_ARE_KEPT_WHOLE = [
    *((0.0, "70", device) for device in ("d", "own", "loan", "voided")),
    (0.5, "70", "d"),
    (0.5, "70", "loan"),
]


def counted(summary: dict[str, Any]) -> list[Any]:
    """What a summary says of its values."""
    return [summary["status"], summary["valueQuantity"], summary["component"]]


def judged(
    topic: list[Reading], before: list[Action], later: list[Reading], restarts: bool = False
) -> Bench:
    bench = Bench(restarts=restarts)
    for each in topic:
        bench.step(each)
    for action in before:
        bench.act(action)
    for each in later:
        bench.step(each)
    return bench


@settings(max_examples=60)
@given(WORN, st.integers(0, 45), st.integers(10, 60), st.integers(0, 12), st.booleans())
@example(OTHERS_CAME_TWICE, 0, 10, 0, False)
@example(MORE_THAN_ARE_KEPT_WHOLE, 0, 10, 0, False)
def test_each_summary_says_what_it_would_have_said_if_the_wrong_readings_had_never_come(
    worn: list[tuple[float, str, str]], begin: int, span: int, pushed: int, restarts: bool
) -> None:
    """Old windows and kept ones in one action; two devices, halves of windows, adopted and
    voided readings; twice.
    """
    made = [
        strap(at, value, id=f"r{place}", device=device)
        for place, (at, value, device) in enumerate(worn)
    ]
    topic = [each for each in made if each.device != "loan"]
    gone = [each for each in made if each.device == "voided"]
    lent = [msgspec.structs.replace(each, patient="eve") for each in made if each.device == "loan"]
    before = [msgspec.structs.replace(adopt(*lent), patient="ada", at=START)] if lent else []
    before += [void(*gone, at=START)] if gone else []
    later = [strap(120 + 15 * quarter, "75", device="own") for quarter in range(pushed)]
    from_ = START + timedelta(minutes=begin)
    holdings = Holdings(
        "d", Assignment(patient="ben", from_=from_, until=from_ + timedelta(minutes=span))
    )
    holdings.add(topic)
    for action in before:
        holdings.act(action)
    order, wrong = (
        Correction(patient="ben", who="n", at=CORRECTED_AT, reason="r"),
        holdings.wrong("ben"),
    )
    actions = [
        each for each in corrected(holdings, order, topic * 2, before) if each.action == "void"
    ]

    bench = judged(topic, before, later, restarts)
    kept = {datetime.fromtimestamp(window.start, UTC) for window in bench.windows}
    for action in actions:
        bench.act(action)
        if kept.isdisjoint(QUARTERS):  # of a kept window the judge counts values, and knows no ids
            assert bench.act(action).observations == bench.act(action).observations
    bench.tick(START + timedelta(days=1))
    never = judged([each for each in topic if each not in wrong], before, later)
    never.tick(START + timedelta(days=1))
    for start in QUARTERS:
        name = summary_id("ada", "heart_rate", start)
        found, expected = bench.records.get(name), never.records.get(name)
        if (
            found is None
            or expected is None
            or "entered-in-error" in (found["status"], expected["status"])
        ):
            assert {each["status"] for each in (found, expected) if each is not None} <= {
                "entered-in-error"
            }
        else:
            assert counted(found) == counted(expected)
            # a window out of which the judge takes values keeps its device
            if start not in kept and not gone:
                assert found == expected


def test_an_old_window_stays_whole_when_its_correction_was_cut_in_the_middle() -> None:
    """More wrong readings in one window than an action takes: each action says the same of what
    is left.
    """
    wrong = [strap(place / 30, "90") for place in range(MOST_READINGS + 20)]
    right = [strap(place / 30 + 0.01, "70", device="own") for place in range(60)]
    holdings = Holdings("d", Assignment(patient="ben"))
    holdings.add(wrong)
    order = Correction(patient=None, who="n", at=CORRECTED_AT, reason="r")
    bench = judged([*wrong, *right], [], [strap(60 + 15 * quarter, "75") for quarter in range(12)])
    first, second = corrected(holdings, order, [*wrong, *right])
    assert (len(first.readings), len(second.readings)) == (MOST_READINGS, 20)
    name = summary_id("ada", "heart_rate", START)
    for action in (first, second):
        bench.act(action)
        assert counted(bench.records[name])[2][0]["valueInteger"] == 60
    holdings.act(first)
    assert corrected(holdings, order, [*wrong, *right]) == [second]


@pytest.mark.parametrize("restarts", [False, True])
def test_of_two_ways_one_stands_in_for_the_other_in_summaries_of_any_kind(restarts: bool) -> None:
    """An hour by strap and by app, second for second: whichever is taken back, the other counts
    as much.
    """
    ways = {
        device: [
            strap(
                minute,
                "70",
                device=device,
                id=f"{device}-{minute}",
                origin=Origin(frame=device, index=minute, part=0),
            )
            for minute in range(45)
        ]
        for device in ("d", "app")
    }
    for device in ways:
        bench = Bench(restarts=restarts)
        for pair in zip(*ways.values(), strict=True):
            for each in pair:
                bench.step(each)
        bench.tick(START + timedelta(hours=2))
        assert [record["component"][0]["valueInteger"] for record in bench.records.values()] == [
            15,
            15,
            15,
        ]
        bench.act(void(*ways[device]))
        assert [window.counts for window in bench.windows] == [{"70": 15}] * 3
        bench.act(void(*ways["app" if device == "d" else "d"]))
        assert {record["status"] for record in bench.records.values()} == {"entered-in-error"}
