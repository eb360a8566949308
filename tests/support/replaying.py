"""Replays for tests, by the entry points of the pipeline: rows or frames in, lines out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from rpm_stream.ingest.csv.rows import frames, rows
from rpm_stream.knowledge import shipped
from rpm_stream.pipeline.replay import Replay
from support.frames import START, UNITS, Record, registry_of, stamp

Output = list[tuple[str, Record]]


def new_replay(entries: Iterable[Record] = ()) -> Replay:
    return Replay(shipped(), registry_of(entries))


def decoded(lines: Iterable[Any]) -> Output:
    parsed = [msgspec.json.decode(line.encode()) for line in lines]
    return [(line["type"], line["record"]) for line in parsed]


def csv_lines(values: Iterable[Sequence[Any]], patient: str = "p") -> list[str]:
    """Return a CSV file of (minutes, vital, value[, unit]) of one patient."""
    lines = ["patient,measured_at,vital,value,unit\n"]
    for minutes, vital, value, *unit in values:
        lines.append(
            f"{patient},{stamp(minutes)},{vital},{value},{unit[0] if unit else UNITS[vital]}\n"
        )
    return lines


def replay_csv(
    lines: Iterable[str], entries: Iterable[Record] = (), until: float | None = None
) -> Output:
    """Return all output lines of a CSV file."""
    run = new_replay(entries)
    output = [line for found in frames(rows(lines)) for line in run.csv(found)]
    return decoded(
        [*output, *run.finish(None if until is None else START + timedelta(minutes=until))]
    )


def replay_values(
    values: Iterable[Sequence[Any]], entries: Iterable[Record] = (), until: float | None = None
) -> Output:
    """Return all output lines of (minutes, vital, value[, unit]) of the patient ``p``."""
    return replay_csv(csv_lines(values), entries, until)


def replay_frames(
    found: Iterable[Record | bytes], entries: Iterable[Record] = (), until: float | None = None
) -> Output:
    """Return all output lines of frames (or of raw lines)."""
    run = new_replay(entries)
    output = []
    for number, each in enumerate(found, start=1):
        output += list(
            run.jsonl(each if isinstance(each, bytes) else msgspec.json.encode(each), number)
        )
    return decoded(
        [*output, *run.finish(None if until is None else START + timedelta(minutes=until))]
    )


def of_type(output: Output, kind: str) -> list[Record]:
    return [record for each, record in output if each == kind]


def alerts(output: Output) -> list[tuple[str, str, str, str]]:
    """Return group, priority, state and title of every alert line."""
    return [
        (alert["group"], alert["priority"], alert["state"], alert["title"])
        for alert in of_type(output, "alert")
    ]


def last_alerts(output: Output) -> dict[str, Record]:
    """Return the last record of each alert by its id."""
    return {alert["id"]: alert for alert in of_type(output, "alert")}


def news2_scores(output: Output) -> list[tuple[float, float]]:
    """Return the range of every NEWS2 score."""
    scores = of_type(output, "score")
    return [
        (score["score_min"], score["score_max"]) for score in scores if score["detector"] == "news2"
    ]
