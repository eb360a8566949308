"""What must hold of the tables: every fault is named with file, key and reason, and every number
has its source.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rpm_stream.knowledge import KnowledgeError, examine, load, shipped
from rpm_stream.knowledge.checks import CATEGORIES
from rpm_stream.knowledge.sources import unsourced

LIMIT = (
    'vital = "{vital}"\nunit = "{unit}"\nabove = "3"\nrecover = "3"\nfirst = "low"\nsource = "x"\n'
)
PULSE = '[pulse]\nvitals = ["heart_rate"]\nunit = "/min"\nstep = "1"\nrows = '
ROW = (
    'vitals = ["{}"]\nunit = "/min"\nstep = "1"\nrows = [["8", "red"], ["", "normal"]]\nrecover ='
    ' {{ low = "{}" }}\n'
)
AGE = '[[age]]\nwords = "x"\nfrom_months = 0\n'
LINE = 'unit = "/min"\nstep = "1"\n'
AVERAGE = """
[[average]]
vital = "weight"
fast_days = 3
fast_least_days = 2
slow_days = 20
slow_least_days = 7
least = "1"
spreads = "2"
source = "x"
"""
CHANCE = """
[[chance]]
name = "low"
below = "70"
minutes = 30
asked_below = "180"
least = 0.2
withdraw = 0.3
odds = {}
source = "x"
"""
VITAL = """
[mood]
display = "Mood"
plain = "mood"
loinc = [["8876-4", "Mood"]]
units = ["1"]
reject = {}
query = {}
group = "x"
publish = "none"
category = "humour"
resolution = "1"
source = "x"
"""
MANY_MOODS = "".join(VITAL.replace("mood]", f"mood{number}]") for number in range(30))
PERSONAL = """
[personal]
detector = "gaussian"
when = "reading"
inputs = {vitals}
sustained_count = 3
sustained_minutes = 10
source = "x"
"""
COMBINED = """
[combined]
detector = "half_space_trees"
when = "moment"
inputs = {vitals}
sustained_count = 3
sustained_minutes = 10
fresh_for_minutes = 720
learn_for_hours = 72
source = "x"
"""
SEVENTEEN = sorted(shipped().vitals)[:17]


def test_the_shipped_tables_are_good_and_every_number_has_its_source() -> None:
    assert examine() == ()


def horizon(ends: str) -> str:
    return f'[[horizon]]\nminutes = 30\n{ends}\nchange = {{}}\nerror = {{}}\nsource = "x"\n'


@pytest.mark.parametrize(
    ("table", "text", "said"),
    [
        (
            "limits",
            f"[[limit]]\n{LIMIT.format(vital='moods', unit='kg')}",
            "limits.toml: limit 1: unknown vital moods",
        ),
        (
            "limits",
            f"[[limit]]\n{LIMIT.format(vital='weight', unit='%')}",
            "limit 1: weight has no unit %",
        ),
        ("limits", "[[limit]]\nvital = 3\n", "limits.toml: Expected `str`, got `int`"),
        (
            "vitals",
            '[mood]\ndisplay = "x"\n',
            "vitals.toml: mood: Object missing required field `source`",
        ),
        ("vitals", VITAL, "vitals.toml: mood.category: humour is none of FHIR's"),
        ("vitals", VITAL, "vitals.toml: mood.loinc: 8876-4 is no LOINC code"),
        (
            "news2",
            f'[pulse]\nvitals = ["puls"]\n{LINE}rows = [["", 0]]\n',
            "pulse: unknown vital puls",
        ),
        (
            "news2",
            f'[pulse]\nvitals = ["heart_rate"]\n{LINE}rows = [["9", 1], ["8", 0], ["", 2]]\n',
            "news2.toml: pulse: rows ascend",
        ),
        (
            "news2",
            f'{PULSE}[["40", 3], ["90", 0], ["", 1]]\n',
            "news2.toml: pulse: no recover.low of scale 1",
        ),
        (
            "news2",
            f'{PULSE}[["40", 3], ["90", 0], ["", 1]]\nrecover = {{ low = "40" }}\n',
            "news2.toml: pulse: recover.low of scale 1 lies in a band",
        ),
        ("news2", f'{PULSE}[["40", 3], ["", 1]]\n', "pulse: no row of 0 points"),
        (
            "limits",
            '[step.moods]\nunit = "kg"\nlow = "1"\nhigh = "1"\n',
            "limits.toml: step.moods: unknown vital",
        ),
        (
            "limits",
            '[step.weight]\nunit = "g"\nlow = "1"\nhigh = "1"\n',
            "step.weight: a step is a difference in the",
        ),
        (
            "limits",
            '[step.weight]\nunit = "kg"\nlow = "0"\nhigh = "1"\n',
            "step.weight: a step is more than nothing",
        ),
        (
            "maternity",
            f"[[line]]\n{ROW.format('puls', 9)}",
            "maternity.toml: puls: unknown vital puls",
        ),
        (
            "maternity",
            f"[[line]]\n{ROW.format('weight', 9)}",
            "weight: there is no unit /min of it",
        ),
        (
            "maternity",
            f"[[line]]\n{ROW.format('heart_rate', 8)}",
            "heart_rate: a recovery lies in a band",
        ),
        (
            "child",
            f"{AGE}below_months = 12\n[[age.line]]\n{ROW.format('heart_rate', 9)}",
            "child.toml: age:",
        ),
        (
            "limits",
            '[beyond_query]\nfirst = "high"\nvitals = ["moods"]\n',
            "beyond_query.vitals: unknown vital moods",
        ),
        (
            "limits",
            '[beyond_query]\nfirst = "high"\nvitals = []\n',
            "glucose has limits and a query bound",
        ),
        ("glucose_forecast", 'vital = "moods"\n', "glucose_forecast.toml: unknown vital moods"),
        (
            "glucose_forecast",
            horizon("lower = -2.0\nupper = -1.0"),
            "glucose_forecast.toml: horizon: there are 2, the nearest first",
        ),
        (
            "glucose_forecast",
            horizon("lower = -2.0\nupper = -1.0"),
            "horizon 30: the value lies between lower and upper",
        ),
        (
            "glucose_forecast",
            horizon("lower = -2.0\nupper = 2.0"),
            "horizon 30: error: missing or unknown terms: always, fall_15, known_minutes,",
        ),
        (
            "glucose_forecast",
            CHANCE,
            "glucose_forecast.toml: chance: the rows are low and very_low",
        ),
        (
            "glucose_forecast",
            CHANCE,
            "chance low: withdraw lies above least",
        ),
        (
            "trends",
            "kept_days = 20\n",
            "trends.toml: average of weight: its windows are longer than kept_days",
        ),
        ("trends", AVERAGE, "there is no average of heart_rate, pulse_rate"),
        (
            "device_rules",
            '[battery]\nbelow = "20"\nrecover = "30"\n',
            "battery.below: a number without a source",
        ),
        (
            "detectors",
            PERSONAL.format(vitals=["moods"]),
            "detectors.toml: personal.inputs: unknown vital moods",
        ),
        (
            "detectors",
            PERSONAL.format(vitals=["weight", "weight"]),
            "personal.inputs: inputs are different vitals, one at least",
        ),
        (
            "detectors",
            COMBINED.format(vitals=SEVENTEEN[:8]),
            "combined.inputs: 2 to 7 vitals together",
        ),
        (
            "detectors",
            PERSONAL.format(vitals=SEVENTEEN),
            "personal.inputs: 17 vitals; a patient's state has room for",
        ),
        ("vitals", MANY_MOODS, "vitals; a patient's state has room"),
        ("moods", "x = 1\n", "moods.toml: no such table"),
        ("units", "[x\n", "units.toml:"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, table: str, text: str, said: str) -> None:
    (tmp_path / f"{table}.toml").write_text(text)
    assert any(said in fault for fault in examine(tmp_path)), examine(tmp_path)


def test_all_faults_are_told_at_once_and_loading_stops_at_the_first(tmp_path: Path) -> None:
    rows = "".join(f"[[limit]]\n{LIMIT.format(vital=vital, unit='kg')}" for vital in ("one", "two"))
    (tmp_path / "limits.toml").write_text(rows)
    faults = examine(tmp_path)
    assert [
        fault for fault in faults if "unknown vital one" in fault or "unknown vital two" in fault
    ] == list(faults[:2])
    with pytest.raises(KnowledgeError, match="unknown vital one"):
        load(tmp_path)


def test_a_number_without_a_source_is_a_fault_and_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "device_rules.toml").write_text('[battery]\nbelow = "15"\nrecover = "30"\n')
    assert load(tmp_path).device_rules.battery.below == 15
    assert len(examine(tmp_path)) == 2


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ({"a": 1}, ["a"]),
        ({"a": 1, "source": "x"}, []),
        ({"a": 1, "source": " "}, ["a"]),
        ({"row": {"a": {"b": "2.5"}}}, ["row.a.b"]),
        ({"row": {"a": {"b": 2}, "source": "x"}}, []),
        # a list's rows need their own
        ({"source": "x", "rows": [{"a": 1}, {"a": 1, "source": "y"}]}, ["rows 1.a"]),
        ({"version": "1", "name": "2A37", "is": True, "words": ["one"]}, []),
    ],
)
def test_which_numbers_need_a_source(table: dict[str, object], found: list[str]) -> None:
    assert list(unsourced(table)) == found


def test_every_category_is_one_of_fhir() -> None:
    assert {row.category for row in shipped().vitals.values()} <= CATEGORIES


# law 9: code and display agree for every vital; from LOINC as the guides of codes.md print it
PINNED = """
    heart_rate 8867-4 Heart rate
    pulse_rate 8867-4 Heart rate
    rr_interval 8637-1 R-R interval by EKG
    oxygen_saturation 2708-6 Oxygen saturation in Arterial blood
    oxygen_saturation 59408-5 Oxygen saturation in Arterial blood by Pulse oximetry
    perfusion_index 61006-3 Perfusion index Tissue by Pulse oximetry
    respiratory_rate 9279-1 Respiratory rate
    systolic 8480-6 Systolic blood pressure
    diastolic 8462-4 Diastolic blood pressure
    mean_arterial 8478-0 Mean blood pressure
    body_temperature 8310-5 Body temperature
    glucose 2339-0 Glucose [Mass/volume] in Blood
    glucose_interstitial 99504-3 Glucose [Mass/volume] in Interstitial fluid
    weight 29463-7 Body weight
    height 8302-2 Body height
    bmi 39156-5 Body mass index (BMI) [Ratio]
    body_fat 41982-0 Percentage of body fat Measured
    steps 55423-8 Number of steps in unspecified time Pedometer
    peak_flow 19935-6 Maximum expiratory gas flow Respiratory system airway by Peak flow meter
    fev1 20150-9 FEV1
    oxygen_flow 3151-8 Inhaled oxygen flow rate
    inspired_oxygen 3150-0 Inhaled oxygen concentration
"""


def test_code_and_display_of_every_vital() -> None:
    """A vital that is published has its code pinned here; one without a code is named nowhere as
    an Observation.
    """
    coded = {name: list(row.loinc) for name, row in shipped().vitals.items() if row.loinc}
    pinned: dict[str, list[tuple[str, str]]] = {}
    for line in PINNED.strip().splitlines():
        vital, code, display = line.split(maxsplit=2)
        pinned.setdefault(vital, []).append((code, display))
    assert coded == pinned
    assert {row.publish for row in shipped().vitals.values() if not row.loinc} == {"none"}
