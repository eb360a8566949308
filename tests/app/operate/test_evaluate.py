"""``rpm-stream evaluate`` from outside: files in, the same bytes out, one clear line when wrong."""

from __future__ import annotations

import csv
import gzip
import json
from itertools import takewhile
from pathlib import Path

import pytest
from support.command_line import one_line, run
from support.labelled import EVENTS, HEADER, make_stay, write_stays
from support.paths import shared_data

from rpm_stream.app.operate.evaluate.evaluation_run import (
    EvaluationFiles,
    EvaluationScope,
    run_evaluation,
)
from rpm_stream.app.operate.evaluate.labelled_files import (
    frames_of,
    read_events,
    read_people,
    read_readings,
)
from rpm_stream.app.operate.evaluate.pictures import draw
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.evaluation.assess import assess
from rpm_stream.evaluation.report import Evaluation
from rpm_stream.evaluation.stays import fold_of
from rpm_stream.evaluation.tables import text_of
from rpm_stream.knowledge import load

SEPSIS = shared_data("sepsis2019.csv.gz")


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the number of processes; the folder's JSON is the printed one."""
    readings, events = write_stays(tmp_path)
    printed = []
    for jobs in ("1", "2"):
        ran = run(
            "evaluate",
            str(readings),
            *("--events", str(events), "--home", str(readings)),
            *("--jobs", jobs, "--json", "--out", str(tmp_path / jobs)),
            folder=tmp_path,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert (tmp_path / jobs / "evaluation.json").read_text() == ran.stdout
        printed.append(ran.stdout)
    assert printed[0] == printed[1]
    result = json.loads(printed[0])
    assert result["hourly"] == result["home"]
    assert result["hourly"]["size"]["onsets"] == 2
    names = {path.name for path in (tmp_path / "1").iterdir()}
    assert names >= {"tables.txt", "sensitivity-hourly.png", "shown-hourly.png", "shown-home.png"}


def test_the_tables_name_every_score(tmp_path: Path) -> None:
    readings, events = write_stays(tmp_path)
    ran = run("evaluate", str(readings), "--events", str(events), "--jobs", "1", folder=tmp_path)
    assert ran.returncode == 0
    for name in ("news2", "static", "random", "medium and high", "limit.news2_amber"):
        assert name in ran.stdout


def test_the_parts_share_no_stay_and_miss_none(tmp_path: Path) -> None:
    readings, events = write_stays(tmp_path)
    files = EvaluationFiles(readings=(readings,), events=events)
    stays = {}
    done: list[tuple[str, int, int]] = []
    for part in ("all", "fit", "check"):
        scope = EvaluationScope(part=part)
        result = run_evaluation(files, scope, load(None), lambda *each: done.append(each))
        assert result.part == part
        stays[part] = result.hourly.size.stays
        assert done[-1] == ("hourly", stays[part], stays[part])
    assert stays["all"] == 3
    assert 0 < stays["fit"] < 3
    assert stays["fit"] + stays["check"] == 3


def test_only_so_many_patients(tmp_path: Path) -> None:
    readings, events = write_stays(tmp_path)
    files = EvaluationFiles(readings=(readings,), events=events)
    scope = EvaluationScope(patients=2)
    result = run_evaluation(files, scope, load(None), lambda *_: None)
    assert (result.hourly.size.stays, result.hourly.size.onsets) == (2, 2)


def test_files_of_one_patient_are_merged_by_time(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text(
        f"{HEADER}\np,2026-01-01T00:00:00Z,heart_rate,80,/min\n"
        "p,2026-01-01T05:00:00Z,heart_rate,81,/min\n"
    )
    other = tmp_path / "other.csv.gz"
    other.write_bytes(
        gzip.compress(
            f"{HEADER}\nq,2026-01-01T00:00:00Z,heart_rate,70,/min\n"
            "p,2026-01-01T04:00:00Z,inspired_oxygen,40,%\n"
            "p,2026-01-01T05:00:00Z,inspired_oxygen,50,%\n".encode()
        )
    )
    packed = read_readings([one, other], {"p"})
    assert set(packed) == {"p"}
    lines = [json.loads(frame.value) for frame in frames_of(packed["p"])]
    assert [(each["sent_at"][11:13], len(each["measurements"])) for each in lines] == [
        ("00", 1),
        ("04", 1),
        ("05", 2),
    ]


GOOD_EVENTS = f"{EVENTS}\np,5,\n"
GOOD_READINGS = f"{HEADER}\np,2026-01-01T00:00:00Z,heart_rate,80,/min\n"


@pytest.mark.parametrize(
    ("readings", "events", "named"),
    [
        ("patient,vital\n", GOOD_EVENTS, "header"),
        (f"{HEADER}\np,yesterday,heart_rate,80,/min\n", GOOD_EVENTS, "line 2"),
        (f"{HEADER}\nq,2026-01-01T00:00:00Z,heart_rate,80,/min\n", GOOD_EVENTS, "no readings"),
        (GOOD_READINGS, "patient,hours\n", "monitored_hours"),
        (GOOD_READINGS, f"{EVENTS}\np,many,\n", "line 2"),
        (GOOD_READINGS, f"{EVENTS}\np,5,2026-01-01\n", "zone"),
        (GOOD_READINGS, f"{EVENTS}\np,5,2025-01-01T00:00:00Z\n", "hour 0"),
        (GOOD_READINGS, f"{EVENTS}\np,0,\n", "line 2"),
        (GOOD_READINGS, f"{EVENTS}\np,5,\np,6,\n", "repeats"),
        (GOOD_READINGS, f"{EVENTS}\np,5\n", "column"),
        (GOOD_READINGS, f"{EVENTS}\n", "no stays"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, readings: str, events: str, named: str) -> None:
    (tmp_path / "r.csv").write_text(readings)
    (tmp_path / "e.csv").write_text(events)
    files = EvaluationFiles(readings=(tmp_path / "r.csv",), events=tmp_path / "e.csv")
    with pytest.raises(UsageError, match=named):
        run_evaluation(files, EvaluationScope(), load(None), lambda *_: None)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"events": "none.csv"}, "No such file"),
        ({"readings": "none.csv"}, "No such file"),
        ({"readings": "r.txt"}, "not a .csv file"),
        ({"readings": "broken.csv.gz"}, "gzip"),
        ({"readings": "binary.csv"}, "UTF-8"),
        ({"home": "e.csv"}, "header"),
        ({"people": "e.csv"}, "lacks age, sex"),
        ({"people": "ages.csv"}, "line 2"),
        ({"out": "e.csv"}, "--out"),
    ],
)
def test_another_wrong_file_is_refused(tmp_path: Path, changed: dict[str, str], named: str) -> None:
    (tmp_path / "r.csv").write_text(GOOD_READINGS)
    (tmp_path / "e.csv").write_text(GOOD_EVENTS)
    (tmp_path / "ages.csv").write_text("patient,age,sex\np,old,male\n")
    (tmp_path / "broken.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "binary.csv").write_bytes(b"patient,\xff\xfe\n")
    paths = {name: tmp_path / file for name, file in changed.items()}
    files = EvaluationFiles(
        readings=(paths.pop("readings", tmp_path / "r.csv"),),
        events=paths.pop("events", tmp_path / "e.csv"),
        **paths,
    )
    with pytest.raises(UsageError, match=named):
        run_evaluation(files, EvaluationScope(), load(None), lambda *_: None)


@pytest.mark.parametrize(
    "wrong",
    [
        ("r.csv",),
        ("r.csv", "--events", "r.csv"),
        ("r.csv", "--events", "e.csv", "--part", "half"),
        ("r.csv", "--events", "e.csv", "--knowledge", "nowhere"),
        ("r.csv", "--events", "e.csv", "--folds", "."),
        ("r.csv", "--events", "e.csv", "--folds", ".", "--knowledge", "."),
    ],
)
def test_wrong_use_is_one_clear_line(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    (tmp_path / "r.csv").write_text(GOOD_READINGS)
    (tmp_path / "e.csv").write_text(GOOD_EVENTS)
    one_line(run("evaluate", *wrong, folder=tmp_path))


def test_a_stay_is_run_with_the_tables_of_its_fold(tmp_path: Path) -> None:
    """Only the first patient has alerts, so the tables of its fold decide, and no others."""
    readings, events = write_stays(tmp_path)
    own, other = fold_of("a", 2), 1 - fold_of("a", 2)
    amber = '[amber]\nfirst = "{}"\nsource = "a test"\n'
    for name, priorities in (("one", ("medium", "low")), ("two", ("low", "medium"))):
        for fold, priority in zip((own, other), priorities, strict=True):
            folder = tmp_path / name / f"{fold}"
            folder.mkdir(parents=True)
            (folder / "limits.toml").write_text(amber.format(priority))

    def priorities_of(**wanted: Path) -> set[str]:
        files = EvaluationFiles(readings=(readings,), events=events, **wanted)
        result = run_evaluation(files, EvaluationScope(), load(None), lambda *_: None)
        return {
            f"{each.name} {each.priority}"
            for each in result.hourly.shown.rules
            if "amber" in each.name
        }

    shipped_rows = priorities_of()
    assert priorities_of(folds=tmp_path / "two") == shipped_rows
    assert priorities_of(folds=tmp_path / "one") != shipped_rows


def test_a_fold_without_usable_tables_is_refused(tmp_path: Path) -> None:
    """Otherwise its stays would be judged by the shipped model, which has seen them."""
    readings, events = write_stays(tmp_path)
    (tmp_path / "folds" / "0").mkdir(parents=True)
    files = EvaluationFiles(readings=(readings,), events=events, folds=tmp_path / "folds")
    with pytest.raises(UsageError, match="has no tables"):
        run_evaluation(files, EvaluationScope(), load(None), lambda *_: None)
    (tmp_path / "folds" / "0" / "limits.toml").write_text("[amber]\nfirst = 7\n")
    with pytest.raises(UsageError, match=r"limits\.toml"):
        run_evaluation(files, EvaluationScope(), load(None), lambda *_: None)


def test_people_are_read_once_and_with_a_possible_age(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    for rows, why in (("a,50,male\na,60,male\n", "repeats"), (f"a,{'9' * 5000},male\n", "age")):
        path.write_text(f"patient,age,sex\n{rows}")
        with pytest.raises(UsageError, match=why):
            read_people(path)


def test_recorded_stays_give_every_table(tmp_path: Path) -> None:
    """The first 40 recorded stays: each has its hours, and red values and alerts occur."""
    if not SEPSIS.is_file():
        pytest.skip(f"{SEPSIS.name} is not there: set RPM_SHARED to the folder with data/")
    labels = read_events(shared_data("sepsis2019_events.csv"))[:40]
    names = {label.patient for label in labels}
    few = tmp_path / "few.csv"
    with gzip.open(SEPSIS, "rt", newline="") as source, few.open("w", newline="") as target:
        rows = csv.reader(source)
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(next(rows))
        writer.writerows(takewhile(lambda row: row[0] in names, rows))
    ran = run(
        *("evaluate", str(few), "--json", "--jobs", "2", "--patients", "40"),
        *("--events", str(shared_data("sepsis2019_events.csv"))),
        *("--people", str(shared_data("sepsis2019_people.csv"))),
        folder=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    hourly = json.loads(ran.stdout)["hourly"]
    counted = sum(label.counted for label in labels)
    assert hourly["size"]["patient_days"] == pytest.approx(counted / 24, rel=1e-5)
    assert 0.02 < hourly["shown"]["red"] < 0.4
    assert hourly["shown"]["rules"]
    assert {each["name"] for each in hourly["scores"]} >= {"news2", "static", "random"}
    assert all(0.8 < each["known"] <= 1 for each in hourly["scores"][:3])
    assert {each["group"] for each in hourly["subgroups"]} >= {"female", "male"}


def test_a_probability_gets_its_calibration_and_a_picture(tmp_path: Path) -> None:
    """The detector needs no code but its name: a row, a calibration and a curve."""
    stays = [
        make_stay(
            f"p{number}",
            40,
            30 if number % 4 == 0 else None,
            {"deterioration": [0.1 + 0.6 * (number % 4 == 0) * (hour > 18) for hour in range(40)]},
        )
        for number in range(20)
    ]
    hourly = assess(stays, {}, load(None))
    result = Evaluation(part="fit", window_hours=12, carried_hours=12, draws=1000, hourly=hourly)
    (found,) = [each for each in hourly.scores if each.name == "deterioration"]
    assert found.calibration is not None
    assert found.calibration.skill > 0
    assert [each.calibration for each in hourly.scores if each is not found] == [None] * 3
    assert "Calibration" in text_of(result)
    draw(result, tmp_path)
    pictures = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(pictures) == {"sensitivity-hourly.png", "calibration-hourly.png"}
    assert min(pictures.values()) > 5000
