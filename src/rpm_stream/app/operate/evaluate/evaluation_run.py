"""The work of ``rpm-stream evaluate``: read, run the stays, measure, and write the results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rpm_stream.app.operate.evaluate.labelled_files import read_events, read_people, read_readings
from rpm_stream.app.operate.evaluate.pictures import check_pictures, draw
from rpm_stream.app.operate.evaluate.stay_pool import StayInput, run_stays
from rpm_stream.app.runtime.errors import UsageError
from rpm_stream.app.runtime.private import private_folder, write_private
from rpm_stream.evaluation.assess import assess
from rpm_stream.evaluation.bootstrap import DRAWS
from rpm_stream.evaluation.report import CadenceResult, Evaluation, encode
from rpm_stream.evaluation.stays import CARRIED, WINDOW, Part, StayLabel, Traits, fold_of, part_of
from rpm_stream.evaluation.tables import text_of
from rpm_stream.knowledge import Knowledge, KnowledgeError, load
from rpm_stream.records import Record

Progress = Callable[[str, int, int], None]  # what is done, how many, of how many


class EvaluationFiles(Record, frozen=True, kw_only=True):
    """The files of an evaluation.

    ``knowledge`` is a folder with own tables. ``folds`` is a folder with one such folder for each
    fold of the cut by person, named 0, 1 and so on: a stay is run with the tables of its fold.
    """

    readings: tuple[Path, ...]
    events: Path
    people: Path | None = None
    home: Path | None = None
    out: Path | None = None
    knowledge: Path | None = None
    folds: Path | None = None


class EvaluationScope(Record, frozen=True, kw_only=True):
    """Which stays are evaluated, and in how many processes.

    ``patients`` is the number of stays, the first by their id. None is all.
    """

    part: Part = "all"
    patients: int | None = None
    jobs: int = 1


def run_evaluation(
    files: EvaluationFiles, scope: EvaluationScope, knowledge: Knowledge, progress: Progress
) -> Evaluation:
    """Return the results, and write them where ``files.out`` says. Raises UsageError."""
    if files.out is not None:
        check_pictures()
        with _no_place(files.out):
            private_folder(files.out)
    labels = _chosen(read_events(files.events), scope)
    people = {} if files.people is None else read_people(files.people)

    tables = _tables_of(files)

    def cadence(name: str, paths: Sequence[Path]) -> CadenceResult:
        inputs = _inputs(paths, labels, people, tables)
        total = len(inputs)
        stays = run_stays(inputs, scope.jobs, lambda done: progress(name, done, total))
        return assess(stays, people, knowledge)

    result = Evaluation(
        part=scope.part,
        window_hours=WINDOW,
        carried_hours=CARRIED,
        draws=DRAWS,
        hourly=cadence("hourly", files.readings),
        home=None if files.home is None else cadence("home", [files.home]),
    )
    if files.out is not None:
        with _no_place(files.out):
            write_private(files.out / "evaluation.json", encode(result))
            write_private(files.out / "tables.txt", text_of(result).encode())
            draw(result, files.out)
    return result


@contextmanager
def _no_place(folder: Path) -> Iterator[None]:
    """Turn an error of the file system into one clear line."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror or error}") from None


def _chosen(labels: Sequence[StayLabel], scope: EvaluationScope) -> list[StayLabel]:
    """Return the stays of the wanted part, in the order of their patients' ids."""
    found = [each for each in labels if scope.part in ("all", part_of(each.patient))]
    if not found:
        raise UsageError(f"--part {scope.part}: the events name no such patient")
    return found[: scope.patients]


def _tables_of(files: EvaluationFiles) -> tuple[Path | None, ...]:
    """Return the folder of own tables of each fold, or of all stays. Raises UsageError."""
    if files.folds is None:
        return (files.knowledge,)
    folders: list[Path] = []
    while (folder := files.folds / f"{len(folders)}").is_dir():
        if not any(folder.glob("*.toml")):
            raise UsageError(f"--folds {folder}: has no tables")
        try:
            load(folder)
        except KnowledgeError as error:
            raise UsageError(str(error)) from None
        folders.append(folder)
    if not folders:
        raise UsageError(f"--folds {files.folds}: has no folder 0, 1, ... with own tables")
    return tuple(folders)


def _inputs(
    paths: Sequence[Path],
    labels: Sequence[StayLabel],
    people: dict[str, Traits],
    tables: Sequence[Path | None],
) -> list[StayInput]:
    packed = read_readings(paths, {label.patient for label in labels})
    if not packed:
        raise UsageError(f"{paths[0]}: no readings of a patient that the events name")
    return [
        StayInput(
            label=label,
            packed=tuple(packed.get(label.patient, ())),
            traits=people.get(label.patient),
            tables=tables[fold_of(label.patient, len(tables))],
        )
        for label in labels
    ]
